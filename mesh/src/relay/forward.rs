//! Sends packets on, one node further.

use super::{Outbox, packet::Packet};
use crate::{link::Link, mesh::Inner};
use std::sync::Arc;

/// Sends what goes through other nodes, until the mesh closes.
pub(crate) async fn send(inner: Arc<Inner>, mut outbox: Outbox) {
    loop {
        let sent = tokio::select! {
            biased;
            () = inner.closed() => return,
            sent = outbox.recv() => sent,
        };
        let Some((to, payload)) = sent else { return };
        let Some(path) = inner.ways().relayed(to).or_else(|| inner.tunnel.heard(to)) else { continue };
        forward(&inner, Packet::new(path, payload));
    }
}

/// Takes what comes over `link`, for this node or for others, until it is closed.
pub(crate) async fn take(inner: &Arc<Inner>, link: &Arc<Link>) {
    while let Ok(bytes) = link.connection.read_datagram().await {
        let packet = Packet::decode(&bytes);
        // Nobody speaks for another node of the mesh, nor of a way that did not come here.
        let honest = |packet: &Packet| packet.last_node() == link.peer && packet.next_node() == inner.node;
        let Some(mut packet) = packet.filter(honest) else {
            tracing::debug!(peer = %link.peer, "a relayed packet was refused");
            continue;
        };
        if packet.path.to() == inner.node {
            inner.tunnel.receive(packet);
        } else {
            packet.next += 1;
            forward(inner, packet);
        }
    }
}

/// Sends a packet to the next node of its path, over the direct link to it; without one it is lost.
fn forward(inner: &Inner, packet: Packet) {
    let link = inner.peer(packet.next_node()).and_then(|peer| peer.direct());
    let Some((link, room)) =
        link.and_then(|link| link.connection.max_datagram_size().map(|room| (link, room)))
    else {
        return;
    };
    link.touch();
    for piece in packet.fitted(room, inner.tunnel.next_number()) {
        let _ = link.connection.send_datagram(piece.encode());
    }
}
