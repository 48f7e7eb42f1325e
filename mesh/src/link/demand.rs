//! Whether there is to be a link to a peer, and whether it can be a direct one.

use std::time::Duration;
use tokio::time::Instant;

/// For how long a link is kept that was made for a call, after the last one. Long enough that who calls now and then
/// does not wait for a handshake each time, short enough that a mesh of hundreds is not linked from each to each in
/// the end.
pub(super) const LINGER: Duration = Duration::from_secs(60);
/// How much sooner a direct link is dialled than one over relays, where nobody knows yet whether there can be one. A
/// handshake over 100 ms takes as long; relays that are not needed cost them more than this wait costs a call.
const HEAD_START: Duration = Duration::from_millis(300);
/// How long a new direct link may take until it is known how good it is: a ping, and a computation of the ways.
const JUDGED_WITHIN: Duration = Duration::from_secs(1);
/// How old a link that need not be is before others may count on it: it was used for longer than one call has it
/// linger, so that news of it are not followed by news of its end.
const STEADY_AFTER: Duration = Duration::from_secs(90);

/// Whether there is to be a link to a peer, and whether it can be a direct one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// There always is to be one.
    kept: bool,
    /// The mesh is so small that each node is linked to each, in whatever way.
    full: bool,
    /// When somebody wanted one last.
    wanted: Option<Instant>,
    /// When it became wanted, after it had not been.
    since: Instant,
    /// No direct link could be made the last time that one was dialled.
    undialable: bool,
}

impl Demand {
    /// For a peer that always is to be linked, or for one that need not be.
    pub(super) fn new(kept: bool, now: Instant) -> Self {
        Demand { kept, full: kept, wanted: None, since: now, undialable: false }
    }

    /// Takes note of whether there always is to be one, and whether the mesh is small. Returns whether that is new.
    pub(super) fn keep(&mut self, kept: bool, full: bool, now: Instant) -> bool {
        let changed = (self.kept, self.full) != (kept, full);
        if kept && !self.kept {
            self.since = now;
        }
        (self.kept, self.full) = (kept, full);
        changed
    }

    /// Takes note that somebody wants one `now`.
    pub(super) fn want(&mut self, now: Instant) {
        if !self.is_wanted(now) {
            self.since = now;
        }
        self.wanted = Some(now);
    }

    /// Takes note of how a direct dial has ended.
    pub(super) fn dialled(&mut self, connected: bool) {
        self.undialable = !connected;
    }

    /// Whether there always is to be one.
    pub(super) fn is_kept(&self) -> bool {
        self.kept
    }

    /// Whether there is to be one, as far as is known without those that there are.
    pub(super) fn is_wanted(&self, now: Instant) -> bool {
        self.kept || self.wanted.is_some_and(|wanted| now.saturating_duration_since(wanted) < LINGER)
    }

    /// Whether no direct link could be made the last time that one was dialled.
    pub(super) fn is_undialable(&self) -> bool {
        self.undialable
    }

    /// Whether one over relays had better wait, since there may be a direct one soon; `direct` is when the one that
    /// there is was made.
    pub(super) fn hopes_for_direct(&self, direct: Option<Instant>, now: Instant) -> bool {
        let hope = |since: Instant, patience| now.saturating_duration_since(since) < patience;
        let hopes = match direct {
            Some(born) => hope(born, JUDGED_WITHIN),
            None => !self.undialable && hope(self.since, HEAD_START),
        };
        !self.full && hopes
    }

    /// Whether others may count on a link that was made `born`, as a part of their ways.
    pub(super) fn is_steady(&self, born: Instant, now: Instant) -> bool {
        self.kept || now.saturating_duration_since(born) > STEADY_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_somebody_wanted_is_wanted_for_a_while() {
        let start = Instant::now();
        let mut demand = Demand::new(false, start);
        assert!(!demand.is_wanted(start));
        demand.want(start);
        assert!(demand.is_wanted(start) && !demand.is_wanted(start + LINGER));
        assert!(demand.keep(true, false, start) && demand.is_wanted(start + LINGER));
        assert!(!demand.keep(true, false, start), "it was before");
        assert!(!demand.is_steady(start, start + LINGER) || demand.is_kept());
    }

    #[test]
    fn relays_wait_for_a_direct_link_that_may_come_and_not_for_one_that_can_not() {
        let start = Instant::now();
        let mut demand = Demand::new(false, start - LINGER);
        demand.want(start);
        assert!(demand.hopes_for_direct(None, start));
        assert!(!demand.hopes_for_direct(None, start + HEAD_START), "it takes too long");
        assert!(demand.hopes_for_direct(Some(start), start + HEAD_START), "it is not known how good it is");
        assert!(
            !demand.hopes_for_direct(Some(start), start + JUDGED_WITHIN),
            "it is, and there is a better way"
        );
        demand.dialled(false);
        assert!(!demand.hopes_for_direct(None, start) && demand.is_undialable());
        let small = Demand::new(true, start);
        assert!(!small.hopes_for_direct(None, start), "all are linked in all ways");
    }
}
