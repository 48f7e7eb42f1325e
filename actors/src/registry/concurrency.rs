//! How many calls an instance works at once: as many as are good for it, which is found out.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Answers that are taken together, at least: one alone says little.
const SAMPLES: u32 = 50;
/// And over so much time, so that each sample has seen the change before it.
const SAMPLE_TIME: Duration = Duration::from_millis(100);
/// How much slower than usual answers may be before the limit is lowered: services are not even.
const TOLERANCE: f64 = 2.0;
/// The part that each sample changes of the limit.
const SMOOTHING: f64 = 0.2;
/// The part that each sample changes of what is usual: some minutes under load make it so.
const LONG: f64 = 1.0 / 600.0;

/// The limit of one instance, that goes down when answers become slower than usual, by what waits in it (Netflix,
/// concurrency-limits, `Gradient2Limit`, 2018). What comes beyond is refused before any work is done.
pub(super) struct Concurrency {
    most: AtomicU32,
    least: AtomicU32,
    adaptive: std::sync::atomic::AtomicBool,
    limit: AtomicU32,
    in_work: AtomicU32,
    sample: Mutex<Sample>,
}

struct Sample {
    since: Instant,
    answers: u32,
    sum: Duration,
    /// The most that was in work at once: a limit that nobody came near to says nothing.
    peak: u32,
    limit: f64,
    /// What is usual, in seconds; 0 as long as nothing is known.
    usual: f64,
}

/// Room for one call. Dropping it gives the room back.
pub(super) struct Permit {
    of: Arc<Concurrency>,
    began: Instant,
}

impl Concurrency {
    /// Begins with `most`: an instance is trusted until it becomes slow.
    pub fn new(most: u32) -> Arc<Self> {
        let (since, limit) = (Instant::now(), f64::from(most));
        let sample = Sample { since, answers: 0, sum: Duration::ZERO, peak: 0, limit, usual: 0.0 };
        Arc::new(Concurrency {
            most: AtomicU32::new(most),
            least: AtomicU32::new(1),
            adaptive: true.into(),
            limit: AtomicU32::new(most),
            in_work: AtomicU32::new(0),
            sample: Mutex::new(sample),
        })
    }

    /// Goes by these bounds from now on.
    pub fn bound(&self, most: u32, least: u32, adaptive: bool) {
        let was = self.most.swap(most, Ordering::Relaxed);
        self.least.store(least.min(most), Ordering::Relaxed);
        let was_adaptive = self.adaptive.swap(adaptive, Ordering::Relaxed);
        if was != most || was_adaptive != adaptive {
            let mut sample = self.sample.lock().expect("no code panics while it holds the sample");
            sample.limit = f64::from(most);
            self.limit.store(most, Ordering::Relaxed);
        }
    }

    /// How many calls it works at once now, at most.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Room for one call, if there is some.
    pub fn permit(self: &Arc<Self>) -> Option<Permit> {
        let before = self.in_work.fetch_add(1, Ordering::Relaxed);
        if before >= self.limit() {
            self.in_work.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit { of: self.clone(), began: Instant::now() })
    }

    fn note(&self, took: Duration, now: Instant) {
        let in_work = self.in_work.load(Ordering::Relaxed);
        let mut sample = self.sample.lock().expect("no code panics while it holds the sample");
        sample.answers += 1;
        sample.sum += took;
        sample.peak = sample.peak.max(in_work);
        if sample.answers < SAMPLES || now.saturating_duration_since(sample.since) < SAMPLE_TIME {
            return;
        }
        let short = sample.sum.as_secs_f64() / f64::from(sample.answers);
        let peak = f64::from(sample.peak);
        (sample.since, sample.answers, sample.sum, sample.peak) = (now, 0, Duration::ZERO, 0);
        sample.usual = match sample.usual {
            0.0 => short,
            // After a time of trouble what is usual again is taken up sooner.
            usual if usual > TOLERANCE * short => usual * 0.95,
            usual => usual + (short - usual) * LONG,
        };
        // Far from its limit, a service is slow for other reasons.
        if peak < sample.limit / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * sample.usual / short.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
        let room = sample.limit.sqrt();
        let target = sample.limit * gradient + room;
        let next = sample.limit * (1.0 - SMOOTHING) + target * SMOOTHING;
        let (least, most) = (self.least.load(Ordering::Relaxed), self.most.load(Ordering::Relaxed));
        sample.limit = next.clamp(f64::from(least), f64::from(most));
        self.limit.store(sample.limit as u32, Ordering::Relaxed);
    }
}

impl Permit {
    /// The call was answered: how long that took says how the instance is. What goes on says nothing.
    pub fn answered(self) {
        if self.of.adaptive.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.of.note(now.saturating_duration_since(self.began), now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A service that works `servers` calls at once in 10 ms each, and lets the others wait; under `offered` calls for
    /// a while.
    fn under_load(limit: &Arc<Concurrency>, now: &mut Instant, servers: u32, offered: u32, samples: u32) {
        for _ in 0..samples * SAMPLES {
            *now += Duration::from_millis(10);
            let in_work = offered.min(limit.limit());
            limit.in_work.store(in_work, Ordering::Relaxed);
            let took = Duration::from_millis(10).mul_f64((f64::from(in_work) / f64::from(servers)).max(1.0));
            limit.note(took, *now);
        }
        limit.in_work.store(0, Ordering::Relaxed);
    }

    #[test]
    fn what_waits_in_an_instance_lowers_its_limit_and_room_raises_it() {
        let (limit, mut now) = (Concurrency::new(1000), Instant::now());
        under_load(&limit, &mut now, 50, 20, 10);
        assert_eq!(limit.limit(), 1000, "nobody came near to it");
        under_load(&limit, &mut now, 50, 2000, 60);
        let lowered = limit.limit();
        assert!(
            (50..=300).contains(&lowered),
            "{lowered}: 50 are worked at once, and twice the usual time is borne"
        );
        under_load(&limit, &mut now, 5000, 2000, 200);
        assert!(limit.limit() > 900, "{}", limit.limit());
    }

    #[test]
    fn what_comes_beyond_is_refused_at_once() {
        let limit = Concurrency::new(2);
        let (one, two) = (limit.permit(), limit.permit());
        assert!(one.is_some() && two.is_some() && limit.permit().is_none());
        drop(one);
        assert!(limit.permit().is_some());
        limit.bound(1, 1, true);
        assert!(limit.permit().is_none());
    }
}
