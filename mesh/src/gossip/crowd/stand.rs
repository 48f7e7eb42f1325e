//! What one node of a crowd finds around it.

use super::{
    super::{Member, Surroundings, UNTOLD},
    ground::Ground,
};
use crate::{
    BoxFuture,
    link::lock,
    routing::{LinkMetric, LinkMetrics, Neighbourhood, OwnLink, Prospect, Region},
};
use bytes::Bytes;
use micro_sdk::wire::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// A node's place on the ground.
pub(super) struct Stand {
    node: NodeId,
    /// Whom it knew before it heard of anybody.
    known: BTreeSet<NodeId>,
    ground: Arc<Ground>,
    told: Mutex<LinkMetrics>,
    neighbourhood: Mutex<Neighbourhood>,
}

impl Stand {
    pub(super) fn new(node: NodeId, region: Region, known: BTreeSet<NodeId>, ground: Arc<Ground>) -> Self {
        let neighbourhood = Mutex::new(Neighbourhood::new(node, region));
        Stand { node, known, ground, told: Mutex::default(), neighbourhood }
    }

    /// Chooses whom to be linked to, as a mesh does.
    pub(super) fn choose(&self, members: &[Member]) {
        let told: BTreeMap<NodeId, &Member> = members.iter().map(|member| (member.node, member)).collect();
        let others: BTreeSet<NodeId> = told.keys().chain(&self.known).copied().collect();
        let others = others.into_iter().filter(|node| *node != self.node);
        let prospects: Vec<Prospect> =
            others.map(|node| Prospect::of(node, told.get(&node).copied(), true)).collect();
        if let Some(chosen) = lock(&self.neighbourhood).anew(prospects, Instant::now()) {
            self.ground.choose(self.node, chosen);
        }
    }
}

impl Surroundings for Stand {
    fn closed(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn chance(&self) -> u64 {
        self.ground.chance()
    }

    fn life(&self, node: NodeId) -> Option<u64> {
        self.ground.life(self.node, node)
    }

    fn linked(&self) -> Vec<NodeId> {
        self.ground.linked(self.node)
    }

    fn answering(&self) -> Vec<NodeId> {
        self.ground.linked(self.node)
    }

    fn delivery(&self, to: NodeId, message: Bytes) -> Option<BoxFuture<'static, ()>> {
        self.ground.life(self.node, to)?;
        Some(Box::pin(self.ground.clone().carry(self.node, to, message)))
    }

    fn measure_links(&self) -> Vec<(String, Option<String>)> {
        let link = |node: NodeId| {
            let round_trip = self.ground.latency(self.node, node) * 2;
            let metric = LinkMetric::new(round_trip, Duration::ZERO, 0.0);
            (node, OwnLink { metric, kept: true, steady: true })
        };
        lock(&self.told).update(&self.linked().into_iter().map(link).collect())
    }

    fn due(&self, _now: Instant) -> Option<Instant> {
        None
    }

    fn prune(&self, _told: &BTreeMap<NodeId, Member>) {}

    fn meet(&self, member: &mut Member, _also: Vec<SocketAddr>) -> bool {
        let linked = self.life(member.node).is_some();
        member.alive |= linked;
        linked || member.address != UNTOLD
    }

    fn act_on(&self, members: &[Member]) {
        self.choose(members);
    }
}
