//! When an instance is given no calls for a while, because those that it had came to nothing.

use crate::policy::BreakerPolicy;
use std::time::Duration;
use tokio::time::Instant;

/// How long calls are counted together: long enough for a share to mean something, short enough to be about now.
const WINDOW: Duration = Duration::from_secs(10);
/// How long the one call may be out by which a circuit is tried: its caller may have gone away and told nothing.
const TRIAL: Duration = Duration::from_secs(10);
/// How long it is still told that an instance got no calls, once it may be tried and nobody has: so that whoever
/// looks a little later sees it, and what nobody calls any more is not told of for ever.
const TOLD: Duration = Duration::from_secs(60);
/// How often the time doubles for which a circuit is open. The policy bounds it sooner.
const DOUBLINGS_MAX: u32 = 16;

/// What became of a call, as far as it says something of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered, even if that was a refusal of what was asked.
    Good,
    /// It answered that it failed: its own mistake, or that of whoever asked for something odd.
    Failed,
    /// It did not answer in time, or broke off.
    Lost,
    /// The way to it broke off, which is lost as well, until there is another one.
    Cut,
    /// It had no room. That is no fault, and no proof of health.
    Busy,
}

/// Whether an instance may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Open,
    /// It may be tried by this one call, on whose outcome it depends what comes next.
    Trial,
    /// Not before so much time has passed.
    Refused(Duration),
}

/// The circuit breaker of one instance (M. Nygard, "Release It!", 2007), which also counts for how much of the
/// traffic it fails.
#[derive(Clone, Copy, Debug)]
pub(super) struct Breaker {
    state: State,
    /// Calls lost one after the other, and how many of these by the way to it.
    lost: u32,
    cut: u32,
    /// How often it has opened without a call having gone well in between.
    openings: u32,
    window: Window,
    before: Window,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { until: Instant, by_way: bool },
    Trying { since: Instant },
}

/// Calls of one period.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Instant,
    calls: u32,
    failed: u32,
}

impl Window {
    fn starting(since: Instant) -> Self {
        Window { since, calls: 0, failed: 0 }
    }
}

impl Breaker {
    pub fn new(now: Instant) -> Self {
        let window = Window::starting(now);
        Breaker { state: State::Closed, lost: 0, cut: 0, openings: 0, window, before: window }
    }

    /// Whether a call may be made now. Nothing is noted: the one that is made [begins](Self::begin).
    pub fn admission(&self, now: Instant) -> Admission {
        match self.state {
            State::Closed => Admission::Open,
            State::Open { until, .. } if now < until => Admission::Refused(until - now),
            State::Open { .. } => Admission::Trial,
            State::Trying { since } => match TRIAL.checked_sub(now.saturating_duration_since(since)) {
                Some(left) if !left.is_zero() => Admission::Refused(left),
                _ => Admission::Trial,
            },
        }
    }

    /// How many calls were lost, one after the other, for which no more are given, and for how long, if it may not be
    /// tried yet. None where that is not so, or the way is at fault.
    pub fn shut(&self, now: Instant) -> Option<(u32, Option<Duration>)> {
        match self.state {
            State::Open { until, by_way: false } if now < until => Some((self.lost, Some(until - now))),
            State::Open { until, by_way: false } if now < until + TOLD => Some((self.lost, None)),
            State::Trying { .. } => Some((self.lost, None)),
            State::Open { .. } | State::Closed => None,
        }
    }

    /// Notes that a call is made.
    pub fn begin(&mut self, now: Instant) {
        if self.admission(now) == Admission::Trial {
            self.state = State::Trying { since: now };
        }
    }

    /// Notes that there is a way to it. If all that was lost was lost on the way, nothing speaks against it.
    pub fn way_found(&mut self) {
        if matches!(self.state, State::Open { by_way: true, .. }) {
            (self.state, self.lost, self.cut, self.openings) = (State::Closed, 0, 0, 0);
        }
    }

    /// Notes what became of a call. Returns whether that has opened the circuit.
    pub fn note(&mut self, outcome: Outcome, policy: &BreakerPolicy, now: Instant) -> bool {
        self.roll(now);
        if outcome == Outcome::Busy {
            // The one by which it was tried has shown nothing: the next may.
            if matches!(self.state, State::Trying { .. }) {
                self.state = State::Open { until: now, by_way: false };
            }
            return false;
        }
        self.window.calls = self.window.calls.saturating_add(1);
        if outcome == Outcome::Good {
            (self.state, self.lost, self.cut, self.openings) = (State::Closed, 0, 0, 0);
            return false;
        }
        self.window.failed = self.window.failed.saturating_add(1);
        if outcome == Outcome::Failed {
            // It is there, and answers.
            (self.state, self.lost, self.cut) = (State::Closed, 0, 0);
            return false;
        }
        self.lost = self.lost.saturating_add(1);
        self.cut = self.cut.saturating_add(u32::from(outcome == Outcome::Cut));
        let tried = matches!(self.state, State::Trying { .. });
        let opens = matches!(self.state, State::Closed) && self.lost >= policy.failures;
        if tried || opens {
            let doubled = policy.open.saturating_mul(1 << self.openings.min(DOUBLINGS_MAX));
            self.state =
                State::Open { until: now + doubled.min(policy.open_max), by_way: self.cut == self.lost };
            self.openings = self.openings.saturating_add(1);
        }
        tried || opens
    }

    /// Notes that a call that had begun well, and was noted as such, has failed in the end.
    pub fn failed_in_the_end(&mut self, now: Instant) {
        self.roll(now);
        self.window.failed = self.window.failed.saturating_add(1).min(self.window.calls);
    }

    /// The calls of the last seconds, and how many of them failed.
    pub fn failing(&self, now: Instant) -> (u32, u32) {
        let mut rolled = *self;
        rolled.roll(now);
        let Breaker { window, before, .. } = rolled;
        (window.calls.saturating_add(before.calls), window.failed.saturating_add(before.failed))
    }

    fn roll(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.window.since);
        if passed >= WINDOW {
            let old = passed >= 2 * WINDOW;
            self.before = if old { Window::starting(now) } else { self.window };
            self.window = Window::starting(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn policy() -> BreakerPolicy {
        BreakerPolicy { failures: 3, open: 5 * S, open_max: 12 * S, ..BreakerPolicy::default() }
    }

    #[test]
    fn it_opens_when_calls_are_lost_one_after_the_other() {
        let (now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        for outcome in [Outcome::Lost, Outcome::Lost, Outcome::Good, Outcome::Lost, Outcome::Lost] {
            assert!(!breaker.note(outcome, &policy, now));
        }
        assert_eq!(breaker.admission(now), Admission::Open);
        assert!(breaker.note(Outcome::Lost, &policy, now));
        assert_eq!(breaker.admission(now + S), Admission::Refused(4 * S));
    }

    #[test]
    fn it_is_told_for_as_long_as_it_is_open_and_a_little_longer() {
        let (now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        breaker.note(Outcome::Lost, &policy, now);
        assert_eq!(breaker.shut(now), None);
        for _ in 0..2 {
            breaker.note(Outcome::Lost, &policy, now);
        }
        assert_eq!(breaker.shut(now + S), Some((3, Some(4 * S))));
        assert_eq!(breaker.shut(now + 6 * S), Some((3, None)));
        assert_eq!(breaker.shut(now + 5 * S + TOLD), None, "nobody calls it");
        breaker.begin(now + 6 * S);
        breaker.note(Outcome::Good, &policy, now + 6 * S);
        assert_eq!(breaker.shut(now + 6 * S), None);
        for _ in 0..3 {
            breaker.note(Outcome::Cut, &policy, now);
        }
        assert_eq!(breaker.shut(now), None, "it is the way");
    }

    #[test]
    fn one_call_tries_it_and_the_time_doubles_up_to_a_bound() {
        let (mut now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        for _ in 0..3 {
            breaker.note(Outcome::Lost, &policy, now);
        }
        for open in [5, 10, 12, 12] {
            assert_eq!(breaker.admission(now), Admission::Refused(open * S));
            now += open * S;
            assert_eq!(breaker.admission(now), Admission::Trial);
            breaker.begin(now);
            assert!(matches!(breaker.admission(now), Admission::Refused(_)), "one is enough");
            assert!(breaker.note(Outcome::Lost, &policy, now));
        }
        now += 12 * S;
        breaker.begin(now);
        breaker.note(Outcome::Good, &policy, now);
        assert_eq!(breaker.admission(now), Admission::Open);
    }

    #[test]
    fn a_trial_that_tells_nothing_is_made_again() {
        let (now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        for _ in 0..3 {
            breaker.note(Outcome::Lost, &policy, now);
        }
        let later = now + 5 * S;
        breaker.begin(later);
        assert_eq!(breaker.admission(later + TRIAL), Admission::Trial);
        breaker.note(Outcome::Busy, &policy, later);
        assert_eq!(breaker.admission(later), Admission::Trial);
    }

    #[test]
    fn a_call_that_fails_in_the_end_is_one_of_those_that_were_counted() {
        let (now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        breaker.note(Outcome::Good, &policy, now);
        for _ in 0..2 {
            breaker.failed_in_the_end(now);
            assert_eq!(breaker.failing(now), (1, 1));
        }
    }

    #[test]
    fn what_was_lost_on_the_way_counts_until_there_is_another_way() {
        let (now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        for opens in [false, false, true] {
            assert_eq!(breaker.note(Outcome::Cut, &policy, now), opens);
        }
        assert_eq!(breaker.admission(now), Admission::Refused(5 * S), "others are called meanwhile");
        breaker.way_found();
        assert_eq!(breaker.admission(now), Admission::Open);
        // One that was lost where there was a way speaks against the instance.
        for outcome in [Outcome::Cut, Outcome::Lost, Outcome::Cut] {
            breaker.note(outcome, &policy, now);
        }
        breaker.way_found();
        assert_eq!(breaker.admission(now), Admission::Refused(5 * S));
    }

    #[test]
    fn failures_of_the_last_seconds_are_counted_and_open_nothing() {
        let (now, policy) = (Instant::now(), policy());
        let mut breaker = Breaker::new(now);
        for _ in 0..10 {
            breaker.note(Outcome::Failed, &policy, now);
            breaker.note(Outcome::Good, &policy, now);
        }
        assert_eq!((breaker.admission(now), breaker.failing(now)), (Admission::Open, (20, 10)));
        assert_eq!(breaker.failing(now + 3 * WINDOW), (0, 0));
    }
}
