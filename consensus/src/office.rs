//! Who leads, and whether a leader still holds its office.

use crate::{
    Pace,
    raft::{Group, Raft},
};
use micro_sdk::wire::NodeId;
use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver, metrics::RaftServerMetrics};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

/// A leader that no quorum has confirmed for this long has probably lost it: the others have had the time to elect
/// another by then, and a pause of a busy host is shorter. Where the voters wait for longer, so does it.
const QUORUM_AGE_MAX: Duration = Duration::from_secs(4);

/// The leader's office, seen from one node. Clones are the same.
#[derive(Clone)]
pub(crate) struct Office {
    raft: Raft,
    leader: watch::Receiver<Option<NodeId>>,
    pace: watch::Receiver<Pace>,
    /// Since when the present leader leads the present voters.
    since: Arc<Mutex<Instant>>,
}

impl Office {
    /// Follows the office of `raft` in a task of its own.
    pub fn follow(raft: Raft, pace: watch::Receiver<Pace>) -> (Self, JoinHandle<()>) {
        let mut metrics = raft.server_metrics();
        let seen = |metrics: &RaftServerMetrics<Group>| {
            (metrics.current_leader, metrics.vote, *metrics.membership_config.log_id())
        };
        let mut known = seen(&metrics.borrow_watched());
        let (sender, leader) = watch::channel(known.0);
        let since = Arc::new(Mutex::new(Instant::now()));
        let office = Office { raft, leader, pace, since: since.clone() };
        let task = tokio::spawn(async move {
            while metrics.changed().await.is_ok() {
                let now = seen(&metrics.borrow_watched());
                if now == known {
                    continue;
                }
                known = now;
                *since.lock().expect("no code panics while it holds the instant") = Instant::now();
                let current = known.0;
                sender.send_if_modified(|leader| std::mem::replace(leader, current) != current);
            }
        });
        (office, task)
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> watch::Receiver<Option<NodeId>> {
        self.leader.clone()
    }

    /// Whether this node leads, as far as it knows, and no quorum has confirmed it of late. What such a leader takes in
    /// may never be committed, and nobody could say so: it had better take nothing in.
    pub fn quorum_lost(&self) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        // A sole voter is its own quorum, and nobody else confirms it.
        if metrics.state != ServerState::Leader
            || metrics.membership_config.membership().voter_ids().count() <= 1
        {
            return false;
        }
        let since = *self.since.lock().expect("no code panics while it holds the instant");
        let age_max = QUORUM_AGE_MAX.max(self.pace.borrow().silence_min);
        unconfirmed(metrics.last_quorum_acked.map(|at| at.elapsed()), since.elapsed()) > age_max
    }
}

/// For how long no quorum has confirmed the leader, which a quorum last did `acked` ago, and which leads these
/// voters for `office`. Right after a change a majority of the new voters may consist of nodes that this leader has
/// never heard of: they have as long to confirm it as those who fall silent.
fn unconfirmed(acked: Option<Duration>, office: Duration) -> Duration {
    acked.unwrap_or(office)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voters_that_were_never_heard_of_have_as_long_as_those_who_fall_silent() {
        let (soon, late) = (QUORUM_AGE_MAX / 2, QUORUM_AGE_MAX * 2);
        assert_eq!(unconfirmed(Some(soon), late), soon);
        assert_eq!(unconfirmed(Some(late), soon), late);
        assert_eq!(unconfirmed(None, soon), soon);
        assert_eq!(unconfirmed(None, late), late);
    }
}
