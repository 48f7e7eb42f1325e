//! Membership at work: nodes that leave or are removed.

use crate::{
    auth::node_head,
    network::{
        NETWORK, NetworkService,
        departure::voters_without,
        leadership::{HAND_OVER_PATIENCE, not_leader},
        steward::fit_learners,
    },
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use futures::future::join_all;
use micro_consensus::Observation;
use micro_sdk::wire::{Caller, Code, Codec, Fault, NodeId};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

/// How long it may take until a node is reached again, to which the way went over one that has just died: that is
/// noticed within two seconds, and another way is taken in a third.
const NEW_WAY_PATIENCE: Duration = Duration::from_secs(3);
/// How long a node may take to answer before it counts as down.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How long a learner may take to catch up before a vote that becomes free goes to nobody. One that has just joined
/// takes less than a second of it; one that has much to fetch is not waited for.
const LEARNER_PATIENCE: Duration = Duration::from_secs(3);
/// How often is looked whether something awaited has come.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long a node that leaves may wait for the group to let it go.
const LEAVE_DEADLINE: Duration = Duration::from_secs(15);

/// Endpoint `remove`: takes a node out of the mesh for good, whether it lives or not. Answers with a [`MemberReply`]:
/// who was removed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RemoveRequest {
    /// The name or id of the node.
    pub node: String,
    /// Also if it is up. It could leave itself then, and finish what it has in work.
    pub even_if_up: bool,
    /// Also if the only copies of blobs are on it.
    pub even_if_blobs_are_lost: bool,
}

/// Endpoint `leave`: gives up this node's membership for good.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LeaveRequest {
    /// Also if blobs that are on it have too few copies elsewhere.
    pub even_if_blobs_are_lost: bool,
}

/// A node of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MemberReply {
    /// Its id.
    pub node: NodeId,
    /// Its name.
    pub name: String,
}

/// Endpoint `remove-member`, from node to leader.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct RemoveMember {
    pub node: NodeId,
    pub even_if_up: bool,
}

impl NetworkService {
    /// Gives up this node's membership for good.
    pub(super) async fn leave(&self, even_if_blobs_are_lost: bool) -> Result<(), Fault> {
        let node = self.mesh.node();
        if self.consensus.observe().addresses.len() <= 1 {
            return Err(Fault::new(
                Code::Conflict,
                "this is the only node of the mesh: there is nothing to leave",
            )
            .help("to wipe it, stop it and run `micro-node reset`"));
        }
        // Asked before the office is given away: a leader that may not leave had better stay one.
        if self.consensus.observe().leading {
            self.voters_soon_without(node).await?;
        }
        // Looked at in any case: it tells of a lost quorum, which leaving needs too.
        match self.blobs.check_spared(node, true, Instant::now() + LEAVE_DEADLINE).await {
            Err(fault) if even_if_blobs_are_lost && fault.code == Code::Conflict => {}
            spared => spared?,
        }
        if !self.consensus.hand_over(|other| self.stays(other), HAND_OVER_PATIENCE).await {
            return Err(Fault::new(Code::Unavailable, "no other node could take over the leadership")
                .help("wait until the others have caught up: `micro-node status`"));
        }
        let deadline = Instant::now() + LEAVE_DEADLINE;
        let leader = *self.consensus.watch_leader().borrow();
        let leader = leader.filter(|leader| *leader != node);
        let leader =
            leader.ok_or_else(|| Fault::new(Code::Unavailable, "there is no other leader just now"))?;
        let head = node_head(&self.seams, node, NETWORK, "leave-member", deadline);
        self.dispatch
            .call_at(leader, head, Bytes::new())
            .await
            .map_err(|fault| self.not_let_go(leader, fault))?;
        self.left.notify_one();
        Ok(())
    }

    /// What a node is told that could not leave, since the leader did not answer as it should.
    fn not_let_go(&self, leader: NodeId, fault: Fault) -> Fault {
        if !matches!(fault.code, Code::Unreachable | Code::Timeout | Code::Unknown) {
            return fault;
        }
        let message =
            format!("the leader {} did not let this node go: {}", self.name_of(leader), fault.message);
        Fault { message, ..fault }.help("see `micro-node status`: it needs a quorum; then try again")
    }

    /// The voters when `leaving` has left, and what was seen of the group then, as the leader sees it. Where they would
    /// have no quorum, a learner that is up may still catch up in [`LEARNER_PATIENCE`] and take the vote.
    ///
    /// # Errors
    /// As [`voters_without`](Self::voters_without).
    async fn voters_soon_without(&self, leaving: NodeId) -> Result<(BTreeSet<NodeId>, Observation), Fault> {
        let until = Instant::now() + LEARNER_PATIENCE;
        loop {
            let seen = self.consensus.observe();
            let outcome = self.voters_without(leaving, &seen).await;
            let members = self.mesh.gossip().members();
            let up = |node: &NodeId| members.iter().any(|member| member.node == *node && member.alive);
            let behind =
                fit_learners(&seen, &members).len() < seen.learners.iter().filter(|node| up(node)).count();
            match outcome {
                Err(fault) if fault.code == Code::Conflict && behind && Instant::now() < until => {
                    sleep(LOOK_AGAIN).await;
                }
                outcome => return outcome.map(|next| (next, seen)),
            }
        }
    }

    /// The voters when `leaving` has left, as the leader sees it.
    ///
    /// # Errors
    /// [`Code::Conflict`] if they would have no quorum, [`Code::Unavailable`] while the voters change already.
    async fn voters_without(&self, leaving: NodeId, seen: &Observation) -> Result<BTreeSet<NodeId>, Fault> {
        if seen.changing {
            return Err(Fault::new(Code::Unavailable, "the voters are being changed just now")
                .help("try again in a moment; `micro-node status` shows what it waits for"));
        }
        let fit = fit_learners(seen, &self.mesh.gossip().members());
        // Asked, since a link to a node that was just killed looks well for seconds.
        let asked = seen.voters.iter().chain(&fit).filter(|node| **node != leaving).map(|node| async {
            let answers = *node == self.mesh.node() || self.answers(*node).await;
            answers.then_some(*node)
        });
        let live: BTreeSet<NodeId> = join_all(asked).await.into_iter().flatten().collect();
        let fit: Vec<NodeId> = fit.into_iter().filter(|node| live.contains(node)).collect();
        voters_without(leaving, &seen.voters, &fit, |node| live.contains(&node)).ok_or_else(|| {
            let down = seen.voters.iter().filter(|voter| **voter != leaving && !live.contains(*voter));
            let down: Vec<String> = down.map(|voter| self.name_of(*voter)).collect();
            let why = match &down[..] {
                [] => "no other node could vote in its place".to_owned(),
                [one] => format!("{one} is down"),
                several => format!("{} are down", several.join(", ")),
            };
            let message =
                format!("without node {} the mesh would have no quorum: {why}", self.name_of(leaving));
            Fault::new(Code::Conflict, message)
                .help("start what is down, or add a node first: `micro-node token create`")
        })
    }

    /// Whether a node answers just now.
    pub(super) async fn answers(&self, node: NodeId) -> bool {
        let deadline = Instant::now() + ANSWER_PATIENCE;
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "replication", deadline);
        self.dispatch.call_at(node, head, Bytes::new()).await.is_ok()
    }

    /// Lets the calling node go. On the leader.
    pub(super) async fn leave_member(&self, caller: &Caller, deadline: Instant) -> Result<(), Fault> {
        let Caller::Node(node) = *caller else {
            return Err(Fault::new(Code::Denied, "a node leaves on its own account only"));
        };
        self.let_go(node, deadline).await?;
        tracing::info!(%node, "node left for good");
        Ok(())
    }

    /// Takes a node out of the group, and forgets it. On the leader.
    async fn let_go(&self, node: NodeId, deadline: Instant) -> Result<(), Fault> {
        let (next, seen) = self.voters_soon_without(node).await?;
        if next != seen.voters {
            for successor in next.difference(&seen.voters) {
                self.auth.hand_seal_to(*successor, deadline).await?;
            }
            self.consensus.change_voters(next).await?;
        }
        // It is none if an earlier try was cut short behind this.
        if seen.addresses.iter().any(|(member, _)| *member == node) {
            self.consensus.remove(node).await?;
        }
        self.auth.forget(node, deadline).await
    }

    /// Takes a node out of the mesh for good, wherever the leader is.
    pub(super) async fn remove(
        &self,
        request: RemoveRequest,
        deadline: Instant,
    ) -> Result<MemberReply, Fault> {
        let RemoveRequest { node, even_if_up, even_if_blobs_are_lost } = request;
        let node = self.member(&node)?;
        let removed = MemberReply { node, name: self.name_of(node) };
        self.check_quorum().await?;
        let leader = self.leader_without(node, deadline).await?;
        if !even_if_blobs_are_lost {
            self.blobs.check_spared(node, false, deadline).await?;
        }
        if leader == self.mesh.node() {
            self.remove_member(node, even_if_up, deadline).await?;
        } else {
            let head = node_head(&self.seams, self.mesh.node(), NETWORK, "remove-member", deadline);
            let request = Codec::encode(&RemoveMember { node, even_if_up });
            self.dispatch.call_at(leader, head, request.into()).await?;
        }
        Ok(removed)
    }

    /// Takes a node out of the mesh for good. On the leader.
    pub(super) async fn remove_member(
        &self,
        node: NodeId,
        even_if_up: bool,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let seen = self.consensus.observe();
        if !seen.leading {
            return Err(not_leader());
        }
        let name = self.name_of(node);
        if node == seen.node {
            return Err(Fault::new(Code::Conflict, format!("node {name} leads, so it is not down"))
                .help("let it go itself: `micro-node leave` on its host"));
        }
        if !even_if_up && self.answers(node).await {
            return Err(Fault::new(Code::Conflict, format!("node {name} is up"))
                .help("let it go itself: `micro-node leave` on its host")
                .help("or remove it all the same with --even-if-up: its process ends then"));
        }
        self.let_go(node, deadline).await?;
        tracing::info!(%node, name, "node removed for good");
        Ok(())
    }

    /// Refuses what needs a quorum, if there is none.
    ///
    /// # Errors
    /// [`Code::Unavailable`], naming the voters that do not answer.
    async fn check_quorum(&self) -> Result<(), Fault> {
        let until = Instant::now() + NEW_WAY_PATIENCE;
        let (voters, silent) = loop {
            let voters = self.consensus.observe().voters;
            let asked = voters.iter().map(|voter| async {
                let answers = *voter == self.mesh.node() || self.answers(*voter).await;
                (!answers).then(|| self.name_of(*voter))
            });
            let silent: Vec<String> = join_all(asked).await.into_iter().flatten().collect();
            if (voters.len() - silent.len()) * 2 > voters.len() {
                return Ok(());
            }
            if Instant::now() >= until {
                break (voters, silent);
            }
            sleep(LOOK_AGAIN).await;
        };
        let message = format!(
            "there is no quorum: of {} voters {} do not answer: {}",
            voters.len(),
            silent.len(),
            silent.join(", ")
        );
        Err(Fault::new(Code::Unavailable, message)
            .help("start enough of them for a majority: see `micro-node status`"))
    }

    /// The members of the mesh, those too that are down.
    pub(super) fn members(&self) -> BTreeSet<NodeId> {
        let addresses = self.consensus.observe().addresses;
        let mut members: BTreeSet<NodeId> = addresses.iter().map(|(node, _)| *node).collect();
        members.extend(self.mesh.gossip().members().iter().map(|member| member.node));
        members
    }

    /// The member of the mesh with this name or id. Its host may be gone for long.
    pub(super) fn member(&self, name_or_id: &str) -> Result<NodeId, Fault> {
        let members = self.members();
        let is_it = |node: &NodeId| node.to_string() == name_or_id || self.name_of(*node) == name_or_id;
        let found: Vec<NodeId> = members.iter().copied().filter(is_it).collect();
        match found[..] {
            [node] => Ok(node),
            [] => {
                // Gossip remembers for a while who was removed.
                let addresses = self.consensus.observe().addresses;
                let names: Vec<String> = addresses.iter().map(|(node, _)| self.name_of(*node)).collect();
                Err(Fault::new(
                    Code::NotFound,
                    format!("no node of the mesh has the name or id {name_or_id:?}"),
                )
                .help(format!("there are: {}", names.join(", "))))
            }
            _ => {
                let ids: Vec<String> = found.iter().map(NodeId::to_string).collect();
                Err(Fault::new(Code::Conflict, format!("{} nodes have the name {name_or_id:?}", found.len()))
                    .help(format!("say which one by its id: {}", ids.join(", "))))
            }
        }
    }
}
