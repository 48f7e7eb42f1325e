//! The network's actor.

use crate::{
    Directory, Dispatch, Invocation, Platform,
    auth::{AuthService, decode, node_head},
    network::{NodeCard, departure::voters_without, replicas::Replicas, status::View, steward::fit_learners},
    registry::Registry,
};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use micro_consensus::{Consensus, Observation};
use micro_mesh::Mesh;
use micro_sdk::wire::{
    Caller, ClusterId, Code, Codec, Fault, NodeId, Seams,
    status::{ActorStatus, Status},
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// The name of the network service.
pub const NETWORK: &str = "network";
/// How long the status waits for the leader's figures: it must come also when there is none.
const LEADER_PATIENCE: Duration = Duration::from_millis(400);
/// How long a node may take to answer before it counts as down for a departure.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How long a node that leaves may wait for the group to let it go.
const LEAVE_DEADLINE: Duration = Duration::from_secs(15);
/// How long a node that left is still talked to: it has to hear that it may go.
const FAREWELL: Duration = Duration::from_secs(2);

/// The network's actor.
pub struct NetworkService {
    mesh: Mesh,
    consensus: Consensus,
    registry: Registry,
    directory: Directory,
    dispatch: Dispatch,
    auth: Arc<AuthService>,
    card: NodeCard,
    seams: Seams,
    left: Arc<Notify>,
}

/// What the network's actor needs.
pub(crate) struct NetworkParts {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub registry: Registry,
    pub directory: Directory,
    pub dispatch: Dispatch,
    pub auth: Arc<AuthService>,
    pub card: NodeCard,
    pub seams: Seams,
    pub left: Arc<Notify>,
}

impl NetworkService {
    pub(crate) fn new(parts: NetworkParts) -> Self {
        let NetworkParts { mesh, consensus, registry, directory, dispatch, auth, card, seams, left } = parts;
        NetworkService { mesh, consensus, registry, directory, dispatch, auth, card, seams, left }
    }

    pub(crate) fn cluster(&self) -> ClusterId {
        self.mesh.cluster()
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.seams.clock.now()
    }

    pub(crate) fn actors(&self) -> Vec<ActorStatus> {
        self.directory.actors()
    }

    pub(crate) fn voters_wanted(&self) -> usize {
        self.card.voters_wanted
    }

    /// The name of a node that gossip does not know any more: as it was when it joined.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        self.auth.name_of(node).unwrap_or_else(|| node.to_string())
    }

    /// The cluster as this node sees it. Needs no quorum.
    pub async fn status(&self) -> Status {
        let seen = self.consensus.observe();
        let replicas = match seen.leader {
            Some(leader) if leader == self.mesh.node() => Some(Replicas::seen_by_leader(&seen)),
            Some(leader) => self.ask_replicas(leader).await,
            None => None,
        };
        let view = View {
            network: self,
            seen,
            members: self.mesh.gossip().members().to_vec(),
            routes: self.mesh.routes().into_iter().map(|route| (route.node, route)).collect(),
            replicas,
            registry: &self.registry,
        };
        view.document()
    }

    async fn ask_replicas(&self, leader: NodeId) -> Option<Replicas> {
        let deadline = Instant::now() + LEADER_PATIENCE;
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "replication", deadline);
        let reply = self.dispatch.call_at(leader, head, Bytes::new()).await.ok()?;
        decode::<Option<Replicas>>(&reply).ok()?
    }

    /// Gives up this node's membership for good.
    async fn leave(&self) -> Result<(), Fault> {
        let node = self.mesh.node();
        if self.consensus.observe().addresses.len() <= 1 {
            return Err(Fault::new(
                Code::Conflict,
                "this is the only node of the mesh: there is nothing to leave",
            )
            .help("to wipe it, stop it and run `micro-node reset`"));
        }
        // Asked before the office is given away: a leader that may not leave had better stay one.
        let seen = self.consensus.observe();
        if seen.leading {
            self.voters_without(node, &seen).await?;
        }
        if !self.consensus.hand_over(Duration::from_secs(5)).await {
            return Err(Fault::new(Code::Unavailable, "no other node could take over the leadership")
                .help("wait until the others have caught up: `micro-node status`"));
        }
        let deadline = Instant::now() + LEAVE_DEADLINE;
        let leader = *self.consensus.watch_leader().borrow();
        let leader = leader.filter(|leader| *leader != node);
        let leader =
            leader.ok_or_else(|| Fault::new(Code::Unavailable, "there is no other leader just now"))?;
        let head = node_head(&self.seams, node, NETWORK, "leave-member", deadline);
        self.dispatch.call_at(leader, head, Bytes::new()).await?;
        self.left.notify_one();
        Ok(())
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
            let down: Vec<String> = down.map(|voter| self.registry.node_name(*voter)).collect();
            let message = format!(
                "without node {} the mesh would have no quorum: {} down",
                self.registry.node_name(leaving),
                if down.len() == 1 { format!("{} is", down[0]) } else { format!("{} are", down.join(", ")) }
            );
            Fault::new(Code::Conflict, message)
                .help("start what is down, or add a node first: `micro-node token create`")
        })
    }

    /// Whether a node answers just now.
    async fn answers(&self, node: NodeId) -> bool {
        let deadline = Instant::now() + ANSWER_PATIENCE;
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "replication", deadline);
        self.dispatch.call_at(node, head, Bytes::new()).await.is_ok()
    }

    /// Lets the calling node go. On the leader.
    async fn leave_member(&self, caller: &Caller, deadline: Instant) -> Result<(), Fault> {
        let Caller::Node(node) = *caller else {
            return Err(Fault::new(Code::Denied, "a node leaves on its own account only"));
        };
        let seen = self.consensus.observe();
        let next = self.voters_without(node, &seen).await?;
        if next != seen.voters {
            for successor in next.difference(&seen.voters) {
                self.auth.hand_seal_to(*successor, deadline).await?;
            }
            self.consensus.change_voters(next).await?;
        }
        self.consensus.remove(node).await?;
        self.auth.forget(node, deadline).await?;
        tracing::info!(%node, "node left for good");
        // Forgetting it closes its link, so not before it has the answer.
        let mesh = self.mesh.clone();
        tokio::spawn(async move {
            sleep(FAREWELL).await;
            mesh.gossip().forget(node);
        });
        Ok(())
    }
}

impl Platform for NetworkService {
    fn name(&self) -> &'static str {
        NETWORK
    }

    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(call.head.deadline_ms.into());
            match call.head.endpoint.as_str() {
                "status" => {
                    let document = serde_json::to_vec(&self.status().await);
                    let document = document.map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
                    Ok(document.into())
                }
                "replication" => {
                    let seen = self.consensus.observe();
                    Ok(Codec::encode(&seen.leading.then(|| Replicas::seen_by_leader(&seen))).into())
                }
                "leave" => self.leave().await.map(|()| Bytes::new()),
                "leave-member" => self.leave_member(&call.head.caller, deadline).await.map(|()| Bytes::new()),
                other => Err(Fault::new(Code::NotFound, format!("the network has no endpoint {other:?}"))),
            }
        })
    }
}
