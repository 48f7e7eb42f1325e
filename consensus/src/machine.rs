//! What the group agrees on: whoever applies its commands.

use crate::Transaction;
use bytes::Bytes;
use micro_sdk::wire::LogIndex;

/// Applies committed commands to the state, the same way on every replica.
///
/// All that it reads must come from the command and the transaction: no clock, no chance, no setting of this node. A
/// difference between two replicas is a defect that nothing repairs.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command and returns what its proposer is told. A command that can't be decoded or carried out
    /// changes nothing and says so in its reply: it must never panic, since it would do so on every replica.
    fn apply(&self, state: &mut Transaction<'_>, index: LogIndex, command: &Bytes) -> Bytes;

    /// The state has changed up to `index` and is visible. Called on the runtime's thread: returns at once.
    fn applied(&self, index: LogIndex) {
        let _ = index;
    }
}
