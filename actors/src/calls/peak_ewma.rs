//! How long an instance takes to answer: as an average, and as one that fears the worst.

use std::time::Duration;
use tokio::time::Instant;

/// How long what was measured counts: after it, two thirds of an old peak are forgotten. It is that of Finagle.
const TAU: Duration = Duration::from_secs(10);
/// What is kept of an average at most when another answer comes: hundreds of them are the present, however quickly
/// they come.
const KEPT_MAX: f64 = 0.995;

/// A moving average that a slow answer raises at once, and that quick ones lower bit by bit (Finagle, "Peak EWMA" load
/// balancer, 2015), and beside it a plain one. What is not measured any more fades, so that an instance that was slow
/// once is tried again.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeakEwma {
    peak: f64,
    average: f64,
    at: Instant,
}

impl PeakEwma {
    /// Of an instance that was not measured yet, and is expected to take as long.
    pub fn expecting(time: Duration, now: Instant) -> Self {
        PeakEwma { peak: nanos(time), average: nanos(time), at: now }
    }

    /// Takes in that an answer took so long.
    pub fn observe(&mut self, took: Duration, now: Instant) {
        let took = nanos(took);
        let kept = self.kept(now);
        // Answers at one moment are as many measures: each counts a little.
        let kept = kept.min(KEPT_MAX);
        self.peak = if took > self.peak { took } else { self.peak * kept + took * (1.0 - kept) };
        self.average = self.average * kept + took * (1.0 - kept);
        self.at = now;
    }

    /// How long the next answer takes if it is a bad moment; never less than `least`.
    pub fn worst(&self, least: Duration, now: Instant) -> Duration {
        Duration::from_nanos((self.peak * self.kept(now)) as u64).max(least)
    }

    /// How long answers take in the mean; never less than `least`.
    pub fn average(&self, least: Duration, now: Instant) -> Duration {
        Duration::from_nanos((self.average * self.kept(now)) as u64).max(least)
    }

    /// The share of what was known that still counts.
    fn kept(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (-passed / TAU.as_secs_f64()).exp()
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_slow_answer_counts_at_once_and_is_forgotten_bit_by_bit() {
        let start = Instant::now();
        let mut ewma = PeakEwma::expecting(MS, start);
        ewma.observe(100 * MS, start);
        assert_eq!(ewma.worst(MS, start), 100 * MS);
        for second in 1..=10 {
            ewma.observe(MS, start + Duration::from_secs(second));
        }
        let later = ewma.worst(MS, start + Duration::from_secs(10));
        assert!(later > 30 * MS && later < 45 * MS, "{later:?}");
    }

    #[test]
    fn what_is_not_measured_any_more_fades_to_what_the_way_alone_takes() {
        let start = Instant::now();
        let mut ewma = PeakEwma::expecting(MS, start);
        ewma.observe(1000 * MS, start);
        assert!(ewma.worst(2 * MS, start + TAU) < 400 * MS);
        assert_eq!(ewma.worst(2 * MS, start + 100 * TAU), 2 * MS);
    }
}
