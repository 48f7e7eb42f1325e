//! The time that a leader stamps what it takes in with: the time of day, but never behind the group's.
//!
//! The group's time is that of the last command applied, and never goes back. A leader whose clock is behind it,
//! because its predecessor's was ahead or its own was set back, goes on from there at the pace of a stopwatch: stood
//! time still until that clock has caught up, nothing would end by its time to live meanwhile. So the group's time may
//! be ahead of everybody's clock by a constant. A clock set forward is believed at once: what is due then ends early.

use micro_sdk::wire::Clock;
use std::{
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};
use tokio::time::Instant;

/// Tells the group's time as this node would stamp it. Clones share the stopwatch.
#[derive(Clone)]
pub(crate) struct Timekeeper {
    clock: Arc<dyn Clock>,
    /// A time of the group, and when this node saw it.
    stopwatch: Arc<Mutex<(u64, Instant)>>,
}

impl Timekeeper {
    /// One whose time of day is that of `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Timekeeper { clock, stopwatch: Arc::new(Mutex::new((0, Instant::now()))) }
    }

    /// The time now, in milliseconds since 1970, given that of the last command applied here.
    pub fn time_ms(&self, applied_ms: u64) -> u64 {
        let clock_ms = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let clock_ms = u64::try_from(clock_ms).unwrap_or(u64::MAX);
        let now = Instant::now();
        let mut stopwatch = self.stopwatch.lock().expect("no code panics while it holds the stopwatch");
        let passed_ms = u64::try_from(now.duration_since(stopwatch.1).as_millis()).unwrap_or(u64::MAX);
        let watched_ms = stopwatch.0.saturating_add(passed_ms);
        if applied_ms > watched_ms {
            *stopwatch = (applied_ms, now);
        }
        clock_ms.max(watched_ms).max(applied_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::atomic::{AtomicU64, Ordering},
        time::{Duration, SystemTime},
    };

    #[derive(Default)]
    struct Set(AtomicU64);

    impl Clock for Set {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_where_the_clock_is_behind() {
        let clock = Arc::new(Set::default());
        let keeper = Timekeeper::new(clock.clone());
        clock.0.store(500, Ordering::Relaxed);
        assert_eq!(keeper.time_ms(0), 500);
        assert_eq!(keeper.time_ms(9000), 9000, "another leader's clock was ahead");
        tokio::time::advance(Duration::from_millis(70)).await;
        clock.0.store(570, Ordering::Relaxed);
        assert_eq!(keeper.time_ms(9000), 9070);
        assert_eq!(keeper.time_ms(9071), 9071);
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(keeper.time_ms(9071), 9081);
        clock.0.store(20_000, Ordering::Relaxed);
        assert_eq!(keeper.time_ms(9071), 20_000);
    }
}
