//! What a mesh makes of its links and of what others tell of theirs: whom to keep linked, which ways to go.

use super::Inner;
use crate::{
    Member,
    link::{Peer, lock},
    routing::{FULL_MAX, Prospect, Ways},
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

    /// Chooses the nodes to keep links to, if that may give others than before. Others are linked while somebody wants
    /// that.
    pub(crate) fn keep_links(&self, members: &[Member]) {
        let told: BTreeMap<NodeId, &Member> = members.iter().map(|member| (member.node, member)).collect();
        let peers = self.peers();
        let prospect =
            |peer: &Arc<Peer>| Prospect::of(peer.node, told.get(&peer.node).copied(), !peer.is_undialable());
        let prospects: Vec<Prospect> = peers.iter().map(prospect).collect();
        let full = prospects.len() < FULL_MAX;
        let Some(chosen) = lock(&self.neighbourhood).anew(prospects, Instant::now()) else { return };
        for peer in peers {
            peer.keep(chosen.contains(&peer.node), full);
        }
    }
}
