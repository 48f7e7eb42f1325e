//! The contract of calls: what the node does for whoever calls a person's service, so that no client has to.
//!
//! A call gets an instance ([`choice`]) that is near, quick and well ([`outlook`], [`breaker`]); another one when it
//! certainly came to nothing, or may be done twice, within what its caller has earned ([`budget`]); and the help of a
//! second one if it takes longer than nearly all others did ([`latencies`]). What is done with the calls of a service
//! is its [`Policy`]. All of this is done once, by the node at whose door the call came in:
//! others only pass it to the instance that was chosen, so that attempts do not multiply.

mod attempts;
mod breaker;
mod budget;
mod callee;
mod choice;
mod counters;
mod latencies;
mod outlook;
mod peak_ewma;
mod rehearsal;
mod traffic;
mod unwell;

pub(crate) use attempts::{Attempt, Attempts, offering, unreached};
pub use counters::Counted;
pub(crate) use counters::Counters;
pub use rehearsal::Rehearsal;
pub(crate) use unwell::{Ill, Unwell};

use crate::{
    policy::{Policy, PolicyBook},
    registry::{Instances, Registry},
};
use budget::Budgets;
use callee::Callee;
use choice::{Distance, Seat};
use micro_mesh::Mesh;
use micro_sdk::wire::{Head, Instance, Namespace, NodeId, Seams, ServiceName};
use outlook::Outlook;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, RwLock},
    time::Duration,
};
use tokio::time::Instant;

/// Services that are remembered although they have no instance any more.
const GONE_MAX: usize = 64;

/// The contract as one node keeps it. Clones share everything.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Inner>);

struct Inner {
    mesh: Mesh,
    registry: Registry,
    seams: Seams,
    book: PolicyBook,
    budgets: Budgets,
    counters: Counters,
    callees: RwLock<BTreeMap<(Namespace, ServiceName), Arc<Callee>>>,
}

impl Calls {
    pub fn new(mesh: Mesh, registry: Registry, seams: Seams, book: PolicyBook) -> Self {
        Calls(Arc::new(Inner {
            mesh,
            registry,
            seams,
            book,
            budgets: Budgets::new(),
            counters: Counters::default(),
            callees: RwLock::default(),
        }))
    }

    /// What was done so far.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Begins a call that came in at a door of this node.
    pub fn attempts(&self, head: &Head, candidates: Instances) -> Attempts {
        Attempts::new(self.clone(), head, candidates)
    }

    fn callee(&self, namespace: &Namespace, service: &ServiceName) -> Arc<Callee> {
        let key = (namespace.clone(), service.clone());
        let known =
            self.0.callees.read().expect("no code panics while it holds the services").get(&key).cloned();
        known.unwrap_or_else(|| {
            let table = self.0.registry.table();
            let mut callees = self.0.callees.write().expect("no code panics while it holds the services");
            if callees.len() >= table.all().len() + GONE_MAX {
                callees.retain(|key, _| table.all().contains_key(key));
            }
            callees.entry(key).or_insert_with(|| Arc::new(Callee::new())).clone()
        })
    }

    /// What is done with the calls of a service.
    pub fn policy(&self, namespace: &Namespace, service: &ServiceName) -> Arc<Policy> {
        self.0.book.policy(namespace, service)
    }

    /// Who could get a call, with what is known of each.
    fn seats(&self, callee: &Callee, candidates: Instances, now: Instant) -> Vec<Seat> {
        let (here, table) = (self.0.mesh.node(), self.0.registry.table());
        let own = table.place(here);
        let outlooks = callee.outlooks(&candidates, now);
        let seat = |(instance, outlook): (Arc<Instance>, Arc<Outlook>)| {
            let (node, traits) = (instance.node, table.traits(instance.node).clone());
            let (distance, way) = match node == here {
                true => (Distance::Node, Duration::ZERO),
                false => {
                    let distance = Distance::between(own, &traits.place);
                    let measured = self.0.mesh.rtt(node);
                    if measured.is_some() {
                        outlook.way_found();
                    }
                    (distance, measured.unwrap_or(distance.usual()))
                }
            };
            Seat { instance, traits, distance, way, outlook }
        };
        let mut seats: Vec<Seat> = candidates.into_iter().zip(outlooks).map(seat).collect();
        if seats.len() > 1 {
            self.pass_over_unheard(&mut seats);
        }
        seats
    }

    /// Leaves out those whose nodes do not answer any more, long before these count as dead; unless all are such.
    fn pass_over_unheard(&self, seats: &mut Vec<Seat>) {
        let here = self.0.mesh.node();
        let heard = |node: NodeId| node == here || self.0.mesh.is_up(node);
        let unheard: BTreeSet<NodeId> =
            seats.iter().map(|seat| seat.instance.node).filter(|node| !heard(*node)).collect();
        if seats.iter().any(|seat| !unheard.contains(&seat.instance.node)) {
            seats.retain(|seat| !unheard.contains(&seat.instance.node));
        }
    }

    fn chance(&self) -> u64 {
        u64::from_le_bytes(self.0.seams.random())
    }
}
