//! What a mesh makes of its links and of what others tell of theirs: whom to keep linked, which ways to go.

use super::Inner;
use crate::{
    Member,
    link::{Peer, lock},
    routing::{FULL_MAX, Prospect, Region, Ways, neighbours},
};
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

impl Inner {
    /// The ways to all nodes.
    pub(crate) fn ways(&self) -> &Ways {
        &self.ways
    }

    /// Looks at this node's links. Returns what to tell of them, by key.
    pub(crate) fn measure_links(&self) -> Vec<(String, Option<String>)> {
        let measured = |peer: &Arc<Peer>| Some((peer.node, peer.measured()?));
        self.ways.measured(&self.peers().iter().filter_map(measured).collect())
    }

    /// Goes by what is the best way now, if that may have changed by what `members` tell or was measured here.
    pub(crate) fn find_ways(&self, members: &[Member]) {
        let now = Instant::now();
        self.ways.hear(members);
        if self.ways.due(now).is_none_or(|due| due > now) {
            return;
        }
        for node in self.ways.compute(now) {
            tracing::debug!(peer = %node, relayed = ?self.ways.relayed(node), "way");
        }
        for peer in self.peers() {
            peer.go(self.ways.relayed(peer.node));
        }
    }

    /// Chooses the nodes to keep links to, if those that there are have changed. Others are linked while somebody wants
    /// that.
    pub(crate) fn keep_links(&self, members: &[Member]) {
        let told: BTreeMap<NodeId, &Member> = members.iter().map(|member| (member.node, member)).collect();
        let peers = self.peers();
        let prospect = |peer: &Arc<Peer>| {
            let told = told.get(&peer.node);
            let value = |key| told.and_then(|member| member.values.get(key)).map_or("", String::as_str);
            let region = Region::of(value("cloud"), value("region"));
            let sound = told.is_none_or(|member| member.alive) && !peer.is_undialable();
            let gateway = told.is_some_and(|member| member.is_gateway());
            Prospect { node: peer.node, region, gateway, sound }
        };
        let prospects: Vec<Prospect> = peers.iter().map(prospect).collect();
        let known = &mut *lock(&self.prospects);
        if *known == prospects {
            return;
        }
        let chosen = neighbours(self.node, self.region, &prospects);
        for peer in peers {
            peer.keep(chosen.contains(&peer.node), prospects.len() < FULL_MAX);
        }
        *known = prospects;
    }
}
