//! Instances that fail the calls which this node sends them, as the status tells: what is noted for the choice anyway,
//! looked at when somebody asks. Each node sees those that it calls itself.

use super::{
    Calls,
    breaker::Admission,
    choice::{Choice, Seat},
};
use micro_sdk::wire::Instance;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// An instance that fails its calls.
#[derive(Clone, Debug)]
pub(crate) struct Unwell {
    pub instance: Arc<Instance>,
    pub ill: Ill,
}

/// How it fails them, and what comes of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ill {
    /// So many were lost one after the other. It gets none for so long; after that it is tried by the next that comes.
    Shut { lost: u32, wait: Option<Duration> },
    /// It fails most of them, and others get them meanwhile.
    PassedOver { failed: u32, calls: u32 },
    /// The same, and there is no other that does better.
    Failing { failed: u32, calls: u32 },
}

impl Calls {
    /// Those of all services that this node has called of late.
    pub fn unwell(&self) -> Vec<Unwell> {
        let now = Instant::now();
        let called = self.0.callees.read().expect("no code panics while it holds the services").clone();
        let table = self.0.registry.table();
        let mut unwell = Vec::new();
        for ((namespace, service), callee) in called {
            // What does not work by its own account is told of as such.
            let working = table.instances(&namespace, &service).to_vec();
            let (seats, policy) = (self.seats(&callee, working, now), self.policy(&namespace, &service));
            let choice = Choice::new(&seats, &policy, None, 0);
            let open = |seat: &&Seat| seat.outlook.admission(now) == Admission::Open;
            let passed_over = choice.outliers(&seats.iter().filter(open).collect::<Vec<_>>(), now);
            unwell.extend(seats.iter().filter_map(|seat| {
                let (calls, failed) = seat.outlook.failing(now);
                let most = f64::from(failed) >= policy.breaker.failing * f64::from(calls);
                let ill = match seat.outlook.shut(now) {
                    Some((lost, wait)) => Ill::Shut { lost, wait },
                    None if passed_over.contains(&seat.instance.id) => Ill::PassedOver { failed, calls },
                    None if calls >= policy.breaker.least_calls && most => Ill::Failing { failed, calls },
                    None => return None,
                };
                Some(Unwell { instance: seat.instance.clone(), ill })
            }));
        }
        unwell
    }
}
