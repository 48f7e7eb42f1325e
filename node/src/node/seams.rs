//! The seams of a real host. The one place that reads the time of day and the operating system's randomness.

use micro_sdk::wire::{Blocking, Clock, Entropy, Job, Seams};
use ring::rand::{SecureRandom, SystemRandom};
use std::{sync::Arc, time::SystemTime};

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time of day")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

struct SystemEntropy(SystemRandom);

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the operating system gives random bytes");
    }
}

/// tokio's pool for blocking work, whose size the runtime's builder sets.
struct BlockingPool;

impl Blocking for BlockingPool {
    fn run(&self, job: Job) {
        tokio::task::spawn_blocking(job);
    }
}

/// The seams of a real host.
pub fn production_seams() -> Seams {
    Seams {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy(SystemRandom::new())),
        blocking: Arc::new(BlockingPool),
    }
}
