//! What this node has seen of one instance.

use super::{
    breaker::{Admission, Breaker, Outcome},
    peak_ewma::PeakEwma,
};
use crate::policy::BreakerPolicy;
use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long an instance takes of which nothing is known: so that it is tried, and not by all at once.
const UNKNOWN: Duration = Duration::from_millis(1);

/// What this node has seen of one instance: how long it takes, what it has in work for this node, and whether it is
/// well.
pub(super) struct Outlook {
    in_flight: AtomicU32,
    seen: Mutex<Seen>,
}

struct Seen {
    takes: PeakEwma,
    breaker: Breaker,
    measured: bool,
}

impl Outlook {
    pub fn new(now: Instant) -> Self {
        let seen =
            Seen { takes: PeakEwma::expecting(UNKNOWN, now), breaker: Breaker::new(now), measured: false };
        Outlook { in_flight: AtomicU32::new(0), seen: Mutex::new(seen) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no code panics while it holds what was seen")
    }

    /// What one more call costs there: how long it takes, as often as others are in work (M. Mitzenmacher, "The Power of Two
    /// Choices", 1996, with this load). `least` is what the way takes alone.
    pub fn load(&self, least: Duration, now: Instant) -> f64 {
        let ahead = f64::from(self.in_flight.load(Ordering::Relaxed)) + 1.0;
        self.seen().takes.worst(least, now).as_secs_f64() * ahead
    }

    /// How long it takes in the mean, if it was measured.
    pub fn average(&self, least: Duration, now: Instant) -> Option<Duration> {
        let seen = self.seen();
        seen.measured.then(|| seen.takes.average(least, now))
    }

    /// Whether it may be called.
    pub fn admission(&self, now: Instant) -> Admission {
        self.seen().breaker.admission(now)
    }

    /// How many calls were lost for which it gets none, and for how long.
    pub fn shut(&self, now: Instant) -> Option<(u32, Option<Duration>)> {
        self.seen().breaker.shut(now)
    }

    /// Notes that there is a way to it.
    pub fn way_found(&self) {
        self.seen().breaker.way_found();
    }

    /// Notes that a call that had begun well has failed in the end.
    pub fn failed_in_the_end(&self, now: Instant) {
        self.seen().breaker.failed_in_the_end(now);
    }

    /// The calls of the last seconds, and how many of them failed.
    pub fn failing(&self, now: Instant) -> (u32, u32) {
        self.seen().breaker.failing(now)
    }

    /// Notes that a call is made.
    pub fn begin(self: &Arc<Self>, now: Instant) -> Passage {
        self.seen().breaker.begin(now);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Passage { outlook: self.clone(), began: now, ended: false }
    }
}

/// A call on its way to an instance. One that is dropped was given up: then it is only known that it would have taken
/// longer.
pub(crate) struct Passage {
    outlook: Arc<Outlook>,
    began: Instant,
    ended: bool,
}

impl Passage {
    /// What is seen of the instance that it goes to.
    pub(super) fn outlook(&self) -> &Arc<Outlook> {
        &self.outlook
    }

    /// Notes what became of it. Returns how long it took, and whether the instance gets no calls for a while because
    /// of it.
    pub(super) fn end(mut self, outcome: Outcome, policy: &BreakerPolicy, now: Instant) -> (Duration, bool) {
        self.ended = true;
        let took = now.saturating_duration_since(self.began);
        let mut seen = self.outlook.seen();
        match outcome {
            Outcome::Good => {
                seen.takes.observe(took, now);
                seen.measured = true;
            }
            // What fails at once is no quicker for that: else all calls would be drawn to it.
            Outcome::Failed | Outcome::Lost | Outcome::Cut => {
                let expected = seen.takes.worst(took, now);
                seen.takes.observe(expected, now);
            }
            Outcome::Busy => {}
        }
        (took, seen.breaker.note(outcome, policy, now))
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.outlook.in_flight.fetch_sub(1, Ordering::Relaxed);
        if !self.ended {
            let now = Instant::now();
            let took = now.saturating_duration_since(self.began);
            let mut seen = self.outlook.seen();
            if took > seen.takes.worst(Duration::ZERO, now) {
                seen.takes.observe(took, now);
                seen.measured = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn whoever_has_more_in_work_or_is_slower_costs_more() {
        let now = Instant::now();
        let (one, two) = (Arc::new(Outlook::new(now)), Arc::new(Outlook::new(now)));
        let passage = one.begin(now);
        assert!(one.load(MS, now) > two.load(MS, now));
        passage.end(Outcome::Good, &BreakerPolicy::default(), now + 8 * MS);
        assert!(one.load(MS, now + 8 * MS) > two.load(MS, now + 8 * MS), "it took eight times as long");
        drop(two.begin(now));
        assert_eq!(two.in_flight.load(Ordering::Relaxed), 0, "given up");
    }

    #[test]
    fn what_fails_at_once_does_not_become_cheap() {
        let now = Instant::now();
        let outlook = Arc::new(Outlook::new(now));
        outlook.begin(now).end(Outcome::Good, &BreakerPolicy::default(), now + 10 * MS);
        for _ in 0..100 {
            outlook.begin(now).end(Outcome::Failed, &BreakerPolicy::default(), now + MS);
        }
        assert!(outlook.load(MS, now + 10 * MS) > 0.009);
        assert_eq!(outlook.failing(now), (101, 100));
    }
}
