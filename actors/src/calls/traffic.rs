//! The calls of the last minutes, so that it can be said what another policy would have made of them.

use super::budget::Pair;
use micro_sdk::wire::{Code, Effect, Fault};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// How far back calls are kept.
const PAST: Duration = Duration::from_secs(300);
/// How many at most, of a service: 64 bytes each. Of more, the last are kept, and it is said how much time they cover.
const CALLS_MAX: usize = 4096;

/// A call as it came to be.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub at: Instant,
    pub endpoint: Arc<str>,
    pub version: Arc<str>,
    /// How long it took, with all its attempts.
    pub took: Duration,
    /// What came of it: none if it was answered.
    pub fault: Option<(Code, Effect)>,
    pub attempts: u8,
    pub hedged: bool,
    /// Calls of the service that this node had under way then.
    pub in_flight: u32,
    /// Whose it was, and of what.
    pub pair: Pair,
}

impl Sample {
    pub fn fault_of(fault: &Fault) -> Option<(Code, Effect)> {
        Some((fault.code, fault.effect))
    }
}

/// The calls of one service that this node took in.
pub(super) struct Traffic(Mutex<VecDeque<Sample>>);

impl Traffic {
    pub fn new() -> Self {
        Traffic(Mutex::default())
    }

    pub fn note(&self, sample: Sample) {
        let mut samples = self.0.lock().expect("no code panics while it holds the samples");
        if samples.len() >= CALLS_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// The calls of the last minutes, the oldest first.
    pub fn recent(&self, now: Instant) -> Vec<Sample> {
        let samples = self.0.lock().expect("no code panics while it holds the samples");
        samples.iter().filter(|sample| now.saturating_duration_since(sample.at) <= PAST).cloned().collect()
    }
}
