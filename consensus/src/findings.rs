//! What this node has found wrong with replicas while it led: for people to see, until the node ends.

use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Something that must not happen while disks keep what they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A replica lacks entries that it had acknowledged. They are copied to it again.
    LogReverted {
        /// Whose replica.
        node: NodeId,
        /// The index that it had acknowledged.
        had: u64,
    },
    /// A file of this node's snapshot is not what was written.
    SnapshotDamaged {
        /// The file.
        file: String,
    },
}

/// The findings of one node. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Findings(Arc<Mutex<Found>>);

#[derive(Default)]
struct Found {
    /// Per node what it had acknowledged when it was found to lack it.
    reverted: BTreeMap<NodeId, u64>,
    snapshot: Option<String>,
}

impl Findings {
    fn found(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a replica that lacks entries which it had acknowledged, up to `had`.
    pub fn log_reverted(&self, node: NodeId, had: u64) {
        tracing::error!(%node, had, "a replica has lost entries that it had acknowledged: they are copied to it again");
        self.found().reverted.insert(node, had);
    }

    /// Takes note of a damaged file of the snapshot.
    pub fn snapshot_damaged(&self, file: String) {
        tracing::error!(
            file,
            "a file of the snapshot is not what was written: no replica can be brought up with it"
        );
        self.found().snapshot = Some(file);
    }

    /// All of them.
    pub fn list(&self) -> Vec<Finding> {
        let found = self.found();
        let reverted =
            found.reverted.iter().map(|(node, had)| Finding::LogReverted { node: *node, had: *had });
        reverted.chain(found.snapshot.clone().map(|file| Finding::SnapshotDamaged { file })).collect()
    }
}
