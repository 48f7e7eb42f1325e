//! How long the calls of one endpoint took of late, and how long nearly all of them.

use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Buckets for each doubling of the time: a quantile is told too high by a fifth at most.
const STEPS: usize = 4;
/// Buckets in all: from a microsecond up to more than an hour.
const BUCKETS: usize = 32 * STEPS;
/// How long it takes until what was counted counts half: a service may become slower, and that is no reason to hedge.
const HALF_LIFE: Duration = Duration::from_secs(30);
/// The calls that must have been counted before a quantile means something: the slowest twentieth is one of twenty.
const LEAST: f64 = 20.0;

/// Answers' times, in buckets whose widths grow with them, where old ones count less and less.
pub(super) struct Latencies(Mutex<Histogram>);

struct Histogram {
    counts: [f32; BUCKETS],
    total: f32,
    halved: Option<Instant>,
}

impl Latencies {
    pub fn new() -> Self {
        Latencies(Mutex::new(Histogram { counts: [0.0; BUCKETS], total: 0.0, halved: None }))
    }

    /// Counts an answer.
    pub fn observe(&self, took: Duration, now: Instant) {
        let mut histogram = self.0.lock().expect("no code panics while it holds the latencies");
        let halved = *histogram.halved.get_or_insert(now);
        if now.saturating_duration_since(halved) >= HALF_LIFE {
            histogram.counts.iter_mut().for_each(|count| *count *= 0.5);
            histogram.total = histogram.counts.iter().sum();
            histogram.halved = Some(now);
        }
        histogram.counts[bucket(took)] += 1.0;
        histogram.total += 1.0;
    }

    /// The time within which a share of the calls were answered, from 0 to 1; none as long as too few are known.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let histogram = self.0.lock().expect("no code panics while it holds the latencies");
        let total = f64::from(histogram.total);
        if total < LEAST {
            return None;
        }
        let mut seen = 0.0;
        let found = histogram.counts.iter().position(|count| {
            seen += f64::from(*count);
            seen >= share * total
        });
        Some(end(found.unwrap_or(BUCKETS - 1)))
    }
}

/// The bucket of a time.
fn bucket(time: Duration) -> usize {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let doublings = micros.ilog2() as usize;
    let rest = (micros as f64 / (1_u64 << doublings) as f64 - 1.0) * STEPS as f64;
    (doublings * STEPS + rest as usize).min(BUCKETS - 1)
}

/// The longest time of a bucket.
fn end(bucket: usize) -> Duration {
    let (doublings, step) = (bucket / STEPS, bucket % STEPS);
    let micros = (1_u64 << doublings) as f64 * (1.0 + (step + 1) as f64 / STEPS as f64);
    Duration::from_nanos((micros * 1000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_told_with_an_error_of_a_fifth_at_most() {
        let (latencies, now) = (Latencies::new(), Instant::now());
        assert_eq!(latencies.quantile(0.95), None);
        for ms in 1..=1000_u64 {
            latencies.observe(Duration::from_millis(ms), now);
        }
        for (share, ms) in [(0.5, 500), (0.95, 950), (0.99, 990)] {
            let told = latencies.quantile(share).expect("enough are known").as_millis();
            assert!((ms..=ms + ms / 5).contains(&told), "{share}: {told} of {ms}");
        }
    }

    #[test]
    fn what_is_long_past_counts_little() {
        let (latencies, start) = (Latencies::new(), Instant::now());
        (0..100).for_each(|_| latencies.observe(Duration::from_secs(1), start));
        for second in 0..300 {
            latencies.observe(Duration::from_millis(1), start + Duration::from_secs(second));
        }
        assert!(latencies.quantile(0.95).expect("enough are known") < Duration::from_millis(2));
    }

    #[test]
    fn each_time_has_a_bucket() {
        for time in [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(7200), Duration::MAX] {
            assert!(bucket(time) < BUCKETS);
        }
        assert!(end(bucket(Duration::from_millis(10))) >= Duration::from_millis(10));
    }
}
