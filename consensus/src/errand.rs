//! How much of this node's work is with the leader.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the proposals of this node's callers that the leader was sent and has not answered. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Errands(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(crate) struct Errand(Errands);

impl Errands {
    pub fn begin(&self) -> Errand {
        self.0.fetch_add(1, Ordering::Relaxed);
        Errand(self.clone())
    }

    /// Whether an answer is expected.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
