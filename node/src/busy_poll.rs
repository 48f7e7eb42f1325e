//! Waiting without sleeping, where what is waited for has lately come soon.
//!
//! A thread that sleeps is woken through the scheduler, and on a virtual host through the hypervisor: 30 to 50 µs, more
//! than the work of a call. Where a caller asks one thing after the other, a call would pay that twice in each node. So
//! a thread looks for events again and again before it sleeps, for as long as a wait has lately lasted, and for none
//! where waits are long: the algorithm is KVM's halt polling (Linux, `Documentation/virt/kvm/halt-polling.rst`), with
//! the runtime in the place of the virtual processor. Between two looks it lets other threads of the host run.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::{Builder, Runtime};

/// The longest wait that is worth it by default, as it is to KVM. A service of the same host answers after 80 to
/// 120 µs: with a limit among these, calls would in turn be slept through and looked for.
pub const BUSY_POLL_USUAL: Duration = Duration::from_micros(200);
/// How long the first looks take: a short wait that was slept through has to be answered by a longer look than that.
const START: Duration = Duration::from_micros(10);

/// A runtime of one thread that looks for events for up to `limit` before it sleeps; zero sleeps at once.
///
/// # Errors
/// If the system gives no event queue.
pub fn build(builder: &mut Builder, limit: Duration) -> io::Result<Runtime> {
    if limit.is_zero() {
        return builder.build();
    }
    let pace = Mutex::new(Pace::new(limit));
    let busy = Arc::new(BusyPoll { pace, polls: AtomicU32::new(0), again: OnceLock::new() });
    let (before, after, polled) = (busy.clone(), busy.clone(), busy.clone());
    let runtime = builder
        .on_thread_park(move || before.before_park())
        .on_thread_unpark(move || after.with(|pace| pace.woken(now())))
        .on_before_task_poll(move |_| polled.polled())
        .build()?;
    runtime.spawn(poll_fn(move |cx| {
        busy.polled_for_nothing();
        busy.again.get_or_init(|| cx.waker().clone());
        Poll::<()>::Pending
    }));
    Ok(runtime)
}

/// The time of the host, also where tokio's is paused: this is about real processors only.
#[expect(clippy::disallowed_methods, reason = "no simulation has a runtime that is built here")]
fn now() -> Instant {
    Instant::now()
}

/// What the runtime calls, on its one thread.
struct BusyPoll {
    pace: Mutex<Pace>,
    /// Tasks that ran since there was last nothing to do. Counted by the one thread alone, before each of its tasks: no
    /// lock and no read-modify-write that other cores would have to hear of.
    polls: AtomicU32,
    /// Wakes a task that does nothing, which keeps the runtime from sleeping.
    again: OnceLock<Waker>,
}

impl BusyPoll {
    fn with<T>(&self, change: impl FnOnce(&mut Pace) -> T) -> T {
        change(&mut self.pace.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn polled(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
    }

    fn polled_for_nothing(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// The runtime has nothing to do, and sleeps next unless a task is woken here.
    fn before_park(&self) {
        let worked = self.polls.load(Ordering::Relaxed) > 0;
        self.polls.store(0, Ordering::Relaxed);
        if !self.with(|pace| pace.looks_again(now(), worked)) {
            return;
        }
        if let Some(again) = self.again.get() {
            // What is waited for may need this processor.
            thread::yield_now();
            again.wake_by_ref();
        }
    }
}

/// How long to look.
#[derive(Debug)]
struct Pace {
    limit: Duration,
    window: Duration,
    /// Since when there has been nothing to do.
    idle: Instant,
    /// When the last look or sleep ended.
    woken: Instant,
}

impl Pace {
    fn new(limit: Duration) -> Self {
        Pace { limit, window: Duration::ZERO, idle: now(), woken: now() }
    }

    fn woken(&mut self, now: Instant) {
        self.woken = now;
    }

    /// Whether to look once more instead of going to sleep, at `now`, with nothing to do. `worked` says whether there
    /// was since it was asked last.
    fn looks_again(&mut self, now: Instant, worked: bool) -> bool {
        if worked {
            self.learn(self.woken.saturating_duration_since(self.idle));
            self.idle = now;
        }
        now.saturating_duration_since(self.idle) < self.window
    }

    /// Something came after such a wait.
    fn learn(&mut self, waited: Duration) {
        if waited <= self.window {
            return;
        }
        self.window = if waited < self.limit {
            (self.window * 2).clamp(START.min(self.limit), self.limit)
        } else {
            let shorter = self.window / 2;
            if shorter < START { Duration::ZERO } else { shorter }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_micros(100);

    /// One wait of so many microseconds: whether it was slept through.
    fn wait(pace: &mut Pace, at: &mut Instant, waited_us: u64) -> bool {
        let end = *at + Duration::from_micros(waited_us);
        let (mut slept, mut worked) = (false, true);
        while *at < end {
            slept = !pace.looks_again(*at, worked);
            worked = false;
            *at = if slept { end } else { *at + Duration::from_micros(1) };
            pace.woken(*at);
        }
        slept
    }

    #[test]
    fn short_waits_are_not_slept_through_once_they_are_usual() {
        let mut pace = Pace::new(LIMIT);
        let mut at = pace.idle;
        let slept: Vec<bool> = (0..10).map(|_| wait(&mut pace, &mut at, 50)).collect();
        assert!(slept[0] && !slept[9], "{slept:?}");
    }

    #[test]
    fn long_waits_cost_nothing() {
        let mut pace = Pace::new(LIMIT);
        let mut at = pace.idle;
        for _ in 0..10 {
            wait(&mut pace, &mut at, 50);
        }
        for _ in 0..10 {
            assert!(wait(&mut pace, &mut at, 1_000), "it sleeps");
        }
        assert_eq!(pace.window, Duration::ZERO);
    }
}
