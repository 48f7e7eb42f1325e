//! Whether a node's instances may be called. Those that may not finish what they have.

use micro_sdk::wire::{Code, Fault};

/// Whether they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Open,
    /// Until the node is told to work again.
    Drained,
    /// The node stops.
    Ended,
}

impl Work {
    /// Refuses calls, unless they may be made.
    ///
    /// # Errors
    /// [`Code::Unavailable`], with why.
    pub fn refuse(self) -> Result<(), Fault> {
        match self {
            Work::Open => Ok(()),
            Work::Drained => Err(Fault::new(Code::Unavailable, "the node is drained")
                .help("`micro-node drain --undo` on it puts it to work again")),
            Work::Ended => Err(Fault::new(Code::Unavailable, "the node is shutting down")),
        }
    }
}
