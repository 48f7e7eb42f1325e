//! A node that is to do nothing for a while and stay a member: before work on its host, say.
//!
//! It offers no services to the mesh, takes no attachments, and does not lead while another can. Its replica goes on,
//! its vote too: a quorum may need it. That it is drained is not kept: its next start is like any other.

use crate::{
    auth::{decode, node_head},
    network::{MemberReply, NETWORK, NetworkService, NodeCard, Phase, card::Heard},
};
use bincode::{Decode, Encode};
use micro_mesh::Member;
use micro_sdk::wire::{Code, Codec, Fault, NodeId, status::NodeState};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long the next leader may take to take over.
const HAND_OVER_PATIENCE: Duration = Duration::from_secs(3);
/// How long what another node tells may take to be heard here: some rounds of gossip.
const NEWS_PATIENCE: Duration = Duration::from_secs(2);

/// Endpoint `drain`: takes a node out of work, or puts it to work again. Answers with a [`MemberReply`]: which one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DrainRequest {
    /// The name or id of the node; none for the one that is asked.
    pub node: Option<String>,
    /// Put it to work again.
    pub undo: bool,
}

/// Endpoint `drain-here`, from node to node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct DrainHere {
    pub undo: bool,
}

impl NetworkService {
    /// Drains a node, wherever it is.
    pub(super) async fn drain(&self, request: DrainRequest, deadline: Instant) -> Result<MemberReply, Fault> {
        let DrainRequest { node, undo } = request;
        let node = match &node {
            Some(name_or_id) => self.member(name_or_id)?,
            None => self.mesh.node(),
        };
        if node == self.mesh.node() {
            return self.drain_here(DrainHere { undo }).await;
        }
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "drain-here", deadline);
        let reply = self.dispatch.call_at(node, head, Codec::encode(&DrainHere { undo }).into()).await;
        let name = self.name_of(node);
        let drained = decode(&reply.map_err(|fault| match fault.code {
            Code::Unreachable => {
                fault.help(format!("node {name} does nothing while it is down: nothing is to be drained"))
            }
            _ => fault,
        })?)?;
        // Whoever looks at the status here next is to see it.
        let until = deadline.min(Instant::now() + NEWS_PATIENCE);
        drop(timeout_at(until, self.hears_that(node, !undo)).await);
        Ok(drained)
    }

    /// Returns once it is heard here that `node` is drained, or is not.
    async fn hears_that(&self, node: NodeId, drained: bool) {
        let mut changed = self.mesh.gossip().changed();
        loop {
            let members = self.mesh.gossip().members();
            let is_drained = |member: &Member| Heard(member).state() == NodeState::Drained;
            let heard = members.iter().find(|member| member.node == node).map(is_drained);
            if heard == Some(drained) || changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Drains this node, or puts it to work again.
    pub(super) async fn drain_here(&self, DrainHere { undo }: DrainHere) -> Result<MemberReply, Fault> {
        let node = self.mesh.node();
        let drained = MemberReply { node, name: self.name_of(node) };
        if undo {
            self.registry.resume()?;
            NodeCard::publish_phase(&self.mesh, Phase::Ready);
            tracing::info!("the node is put to work again");
            return Ok(drained);
        }
        self.registry.drain();
        NodeCard::publish_phase(&self.mesh, Phase::Drained);
        tracing::info!("the node is drained");
        // The steward tries again for as long as it takes.
        self.consensus.hand_over(|other| self.stays(other), HAND_OVER_PATIENCE).await;
        Ok(drained)
    }
}
