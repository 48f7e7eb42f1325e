//! How old this node's replica may be, as far as it can know by itself: for reads that ask nobody.
//!
//! A leader is as current as its last contact with a quorum. It tells its followers how long ago that was with every
//! append, so that one that lost its office can't keep a follower believing that both are current. The way of the
//! message is not counted: it is part of what a label can't know.

use crate::raft::{Group, Raft};
use openraft::{
    Instant as _, RaftMetrics, ServerState, async_runtime::WatchReceiver, type_config::alias::WatchReceiverOf,
};
use std::{
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};
use tokio::time::Instant;

/// How long ago a quorum has confirmed this node as leader. Empty until Raft runs.
#[derive(Clone, Default)]
pub(crate) struct QuorumAge(Arc<OnceLock<WatchReceiverOf<Group, RaftMetrics<Group>>>>);

impl QuorumAge {
    /// Looks at `raft` from now on.
    pub fn follow(&self, raft: &Raft) {
        let _ = self.0.set(raft.metrics());
    }

    /// The age; none if this node does not lead, or nobody has confirmed it yet.
    pub fn get(&self) -> Option<Duration> {
        let metrics = self.0.get()?.borrow_watched();
        if metrics.state != ServerState::Leader {
            return None;
        }
        // A sole voter is its own quorum.
        if metrics.membership_config.membership().voter_ids().count() == 1 {
            return Some(Duration::ZERO);
        }
        metrics.last_quorum_acked.map(|at| at.elapsed())
    }
}

/// What this node has heard from leaders. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Contact(Arc<Mutex<Heard>>);

#[derive(Default)]
struct Heard {
    /// The last moment of which this replica is known to show everything.
    current_at: Option<Instant>,
    /// A later moment, and one past the last index that has to be applied for it.
    awaited: Option<(Instant, u64)>,
}

impl Heard {
    fn settle(&mut self, applied_end: u64) {
        if let Some((at, end)) = self.awaited
            && applied_end >= end
        {
            self.current_at = self.current_at.max(Some(at));
            self.awaited = None;
        }
    }
}

impl Contact {
    /// Takes note of an append: what is committed ends before `end`, and the leader's quorum was `age` old.
    pub fn heard(&self, age: Duration, end: u64, applied_end: u64) {
        let Some(at) = Instant::now().checked_sub(age) else { return };
        let mut heard = self.0.lock().expect("no code panics while it holds what was heard");
        heard.settle(applied_end);
        if applied_end >= end {
            heard.current_at = heard.current_at.max(Some(at));
        } else {
            // The first one stands until it is reached, or a busy follower would never reach any.
            heard.awaited.get_or_insert((at, end));
        }
    }

    /// How long ago this replica was known to be current; none if it never was.
    pub fn age(&self, applied_end: u64) -> Option<Duration> {
        let mut heard = self.0.lock().expect("no code panics while it holds what was heard");
        heard.settle(applied_end);
        heard.current_at.map(|at| at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replica_is_current_once_it_has_applied_what_was_committed() {
        let contact = Contact::default();
        assert_eq!(contact.age(0), None);
        contact.heard(Duration::from_millis(30), 10, 8);
        assert_eq!(contact.age(9), None, "the tenth entry is missing");
        tokio::time::advance(Duration::from_millis(50)).await;
        contact.heard(Duration::ZERO, 20, 9);
        assert_eq!(contact.age(10), Some(Duration::from_millis(80)), "the leader's own age counts");
        contact.heard(Duration::ZERO, 20, 20);
        assert_eq!(contact.age(20), Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_without_quorum_makes_nobody_younger() {
        let contact = Contact::default();
        tokio::time::advance(Duration::from_secs(60)).await;
        contact.heard(Duration::ZERO, 5, 5);
        tokio::time::advance(Duration::from_secs(9)).await;
        contact.heard(Duration::from_secs(9), 5, 5);
        assert_eq!(contact.age(5), Some(Duration::from_secs(9)));
    }
}
