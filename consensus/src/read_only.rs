//! Whether this node takes no entries, because its disk is nearly full.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// A word that everything that takes entries in asks first. A leader refuses proposals, a follower refuses appends,
/// and both go on to vote, to lead, to follow and to answer reads. What Raft itself writes meanwhile, votes and the
/// entry of a new leader, is small. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct ReadOnly(Arc<AtomicBool>);

impl ReadOnly {
    pub fn set(&self, read_only: bool) {
        self.0.store(read_only, Ordering::Relaxed);
    }

    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
