//! How a node gives its place up that can't take part any more: it has its identity, and no log. It asks the leader for
//! what lets another node in, and then to be let go. It serves nothing meanwhile.

use crate::{
    auth::{AUTH, CreateTokenReply, CreateTokenRequest, decode, node_head},
    network::NETWORK,
};
use bytes::Bytes;
use micro_mesh::{LinkState, Mesh};
use micro_sdk::wire::{Code, Codec, Effect, Fault, NodeId, Seams, status::Status};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a leader is looked for: the others may be electing one, and dial every five seconds.
const LEADER_PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two rounds through the nodes that are linked.
const PAUSE: Duration = Duration::from_millis(300);
/// The rounds at most: as many as the patience holds.
const ROUNDS_MAX: u32 = 100;
/// How long one node may take to tell who leads.
const STATUS_DEADLINE: Duration = Duration::from_secs(3);
/// How long a change of the group may take: the leader asks all voters whether they are there.
const CHANGE_DEADLINE: Duration = Duration::from_secs(20);

/// A node that is about to give its place up.
pub struct Farewell<'a> {
    mesh: &'a Mesh,
    seams: &'a Seams,
    leader: NodeId,
}

impl<'a> Farewell<'a> {
    /// Finds the leader of a group with a quorum.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if there is none for half a minute.
    pub async fn begin(mesh: &'a Mesh, seams: &'a Seams) -> Result<Self, Fault> {
        let (until, mut why) = (Instant::now() + LEADER_PATIENCE, "none answers".to_owned());
        for _ in 0..ROUNDS_MAX {
            let routes = mesh.routes();
            for node in routes.iter().filter(|route| route.state == LinkState::Up).map(|route| route.node) {
                match leader_by(mesh, seams, node).await {
                    Ok(Some(leader)) => return Ok(Farewell { mesh, seams, leader }),
                    Ok(None) => why = format!("{node} knows of no leader with a quorum"),
                    Err(fault) => why = format!("{node}: {fault}"),
                }
            }
            if Instant::now() >= until {
                break;
            }
            sleep(PAUSE).await;
        }
        Err(Fault::new(Code::Unavailable, format!("no other node of the mesh could be asked: {why}"))
            .help("a majority of the other voters has to be up: see `micro-node status` on one of them"))
    }

    /// Has a join token made for the node that comes next.
    ///
    /// # Errors
    /// As admission answers.
    pub async fn ask_token(&self, ttl: Duration) -> Result<CreateTokenReply, Fault> {
        let ttl_s = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
        let body = Codec::encode(&CreateTokenRequest { ttl_s }).into();
        let made = self.call(AUTH, "create-token", body).await.map_err(|fault| match fault.code {
            // Should one have been made, nobody has heard its secret.
            Code::Timeout | Code::Unreachable | Code::Unknown => {
                let message =
                    format!("the mesh has no quorum to let another node in with: {}", fault.message);
                Fault::new(Code::Unavailable, message)
                    .help("a majority of its voters has to be up: see `micro-node status` on one of them")
            }
            _ => fault,
        })?;
        decode(&made)
    }

    /// Gives this node's place up. The leader lets it go only if the others have a quorum.
    ///
    /// # Errors
    /// What keeps it. With an unknown effect it may be done all the same.
    pub async fn leave(&self) -> Result<(), Fault> {
        self.call(NETWORK, "leave-member", Bytes::new()).await.map(drop).map_err(|fault| {
            match fault.code {
                // The leader was at it when the time was over, or the link broke.
                Code::Timeout | Code::Unreachable | Code::Unknown => {
                    Fault { effect: Effect::Unknown, ..fault }
                }
                _ => fault,
            }
        })
    }

    async fn call(&self, service: &str, endpoint: &str, body: Bytes) -> Result<Bytes, Fault> {
        let deadline = Instant::now() + CHANGE_DEADLINE;
        let head = node_head(self.seams, self.mesh.node(), service, endpoint, deadline);
        self.mesh.call(self.leader, &head, body).await
    }
}

/// Who leads with a quorum, as `node` knows it.
async fn leader_by(mesh: &Mesh, seams: &Seams, node: NodeId) -> Result<Option<NodeId>, Fault> {
    let head = node_head(seams, mesh.node(), NETWORK, "status", Instant::now() + STATUS_DEADLINE);
    let document = mesh.call(node, &head, Bytes::new()).await?;
    let status: Status = serde_json::from_slice(&document)
        .map_err(|error| Fault::new(Code::Internal, format!("the status of {node} is garbled: {error}")))?;
    let leader = status.consensus.leader.filter(|leader| status.consensus.quorum && *leader != mesh.node());
    let Some(leader) = leader else { return Ok(None) };
    // It may have come while this node was away.
    let address = status.nodes.iter().find(|node| node.id == leader).map(|node| node.address.parse());
    if let (None, Some(Ok(address))) = (mesh.address(leader), address) {
        mesh.learn(leader, address);
    }
    Ok(Some(leader))
}
