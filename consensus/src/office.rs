//! Whether a leader still holds its office, and the time that it stamps what it takes in with.

use crate::raft::Raft;
use micro_sdk::wire::Clock;
use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver};
use std::time::{Duration, UNIX_EPOCH};

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

/// The time of day in milliseconds since 1970; 0 for a clock that was never set.
pub(crate) fn time_ms(clock: &dyn Clock) -> u64 {
    let since = clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
