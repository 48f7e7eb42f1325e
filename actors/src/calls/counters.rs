//! What the contract of calls has done on this node, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A call of a person's service came in at a door of this node.
    Call,
    /// One was passed over to another instance, since the first could not be reached.
    PassedOver,
    /// One was tried again.
    TriedAgain,
    /// A second instance was asked beside the first.
    Hedged,
    /// One was not tried again, and no second instance asked, for want of a budget.
    OutOfBudget,
    /// An instance gets no calls for a while.
    CircuitOpened,
    /// A call was refused since its instance, which is attached here, has as many in work as are good for it.
    Shed,
}

impl Counted {
    /// All, with their names in metrics.
    pub const ALL: [(Counted, &'static str); 7] = [
        (Counted::Call, "call"),
        (Counted::PassedOver, "passed_over"),
        (Counted::TriedAgain, "tried_again"),
        (Counted::Hedged, "hedged"),
        (Counted::OutOfBudget, "out_of_budget"),
        (Counted::CircuitOpened, "circuit_opened"),
        (Counted::Shed, "shed"),
    ];
}

/// The counts since the node has started.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; Counted::ALL.len()]);

impl Counters {
    /// Counts one more.
    pub fn add(&self, counted: Counted) {
        self.0[counted as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self, counted: Counted) -> u64 {
        self.0[counted as usize].load(Ordering::Relaxed)
    }
}
