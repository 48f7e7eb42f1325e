//! Who is alive, by the heartbeats that gossip brings.
//!
//! chitchat's own detector learns how often heartbeats come (phi accrual, Hayashibara et al. 2004). But a node's
//! heartbeat grows with each message that it takes part in: in a large mesh, or a burst of news, many come in a
//! second, and the detector takes a second's silence for death. Here silence is counted in rounds of gossip, whatever
//! came before.

use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// Rounds without a newer heartbeat after which a node is dead. News of a node that lives reach each of 200 nodes,
/// which gossip with three others, within four rounds nearly always; fewer than these seven would take some of them
/// for dead, more would have callers wait for the dead.
const ROUNDS_DEAD: u32 = 7;
/// Newer heartbeats, each at another look, by which a node lives that was taken for dead. One may be late news of
/// before it died.
const NEWER_AGAIN: u8 = 2;
/// The same of a node that was only just heard of.
const NEWER_FIRST: u8 = 1;

/// Who is alive.
#[derive(Debug)]
pub(super) struct Detector {
    interval: Duration,
    /// When it was looked last, and for how long in all, without what this node has slept through.
    looked: Option<Instant>,
    awake: Duration,
    seen: BTreeMap<NodeId, Seen>,
}

/// What was seen of a node.
#[derive(Clone, Copy, Debug)]
struct Seen {
    generation: u64,
    heartbeat: u64,
    /// When that was new, by the time that this node was awake.
    at: Duration,
    alive: bool,
    /// Newer heartbeats that it still takes to make it alive.
    missing: u8,
}

impl Detector {
    /// For gossip with this interval between two rounds.
    pub(super) fn new(interval: Duration) -> Self {
        Detector { interval, looked: None, awake: Duration::ZERO, seen: BTreeMap::new() }
    }

    /// Takes note that all nodes are looked at `now`. What this node itself has slept through, since its host was
    /// busy or stopped, is nobody's silence: it counts for two rounds at most.
    pub(super) fn look(&mut self, now: Instant) {
        let since = self.looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        self.awake += since.min(self.interval * 2);
        self.looked = Some(now);
    }

    /// Takes note of a node's heartbeat, in a life of it. Returns whether it is alive.
    pub(super) fn is_alive(&mut self, node: NodeId, generation: u64, heartbeat: u64) -> bool {
        let first = Seen { generation, heartbeat, at: self.awake, alive: false, missing: NEWER_FIRST };
        let seen = self.seen.entry(node).or_insert(first);
        if seen.generation != generation {
            *seen = first;
        }
        if seen.heartbeat == 0 {
            // Its values came before its heartbeat did: what comes first is not newer than anything.
            seen.heartbeat = heartbeat;
        }
        if heartbeat > seen.heartbeat {
            (seen.heartbeat, seen.at) = (heartbeat, self.awake);
            seen.missing = seen.missing.saturating_sub(1);
            seen.alive |= seen.missing == 0;
        } else if self.awake - seen.at > self.interval * ROUNDS_DEAD {
            (seen.alive, seen.missing) = (false, NEWER_AGAIN);
        }
        seen.alive
    }

    /// Forgets all but those that are `known`.
    pub(super) fn keep(&mut self, known: impl Fn(NodeId) -> bool) {
        self.seen.retain(|node, _| known(*node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(500);

    struct Watch {
        detector: Detector,
        now: Instant,
    }

    impl Watch {
        fn new() -> Self {
            Watch { detector: Detector::new(ROUND), now: Instant::now() }
        }

        fn after(&mut self, pause: Duration, generation: u64, heartbeat: u64) -> bool {
            self.now += pause;
            self.detector.look(self.now);
            self.detector.is_alive(NodeId(1), generation, heartbeat)
        }
    }

    #[test]
    fn a_silence_is_as_long_after_a_burst_as_after_quiet_times() {
        let mut watch = Watch::new();
        assert!(!watch.after(ROUND, 1, 1), "it may have been dead for long");
        for beat in 2..100 {
            assert!(watch.after(Duration::from_millis(20), 1, beat), "a burst");
        }
        for _ in 0..ROUNDS_DEAD {
            assert!(watch.after(ROUND, 1, 99));
        }
        assert!(!watch.after(ROUND, 1, 99));
    }

    #[test]
    fn late_news_of_the_dead_does_not_make_them_alive() {
        let mut watch = Watch::new();
        watch.after(ROUND, 1, 1);
        assert!(watch.after(ROUND, 1, 2));
        for _ in 0..=ROUNDS_DEAD {
            watch.after(ROUND, 1, 2);
        }
        assert!(!watch.after(ROUND, 1, 3), "it was sent before the last silence");
        assert!(watch.after(ROUND, 1, 4), "it goes on");
        assert!(!watch.after(ROUND, 2, 1) && watch.after(ROUND, 2, 2), "another life");
    }

    #[test]
    fn what_this_node_sleeps_through_is_nobodys_silence() {
        let mut watch = Watch::new();
        watch.after(ROUND, 1, 1);
        assert!(watch.after(ROUND, 1, 2));
        assert!(watch.after(Duration::from_secs(60), 1, 2));
        watch.detector.keep(|_| false);
        assert!(!watch.after(ROUND, 1, 3), "it was forgotten");
    }
}
