//! The seams of a real host. The one place that reads the time of day and the operating system's randomness.

use micro_sdk::wire::{Blocking, Clock, Entropy, Job, Seams};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the time of day")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The longest request that is served from the pool: ids. Secrets are longer and come fresh from the system.
const POOLED_BYTES_MAX: usize = 16;
/// How many bytes are asked of the system at a time for ids: one call for some hundred of them.
const POOL_BYTES: usize = 4096;

struct SystemEntropy {
    system: SystemRandom,
    pool: Mutex<Vec<u8>>,
}

impl SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the seam of chance")]
    fn new() -> Self {
        SystemEntropy { system: SystemRandom::new(), pool: Mutex::default() }
    }

    fn fresh(&self, bytes: &mut [u8]) {
        self.system.fill(bytes).expect("the operating system gives random bytes");
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > POOLED_BYTES_MAX {
            return self.fresh(bytes);
        }
        let mut pool = self.pool.lock().expect("no code panics while it holds the pool");
        if pool.len() < bytes.len() {
            pool.resize(POOL_BYTES, 0);
            self.fresh(&mut pool);
        }
        let left = pool.len() - bytes.len();
        bytes.copy_from_slice(&pool[left..]);
        pool.truncate(left);
    }
}

/// tokio's pool for blocking work, whose size the runtime's builder sets.
struct BlockingPool;

impl Blocking for BlockingPool {
    #[expect(clippy::disallowed_methods, reason = "this is the seam of blocking work")]
    fn run(&self, job: Job) {
        tokio::task::spawn_blocking(job);
    }
}

/// The seams of a real host.
pub fn production_seams() -> Seams {
    Seams {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
        blocking: Arc::new(BlockingPool),
    }
}
