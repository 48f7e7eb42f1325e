//! Where writes come from: how many proposals this node has taken in as the leader, by the node that they came to
//! first.

use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The counts. Clones share them. A node that has left keeps its number: it is a few bytes, and ids never come back.
#[derive(Clone, Default)]
pub(crate) struct Origins(Arc<Mutex<BTreeMap<NodeId, u64>>>);

impl Origins {
    /// So many more were taken in from `node`.
    pub fn count(&self, node: NodeId, proposals: usize) {
        let mut counts = self.0.lock().expect("no code panics while it holds the counts");
        *counts.entry(node).or_default() += proposals as u64;
    }

    /// All since this node has started.
    pub fn totals(&self) -> BTreeMap<NodeId, u64> {
        self.0.lock().expect("no code panics while it holds the counts").clone()
    }
}
