//! Whether a leader still holds its office.

use crate::raft::Raft;
use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver};
use std::time::Duration;

/// A leader that no quorum has confirmed for this long has probably lost it. Two election timeouts: the others have had
/// the time to elect another by then, and a pause of a busy host is shorter.
const QUORUM_AGE_MAX: Duration = Duration::from_secs(4);

/// Whether this node leads, as far as it knows, and no quorum has confirmed it of late. What such a leader takes in may
/// never be committed, and nobody could say so: it had better take nothing in.
pub(crate) fn quorum_lost(raft: &Raft) -> bool {
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    // A sole voter is its own quorum, and nobody else confirms it.
    metrics.state == ServerState::Leader
        && metrics.membership_config.membership().voter_ids().count() > 1
        && metrics.last_quorum_acked.is_some_and(|at| at.elapsed() > QUORUM_AGE_MAX)
}
