//! What a link's pings tell: whether the peer lives, how far it is, how much is lost on the way.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How far back the pings count. Long enough that one quick answer under load is in it, short enough that a
/// path that has become longer is seen as such.
const WINDOW: Duration = Duration::from_secs(30);
/// Pings are a second apart, or a quarter of one where links are to be given up soonest: the window holds no more.
const SAMPLES_MAX: usize = 128;
/// The pings that tell how the way is now: a way that has become longer is left within seconds.
const SAMPLES_NOW: usize = 3;

/// Differences between round trips that say nothing of how they usually are.
const STEPS_LEFT_OUT: usize = 2;

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    rtt: Duration,
    /// Packets sent on the connection so far, and lost.
    sent: u64,
    lost: u64,
}

/// The answered pings of the last 30 s.
#[derive(Debug)]
pub(crate) struct Pulse {
    samples: VecDeque<Sample>,
    heard: Instant,
    /// Since when what is sent goes the way that it goes now, if it went another before.
    moved: Option<Instant>,
}

impl Pulse {
    pub(super) fn new(now: Instant) -> Self {
        Pulse { samples: VecDeque::new(), heard: now, moved: None }
    }

    /// Takes note of an answered ping.
    pub(super) fn record(&mut self, now: Instant, rtt: Duration, sent: u64, lost: u64) {
        while self.samples.len() >= SAMPLES_MAX
            || self.samples.front().is_some_and(|old| old.at + WINDOW < now)
        {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at: now, rtt, sent, lost });
        self.heard = now;
    }

    /// Takes note that what is sent goes another way from now on: what pings took before says nothing of that.
    pub(super) fn moved(&mut self, now: Instant) {
        self.moved = Some(now);
    }

    /// When something was heard last.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// For how long nothing was heard.
    pub(super) fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    /// The lowest round trip in the window, on the way of now; the last one on another, until that was tried.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        let of_now = |sample: &&Sample| self.moved.is_none_or(|moved| sample.at >= moved + sample.rtt);
        let now = self.samples.iter().filter(of_now);
        now.map(|sample| sample.rtt).min().or(self.samples.back().map(|sample| sample.rtt))
    }

    /// The lowest round trip of the last pings: what the way is like now. One slow answer of a busy host changes
    /// nothing.
    pub(crate) fn rtt_now(&self) -> Option<Duration> {
        self.samples.iter().rev().take(SAMPLES_NOW).map(|sample| sample.rtt).min()
    }

    /// By how much a round trip of the window differs from the one before it, in the mean (as RFC 3550 has it). The two
    /// largest differences don't count: one late answer makes two, and a way that is another one now makes one.
    pub(crate) fn jitter(&self) -> Duration {
        let steps = self.samples.iter().zip(self.samples.iter().skip(1));
        let mut steps: Vec<Duration> = steps.map(|(before, now)| now.rtt.abs_diff(before.rtt)).collect();
        steps.sort_unstable();
        steps.truncate(steps.len().saturating_sub(STEPS_LEFT_OUT));
        let count = u32::try_from(steps.len()).expect("the window is small").max(1);
        steps.iter().sum::<Duration>() / count
    }

    /// The share of packets lost in the window.
    pub(crate) fn loss(&self) -> f64 {
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else { return 0.0 };
        let (sent, lost) = (last.sent.saturating_sub(first.sent), last.lost.saturating_sub(first.lost));
        if sent == 0 { 0.0 } else { (lost as f64 / sent as f64).min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_the_lowest_of_the_window() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut pulse = Pulse::new(start);
        assert_eq!(pulse.rtt(), None);
        pulse.record(start, ms(10), 100, 0);
        pulse.record(start + ms(1000), ms(80), 150, 0);
        assert_eq!(pulse.rtt(), Some(ms(10)));
        for second in 2..40 {
            pulse.record(start + ms(1000 * second), ms(50), 150 + second * 10, second);
        }
        assert_eq!(pulse.rtt(), Some(ms(50)), "the path has become longer");
        assert!((pulse.loss() - 0.1).abs() < 0.001, "{}", pulse.loss());
        pulse.record(start + ms(40_000), ms(90), 600, 40);
        assert_eq!(pulse.rtt_now(), Some(ms(50)), "one slow answer");
        for second in 41..43 {
            pulse.record(start + ms(1000 * second), ms(90), 600, 40);
        }
        assert_eq!((pulse.rtt_now(), pulse.rtt()), (Some(ms(90)), Some(ms(50))));
        pulse.moved(start + ms(42_950));
        assert_eq!(pulse.rtt(), Some(ms(90)), "the last there is");
        pulse.record(start + ms(43_000), ms(60), 610, 40);
        assert_eq!(pulse.rtt(), Some(ms(60)), "it was sent before, and is the last there is");
        pulse.record(start + ms(44_000), ms(70), 620, 40);
        pulse.record(start + ms(45_000), ms(75), 620, 40);
        assert_eq!(pulse.rtt(), Some(ms(70)), "of the way of now");
    }

    #[test]
    fn the_jitter_is_how_much_answers_differ_and_not_that_one_is_late_or_the_way_another() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let jitter = |rtts: &[u64]| {
            let mut pulse = Pulse::new(start);
            for (second, rtt) in rtts.iter().enumerate() {
                pulse.record(start + ms(1000 * second as u64), ms(*rtt), 100, 0);
            }
            pulse.jitter()
        };
        assert_eq!(jitter(&[20, 40, 20, 40, 20, 40, 20]), ms(20));
        assert_eq!(jitter(&[20, 20, 20, 300, 20, 20, 20]), ms(0), "one is late");
        assert_eq!(jitter(&[20, 20, 20, 90, 90, 90, 90]), ms(0), "the way is another");
        assert_eq!((jitter(&[]), jitter(&[1]), jitter(&[1, 9])), (ms(0), ms(0), ms(0)));
    }
}
