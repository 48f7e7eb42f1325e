//! How many requests of one connection were taken back. A client that sends and takes back without an end has the node
//! work for nothing, however few of its requests are open at a time (CVE-2023-44487).

use crate::doors::limits::{Bucket, Rate};
use std::{
    num::NonZeroU32,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::time::Instant;

/// How many may be taken back a second: a client whose deadlines pass takes back as many as it asks, and the fastest
/// ask tens of thousands, but not for long. An attack has hundreds of thousands.
const A_SECOND: NonZeroU32 = NonZeroU32::new(1000).expect("it is more than nothing");
/// How many at once: twice as many as may be open, since all may end together.
const AT_ONCE: u32 = 8192;

/// The requests that were taken back.
pub(super) struct Resets {
    began: Instant,
    bucket: Mutex<Bucket>,
    exhausted: AtomicBool,
}

impl Default for Resets {
    fn default() -> Self {
        Resets { began: Instant::now(), bucket: Mutex::default(), exhausted: AtomicBool::new(false) }
    }
}

impl Resets {
    /// Counts one.
    pub fn count(&self) {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.take(Rate::new(A_SECOND, AT_ONCE), self.began.elapsed()).is_err() {
            self.exhausted.store(true, Ordering::Relaxed);
        }
    }

    /// Counts what became of an answer, if it is one.
    pub fn count_if_reset(&self, sent: &Result<(), h2::Error>) {
        if sent.as_ref().is_err_and(|error| error.is_reset() && error.is_remote()) {
            self.count();
        }
    }

    /// Whether there were too many.
    pub fn exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }
}
