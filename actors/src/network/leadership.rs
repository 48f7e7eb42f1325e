//! Who leads the group: handed over in order, and awaited where the one that led is down.

use crate::{
    auth::{decode, node_head},
    network::{Complaint, MemberReply, NETWORK, NetworkService, card::Heard, membership::ANSWER_PATIENCE},
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_mesh::Mesh;
use micro_sdk::wire::{Code, Codec, Fault, NodeId, status::NodeState};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long handing leadership over may take: an election and a round through the log.
pub(super) const HAND_OVER_PATIENCE: Duration = Duration::from_secs(5);
/// How long the election of another leader may take when the one that led is down: some rounds of it.
const SUCCESSION_PATIENCE: Duration = Duration::from_secs(15);

/// Endpoint `transfer`: hands leadership over. Answers with a [`MemberReply`]: who leads now.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransferRequest {
    /// The name or id of the voter that is to lead; none for the one that is furthest.
    pub to: Option<String>,
}

impl NetworkService {
    /// Hands leadership over, wherever it is.
    pub(super) async fn transfer(&self, to: Option<&str>, deadline: Instant) -> Result<MemberReply, Fault> {
        let to = to.map(|name| self.member(name)).transpose()?;
        let leader = self.leader()?;
        if leader == self.mesh.node() {
            return self.hand_over(to).await;
        }
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "transfer-office", deadline);
        decode(&self.dispatch.call_at(leader, head, Codec::encode(&to).into()).await?)
    }

    /// Hands this leader's office over.
    pub(super) async fn hand_over(&self, to: Option<NodeId>) -> Result<MemberReply, Fault> {
        let seen = self.consensus.observe();
        if !seen.leading {
            return Err(not_leader());
        }
        if let Some(to) = to.filter(|to| *to != seen.node) {
            let name = self.name_of(to);
            if !seen.voters.contains(&to) {
                return Err(Fault::new(
                    Code::Conflict,
                    format!("node {name} does not vote, so it can't lead"),
                ));
            }
            if !self.may_lead(to).await? {
                let message =
                    format!("node {name} is drained, is leaving or has no room for writes: it can't lead");
                return Err(Fault::new(Code::Conflict, message)
                    .help(format!("put it to work again: micro-node drain {name} --undo")));
            }
        }
        let may = |other| to.map_or_else(|| self.stays(other), |to| to == other);
        if to != Some(seen.node) && !self.consensus.hand_over(may, HAND_OVER_PATIENCE).await {
            return Err(Fault::new(Code::Unavailable, "no other voter took the leadership over")
                .help("wait until the others have caught up: `micro-node status`"));
        }
        let leader = self.leader()?;
        match to.filter(|to| *to != leader) {
            None => {
                self.appoint(leader).await;
                Ok(MemberReply { node: leader, name: self.name_of(leader) })
            }
            Some(_) => Err(Fault::new(
                Code::Unavailable,
                format!("{} was elected instead; try again", self.name_of(leader)),
            )),
        }
    }

    /// Tells the leader that an operator has put it where it is. One that does not hear of it may move sooner.
    async fn appoint(&self, leader: NodeId) {
        if leader == self.mesh.node() {
            return self.appointment.note();
        }
        let deadline = Instant::now() + ANSWER_PATIENCE;
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "appoint", deadline);
        if let Err(fault) = self.dispatch.call_at(leader, head, Bytes::new()).await {
            tracing::debug!(%leader, %fault, "the leader has not heard that an operator made it one");
        }
    }

    /// Who leads; if that is `node`, and it is down, who leads after it.
    pub(super) async fn leader_without(&self, node: NodeId, deadline: Instant) -> Result<NodeId, Fault> {
        let leader = self.leader()?;
        if leader != node || node == self.mesh.node() || self.answers(node).await {
            return Ok(leader);
        }
        let mut leaders = self.consensus.watch_leader();
        let until = deadline.min(Instant::now() + SUCCESSION_PATIENCE);
        let elected =
            timeout_at(until, leaders.wait_for(|leader| leader.is_some_and(|leader| leader != node)));
        match elected.await {
            Ok(Ok(leader)) => Ok(leader.unwrap_or(node)),
            Ok(Err(_)) | Err(_) => {
                let message =
                    format!("{} led, does not answer, and nobody else was elected", self.name_of(node));
                Err(Fault::new(Code::Unavailable, message)
                    .help("see `micro-node status`: a majority of the voters must be reachable"))
            }
        }
    }

    fn leader(&self) -> Result<NodeId, Fault> {
        let leader = *self.consensus.watch_leader().borrow();
        leader.ok_or_else(|| {
            Fault::new(Code::Unavailable, "the mesh has no leader just now")
                .help("see `micro-node status`: a majority of the voters must be reachable")
        })
    }

    /// Whether a node is up and does not say that it shuts down.
    pub(super) fn stays(&self, node: NodeId) -> bool {
        stays(&self.mesh, node)
    }

    /// The same as the node itself says it just now: that it was drained, or put to work again, is known here some
    /// rounds of gossip later.
    async fn may_lead(&self, node: NodeId) -> Result<bool, Fault> {
        let deadline = Instant::now() + ANSWER_PATIENCE;
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "may-lead", deadline);
        let reply = self.dispatch.call_at(node, head, Bytes::new()).await.map_err(|fault| {
            let message = format!("node {} does not answer: {}", self.name_of(node), fault.message);
            Fault::new(Code::Unavailable, message).help("see whether it is up: micro-node status")
        })?;
        decode(&reply)
    }
}

/// Whether a node may lead: it is up, and does not say that it shuts down, is drained, or has no room for writes.
pub(crate) fn stays(mesh: &Mesh, node: NodeId) -> bool {
    let members = mesh.gossip().members();
    members.iter().any(|member| {
        let state = Heard(member).state();
        let able = !matches!(state, NodeState::Down | NodeState::Leaving | NodeState::Drained);
        member.node == node && able && !Heard(member).complains_of(Complaint::DiskFull)
    })
}

pub(super) fn not_leader() -> Fault {
    Fault::new(Code::Unavailable, "the leader has changed just now").help("try again")
}
