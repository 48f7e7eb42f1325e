//! What the group agrees on: whoever applies its commands.

use crate::Transaction;
use bytes::Bytes;
use micro_sdk::wire::LogIndex;

/// Applies committed commands to the state, the same way on every replica.
///
/// All that it reads must come from the command, its time and the transaction: no clock, no chance, no setting of this
/// node. A difference between two replicas is a defect that nothing repairs.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command and returns what its proposer is told. `time_ms` is the time of day at the leader that took
    /// the command in, in milliseconds since 1970, and never less than that of an earlier entry. A command that can't
    /// be decoded or carried out changes nothing and says so in its reply: it must never panic, since it would do so
    /// on every replica.
    fn apply(&self, state: &mut Transaction<'_>, index: LogIndex, time_ms: u64, command: &Bytes) -> Bytes;

    /// All that is applied to `state` so far becomes one batch: what a machine has kept back until now, because the
    /// next command would have replaced it, belongs into it. How entries fall into batches differs from replica to
    /// replica, and must not show in the state.
    fn batched(&self, state: &mut Transaction<'_>) {
        let _ = state;
    }

    /// The state has changed up to `index` and is visible. Called on the runtime's thread: returns at once.
    fn applied(&self, index: LogIndex) {
        let _ = index;
    }

    /// The state was replaced by a snapshot that reaches up to `index`: entries in between were never applied here.
    /// Called like [`applied`](Self::applied), and in its place.
    fn restored(&self, index: LogIndex) {
        self.applied(index);
    }
}
