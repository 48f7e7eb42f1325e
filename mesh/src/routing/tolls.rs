//! What ways cost beside what their links are like: money, and relays.

use super::price::Prices;
use crate::Member;
use micro_sdk::wire::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// What a relay costs, in microseconds: a packet is opened, and sealed again, and two processes wake for it, which
/// takes a quarter of that. The rest keeps ways between hosts side by side, whose round trips are all noise, from
/// going around.
pub(super) const RELAY_COST: u64 = 1000;
/// What a relay costs on top that is no gateway, where there are some: more than clouds differ within a region, and
/// less than a detour over another continent. A node at somebody's home passes on what is between clouds only where no
/// gateway does.
const NO_GATEWAY_COST: u64 = 10_000;

/// What ways cost beside what their links are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tolls {
    prices: Prices,
    /// Where each node stands; empty while nothing has a price.
    clouds: BTreeMap<NodeId, String>,
    /// Nodes that are no gateways, of a mesh that has some.
    dear: BTreeSet<NodeId>,
}

impl Tolls {
    /// With these prices, before anything is known of the nodes.
    pub(super) fn new(prices: Prices) -> Self {
        Tolls { prices, ..Tolls::default() }
    }

    /// By what all `members` tell. Returns whether they differ from what they were.
    pub(super) fn update(&mut self, members: &[Member]) -> bool {
        let cloud = |member: &Member| member.values.get("cloud").cloned().unwrap_or_default();
        let alive = members.iter().filter(|member| member.alive);
        let (gates, others): (Vec<_>, Vec<_>) = alive.clone().partition(|member| member.is_gateway());
        let dear = others.iter().map(|member| member.node).filter(|_| !gates.is_empty()).collect();
        let mut clouds = BTreeMap::new();
        if !self.prices.is_empty() {
            clouds = alive.map(|member| (member.node, cloud(member))).collect();
        }
        let changed = (&self.clouds, &self.dear) != (&clouds, &dear);
        (self.clouds, self.dear) = (clouds, dear);
        changed
    }

    /// What it costs to go from one node to another, beside what the link is like.
    pub(super) fn hop(&self, from: NodeId, to: NodeId) -> u64 {
        if self.prices.is_empty() {
            return 0;
        }
        match (self.clouds.get(&from), self.clouds.get(&to)) {
            (Some(from), Some(to)) => self.prices.between(from, to),
            _ => 0,
        }
    }

    /// What it costs to go over a node.
    pub(super) fn relay(&self, node: NodeId) -> u64 {
        RELAY_COST + if self.dear.contains(&node) { NO_GATEWAY_COST } else { 0 }
    }
}
