//! The seams of a simulated node: time, chance and blocking work.

use crate::trace::Trace;
use micro_sdk::wire::{Blocking, Clock, Entropy, Job, Seams, Timer};
use rand::{RngCore, SeedableRng, rngs::SmallRng};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::{runtime::Handle, time::sleep};

/// The time of day at which every simulation begins: 15 January 2027.
const BEGIN: Duration = Duration::from_secs(1_800_000_000);

/// How long a blocking job takes. It runs on the node's one thread, but not before this has passed, as one
/// handed to a thread pool would.
const JOB_TAKES: Duration = Duration::from_millis(1);

/// How far a node's clock is off, in milliseconds. Shared with whoever turns it.
pub type Skew = Arc<AtomicI64>;

/// The seams of one start of a node. `seed` must be another one for every start.
pub fn seams(seed: u64, trace: Trace, skew: Skew) -> Seams {
    Seams {
        clock: clock(trace, skew),
        entropy: Arc::new(SeededEntropy(Mutex::new(SmallRng::seed_from_u64(seed)))),
        blocking: Arc::new(VirtualTime),
    }
}

/// The clock of a host.
pub fn clock(trace: Trace, skew: Skew) -> Arc<dyn Clock> {
    Arc::new(SkewedClock { trace, skew })
}

/// Simulated time of day, wrong by some.
struct SkewedClock {
    trace: Trace,
    skew: Skew,
}

impl Clock for SkewedClock {
    fn now(&self) -> SystemTime {
        let now = SystemTime::UNIX_EPOCH + BEGIN + self.trace.now();
        let skew = self.skew.load(Ordering::Relaxed);
        let off = Duration::from_millis(skew.unsigned_abs());
        if skew < 0 { now - off } else { now + off }
    }
}

/// Chance from a seed.
struct SeededEntropy(Mutex<SmallRng>);

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().expect("nothing panics while it draws").fill_bytes(bytes);
    }
}

/// Runs work on the runtime of the host that asks for it, in virtual time. What is not done when the host
/// dies is never done.
pub struct VirtualTime;

impl Timer for VirtualTime {
    fn after(&self, delay: Duration, job: Job) {
        // Without a runtime the host is being torn down.
        if let Ok(host) = Handle::try_current() {
            host.spawn(async move {
                sleep(delay).await;
                job();
            });
        }
    }
}

impl Blocking for VirtualTime {
    fn run(&self, job: Job) {
        self.after(JOB_TAKES, job);
    }
}
