//! What gossip finds around it in a mesh: links to peers, and an address book.

use super::Inner;
use crate::{
    BoxFuture, Member,
    gossip::{Surroundings, UNTOLD},
    lane::GOSSIP_PRIORITY,
    link::{Link, Outgoing},
};
use bytes::Bytes;
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};
use tokio::time::Instant;

impl Surroundings for Arc<Inner> {
    fn closed(&self) -> BoxFuture<'static, ()> {
        Box::pin(Inner::closed(self))
    }

    fn chance(&self) -> u64 {
        u64::from_le_bytes(self.seams.random())
    }

    fn life(&self, node: NodeId) -> Option<u64> {
        self.peer(node)?.current().map(|link| link.life.boot)
    }

    fn linked(&self) -> Vec<NodeId> {
        self.peers().iter().filter(|peer| peer.current().is_some()).map(|peer| peer.node).collect()
    }

    fn answering(&self) -> Vec<NodeId> {
        self.peers().iter().filter(|peer| peer.is_up()).map(|peer| peer.node).collect()
    }

    fn delivery(&self, to: NodeId, message: Bytes) -> Option<BoxFuture<'static, ()>> {
        let link = self.peer(to)?.current()?;
        Some(Box::pin(async move { deliver(&link, message).await }))
    }

    fn measure_links(&self) -> Vec<(String, Option<String>)> {
        Inner::measure_links(self)
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        self.ways().due(now)
    }

    fn prune(&self, told: &BTreeMap<NodeId, Member>) {
        Inner::prune(self, |node| told.contains_key(&node));
    }

    fn meet(&self, member: &mut Member, also: Vec<SocketAddr>) -> bool {
        // A peer that answers pings is alive, whatever the detector makes of late gossip.
        // One that has not told its address yet may be known by its link.
        let peer = match member.address {
            UNTOLD => self.peer(member.node),
            told => Inner::meet(self, member.node, member.generation, told, also),
        };
        let Some(peer) = peer else { return false };
        member.alive |= peer.is_up();
        peer.heard_of(member.alive);
        member.address = peer.address();
        true
    }

    fn act_on(&self, members: &[Member]) {
        self.keep_links(members);
        self.find_ways(members);
    }
}

/// A message is a stream of its own.
async fn deliver(link: &Link, message: Bytes) {
    let Ok(send) = link.connection.open_uni().await else { return };
    let _ = send.set_priority(GOSSIP_PRIORITY);
    let mut send = Outgoing::new(send);
    if send.write(&mut [message]).await.is_ok() {
        send.finish();
    }
}
