//! The nodes that wait for a digest, since what they were answered holds none.

use crate::link::lock;
use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};
use tokio::sync::Notify;

/// Nodes that are owed a digest. Each is once in it, and has a link: there are no more than that.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Whether chitchat was asked for the digest already.
    nodes: Mutex<BTreeMap<NodeId, bool>>,
    changed: Notify,
}

impl Owed {
    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, bool>> {
        lock(&self.nodes)
    }

    /// Takes note that `node` has asked. One digest is enough for two questions.
    pub(super) fn owe(&self, node: NodeId) {
        self.nodes().entry(node).or_insert(false);
        self.changed.notify_one();
    }

    /// Resolves when some may be owed for which chitchat was not asked yet.
    pub(super) async fn some(&self) {
        self.changed.notified().await;
    }

    /// Those for which chitchat is to be asked now.
    pub(super) fn due(&self) -> Vec<NodeId> {
        let mut nodes = self.nodes();
        let due =
            nodes.iter_mut().filter_map(|(node, asked)| (!std::mem::replace(asked, true)).then_some(*node));
        due.collect()
    }

    /// Takes note that a digest goes to `node` now. Returns whether it was owed.
    pub(super) fn settle(&self, node: NodeId) -> bool {
        self.nodes().remove(&node).is_some()
    }

    /// Forgets all: chitchat is another one.
    pub(super) fn forget(&self) {
        self.nodes().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_twice_is_answered_once_and_after_that_again() {
        let (owed, node) = (Owed::default(), NodeId(1));
        owed.owe(node);
        assert_eq!(owed.due(), [node]);
        owed.owe(node);
        assert_eq!(owed.due(), [], "it is on its way");
        assert!(owed.settle(node) && !owed.settle(node));
        owed.owe(node);
        assert_eq!(owed.due(), [node]);
        owed.forget();
        assert!(!owed.settle(node));
    }
}
