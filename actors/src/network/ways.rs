//! The ways between nodes, for people: which links there are, which ways could be gone and why one is, and how long one
//! takes.

use crate::{
    auth::{decode, node_head},
    network::{MemberReply, NETWORK, NetworkService},
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_mesh::{Candidate, LinkReport};
use micro_sdk::wire::{Codec, Fault, NodeId};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::Instant;

/// Ways that are told: those behind are never gone.
const CANDIDATES_MAX: usize = 8;

/// Endpoint `links`: answers with a [`LinksReply`].
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct LinksReply {
    /// The nodes, also those that have no link.
    pub nodes: Vec<MemberReply>,
    /// The links between them, each as the node at its one end tells of it.
    pub links: Vec<LinkReply>,
}

/// A link, as the node at its one end tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct LinkReply {
    /// The node that tells.
    pub from: NodeId,
    /// The node at the other end.
    pub to: NodeId,
    /// The lowest round trip of the last seconds.
    pub rtt: Duration,
    /// By how much the round trips of the last 30 s differed from one to the next, in the mean.
    pub jitter: Duration,
    /// The share of packets sent that were lost, from 0 to 1.
    pub loss: f64,
}

/// Endpoint `explain`: answers with an [`ExplainReply`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExplainRequest {
    /// The name or id of the node that sends; none for the one that is asked.
    pub from: Option<String>,
    /// The name or id of the node that it sends to.
    pub to: String,
}

/// The ways from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExplainReply {
    /// The node that sends.
    pub from: MemberReply,
    /// The node that it sends to.
    pub to: MemberReply,
    /// The ways that it could go, the cheapest first.
    pub ways: Vec<WayReply>,
}

/// A way that could be gone, and what it costs: as round trips, in all and by part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WayReply {
    /// The nodes between the two ends; none if it is the direct way.
    pub relays: Vec<MemberReply>,
    /// In all.
    pub cost: Duration,
    /// The round trips of its links.
    pub rtt: Duration,
    /// For packets that are lost on them.
    pub of_loss: Duration,
    /// For packets that are late on them.
    pub of_jitter: Duration,
    /// For money that is paid between clouds.
    pub of_price: Duration,
    /// For the relays.
    pub of_relays: Duration,
    /// Whether it is the one that is gone.
    pub chosen: bool,
}

/// Endpoint `explain-here`, from node to node: answers with the ways to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct ExplainHere {
    pub to: NodeId,
}

/// Endpoint `ping`: answers with a [`PingReply`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PingRequest {
    /// The name or id of the node.
    pub node: String,
}

/// An answered ping.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PingReply {
    /// The node that answered.
    pub node: MemberReply,
    /// The nodes that the ping passed on its way there; none if it went directly.
    pub relays: Vec<MemberReply>,
    /// Where that node is dialled; empty for the asked node itself.
    pub address: String,
    /// How long it took, there and back.
    pub took: Duration,
}

impl NetworkService {
    /// The links that this node knows of.
    pub(super) fn links(&self) -> LinksReply {
        let links: Vec<LinkReply> = self.mesh.links().into_iter().map(LinkReply::from).collect();
        let mut nodes: BTreeSet<NodeId> = links.iter().flat_map(|link| [link.from, link.to]).collect();
        nodes.insert(self.mesh.node());
        nodes.extend(
            self.mesh.gossip().members().iter().filter(|member| member.alive).map(|member| member.node),
        );
        LinksReply { nodes: nodes.into_iter().map(|node| self.named(node)).collect(), links }
    }

    /// The ways from one node to another, as the one that sends sees them.
    ///
    /// # Errors
    /// `NotFound` if there is no such node; `Unreachable` if the one that sends can't be asked.
    pub(super) async fn explain(
        &self,
        ExplainRequest { from, to }: ExplainRequest,
        deadline: Instant,
    ) -> Result<ExplainReply, Fault> {
        let to = self.member(&to)?;
        let from = from.map_or(Ok(self.mesh.node()), |from| self.member(&from))?;
        let ways = if from == self.mesh.node() {
            self.explain_here(ExplainHere { to })
        } else {
            let head = node_head(&self.seams, self.mesh.node(), NETWORK, "explain-here", deadline);
            decode(&self.dispatch.call_at(from, head, Codec::encode(&ExplainHere { to }).into()).await?)?
        };
        Ok(ExplainReply { from: self.named(from), to: self.named(to), ways })
    }

    /// The ways from this node to another.
    pub(super) fn explain_here(&self, ExplainHere { to }: ExplainHere) -> Vec<WayReply> {
        let way = |candidate: Candidate| WayReply {
            relays: candidate.relays.iter().map(|relay| self.named(*relay)).collect(),
            cost: candidate.cost,
            rtt: candidate.rtt,
            of_loss: candidate.of_loss,
            of_jitter: candidate.of_jitter,
            of_price: candidate.of_price,
            of_relays: candidate.of_relays,
            chosen: candidate.chosen,
        };
        let mut ways: Vec<WayReply> = self.mesh.candidates(to).into_iter().map(way).collect();
        // The one that is gone is told of wherever it stands.
        let chosen = ways.iter().skip(CANDIDATES_MAX).find(|way| way.chosen).cloned();
        ways.truncate(CANDIDATES_MAX);
        ways.extend(chosen);
        ways
    }

    /// Sends a ping to a node, on the way that calls go.
    ///
    /// # Errors
    /// `NotFound` if there is no such node, `Unreachable` or `Timeout` if it does not answer.
    pub(super) async fn ping(
        &self,
        PingRequest { node }: PingRequest,
        deadline: Instant,
    ) -> Result<PingReply, Fault> {
        let node = self.member(&node)?;
        let route = self.mesh.routes().into_iter().find(|route| route.node == node);
        let began = Instant::now();
        if node != self.mesh.node() {
            let head = node_head(&self.seams, self.mesh.node(), NETWORK, "ping-here", deadline);
            self.dispatch.call_at(node, head, Bytes::new()).await?;
        }
        let took = began.elapsed();
        let (relays, address) =
            route.map(|route| (route.relays, route.address.to_string())).unwrap_or_default();
        let relays = relays.into_iter().map(|relay| self.named(relay)).collect();
        Ok(PingReply { node: self.named(node), relays, address, took })
    }

    fn named(&self, node: NodeId) -> MemberReply {
        MemberReply { node, name: self.name_of(node) }
    }
}

impl From<LinkReport> for LinkReply {
    fn from(LinkReport { from, to, rtt, jitter, loss }: LinkReport) -> Self {
        LinkReply { from, to, rtt, jitter, loss }
    }
}
