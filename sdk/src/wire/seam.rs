//! The seams of time, chance and blocking work. Production and simulation differ here and nowhere above.

use super::{ClusterId, NodeId, TraceId};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Tells the time of day: for people, certificates and expiries, never for measuring.
pub trait Clock: Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;
}

/// Gives unpredictable bytes, fit for secrets.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Work that may block a thread.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs blocking work (scans, checkpoints, flushes) off the runtime's thread.
pub trait Blocking: Send + Sync + 'static {
    /// Starts `job` and returns at once. Jobs may run at the same time, in any order.
    fn run(&self, job: Job);
}

/// Runs work later.
pub trait Timer: Send + Sync + 'static {
    /// Runs `job` once `delay` has passed, unless the process ends before.
    fn after(&self, delay: Duration, job: Job);
}

/// The seams of one node, handed down to every part of it.
#[derive(Clone)]
pub struct Seams {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
    /// Blocking work.
    pub blocking: Arc<dyn Blocking>,
}

impl Seams {
    /// Random bytes.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.entropy.fill(&mut bytes);
        bytes
    }

    /// A new node id. Never 0, which stands for nobody.
    pub fn node_id(&self) -> NodeId {
        NodeId(u64::from_le_bytes(self.random()).max(1))
    }

    /// A new cluster id.
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId(u128::from_le_bytes(self.random()))
    }

    /// A new trace id. Never 0, which W3C Trace Context calls invalid.
    pub fn trace_id(&self) -> TraceId {
        TraceId(u128::from_le_bytes(self.random()).max(1))
    }
}
