//! What this node knows of a service that it calls: its instances, how long its endpoints take, what came of late.

use super::{latencies::Latencies, outlook::Outlook, traffic::Traffic};
use micro_sdk::wire::{Instance, InstanceId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicU32},
};
use tokio::time::Instant;

/// Endpoints whose times are kept. A service has a few; a name that a caller makes up is none by the time it comes
/// here.
const ENDPOINTS_MAX: usize = 256;

/// What this node knows of a service that it calls.
pub(super) struct Callee {
    outlooks: Mutex<HashMap<InstanceId, Arc<Outlook>>>,
    latencies: Mutex<HashMap<Arc<str>, Arc<Latencies>>>,
    pub traffic: Traffic,
    /// Calls of it that this node has under way.
    pub in_flight: AtomicU32,
}

impl Callee {
    pub fn new() -> Self {
        Callee {
            outlooks: Mutex::default(),
            latencies: Mutex::default(),
            traffic: Traffic::new(),
            in_flight: AtomicU32::new(0),
        }
    }

    /// What was seen of each of these instances. Of others it is forgotten, as soon as they are as many.
    pub fn outlooks(&self, instances: &[Arc<Instance>], now: Instant) -> Vec<Arc<Outlook>> {
        let mut outlooks = self.outlooks.lock().expect("no code panics while it holds the outlooks");
        let mut outlook = |instance: &Arc<Instance>| {
            outlooks.entry(instance.id).or_insert_with(|| Arc::new(Outlook::new(now))).clone()
        };
        let found = instances.iter().map(&mut outlook).collect();
        if outlooks.len() > 2 * instances.len() {
            outlooks.retain(|id, _| instances.iter().any(|instance| instance.id == *id));
        }
        found
    }

    /// How long an endpoint takes, by its full name, and that name.
    pub fn latencies(&self, endpoint: &str) -> (Arc<str>, Arc<Latencies>) {
        let mut latencies = self.latencies.lock().expect("no code panics while it holds the latencies");
        if let Some((name, known)) = latencies.get_key_value(endpoint) {
            return (name.clone(), known.clone());
        }
        if latencies.len() >= ENDPOINTS_MAX {
            latencies.clear();
        }
        let (name, new): (Arc<str>, _) = (endpoint.into(), Arc::new(Latencies::new()));
        latencies.insert(name.clone(), new.clone());
        (name, new)
    }
}
