//! The network's actor.

use crate::{
    Directory, Dispatch, Invocation, Platform,
    audit::AuditLog,
    auth::{AuthService, CertificateRecord, decode, node_head},
    blob::BlobService,
    network::{
        Appointment, LeaveRequest, NodeCard, TransferRequest, audit::VerifyAuditHere, drain::DrainHere,
        membership::RemoveMember, replicas::Replicas, status::View,
    },
    registry::Registry,
};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_consensus::Consensus;
use micro_mesh::{Mesh, Trust};
use micro_sdk::wire::{
    ClusterId, Code, Codec, Fault, NodeId, Seams,
    status::{ActorStatus, CertificateStatus, Status},
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::Notify, time::Instant};

/// The name of the network service.
pub const NETWORK: &str = "network";
/// How long the status waits for the leader's figures, or two round trips where voters are far apart: it must come also
/// when there is none.
const LEADER_PATIENCE: Duration = Duration::from_millis(400);

/// The network's actor.
pub struct NetworkService {
    pub(super) mesh: Mesh,
    pub(super) consensus: Consensus,
    pub(super) registry: Registry,
    directory: Directory,
    pub(super) dispatch: Dispatch,
    pub(super) auth: Arc<AuthService>,
    pub(super) blobs: Arc<BlobService>,
    pub(super) audit_log: Option<Arc<dyn AuditLog>>,
    card: NodeCard,
    pub(super) seams: Seams,
    pub(super) left: Arc<Notify>,
    pub(super) appointment: Appointment,
}

/// What the network's actor needs.
pub(crate) struct NetworkParts {
    pub mesh: Mesh,
    pub consensus: Consensus,
    pub registry: Registry,
    pub directory: Directory,
    pub dispatch: Dispatch,
    pub auth: Arc<AuthService>,
    pub blobs: Arc<BlobService>,
    pub audit_log: Option<Arc<dyn AuditLog>>,
    pub card: NodeCard,
    pub seams: Seams,
    pub left: Arc<Notify>,
    pub appointment: Appointment,
}

impl NetworkService {
    pub(crate) fn new(parts: NetworkParts) -> Self {
        let NetworkParts { mesh, consensus, registry, directory, dispatch, auth, blobs, .. } = parts;
        let NetworkParts { audit_log, card, seams, left, appointment, .. } = parts;
        NetworkService {
            mesh,
            consensus,
            registry,
            directory,
            dispatch,
            auth,
            blobs,
            audit_log,
            card,
            seams,
            left,
            appointment,
        }
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

    /// The name of a node, also of one that gossip does not know any more: as it was when it joined.
    pub(crate) fn name_of(&self, node: NodeId) -> String {
        let gossiped = self.registry.node_name(node);
        if gossiped != node.to_string() {
            return gossiped;
        }
        self.auth.name_of(node).unwrap_or(gossiped)
    }

    /// The certificate of a node, as it told last.
    pub(crate) fn certificate(&self, node: NodeId) -> Option<CertificateStatus> {
        let CertificateRecord { authority, issued, ends, .. } = self.auth.certificate(node)?;
        Some(CertificateStatus { authority: hex(&authority), issued_s: issued, ends_s: ends })
    }

    /// The pin of the authority that the mesh goes over to, if it does.
    pub(crate) fn succession(&self) -> Option<String> {
        let trust = self.auth.state().trust().ok().flatten();
        trust.filter(Trust::is_handing_over).map(|trust| hex(&trust.pin()))
    }

    /// The cluster as this node sees it. Needs no quorum.
    pub async fn status(&self) -> Status {
        let seen = self.consensus.observe();
        let replicas = match seen.leader {
            Some(leader) if leader == self.mesh.node() => Some(Replicas::seen_by_leader(&seen)),
            Some(leader) => {
                let patience = LEADER_PATIENCE.max(seen.pace.round_trip * 2);
                self.ask_replicas(leader, patience).await
            }
            None => None,
        };
        let view = View {
            network: self,
            seen,
            members: self.mesh.gossip().members().to_vec(),
            routes: self.mesh.routes().into_iter().map(|route| (route.node, route)).collect(),
            replicas,
            registry: &self.registry,
            blobs: self.blobs.health(),
        };
        view.document()
    }

    async fn ask_replicas(&self, leader: NodeId, patience: Duration) -> Option<Replicas> {
        let deadline = Instant::now() + patience;
        let head = node_head(&self.seams, self.mesh.node(), NETWORK, "replication", deadline);
        let reply = self.dispatch.call_at(leader, head, Bytes::new()).await.ok()?;
        decode::<Option<Replicas>>(&reply).ok()?
    }
}

fn hex(pin: &[u8; 32]) -> String {
    pin.iter().map(|byte| format!("{byte:02x}")).collect()
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
                "drain" => Ok(Codec::encode(&self.drain(decode(&call.body)?, deadline).await?).into()),
                "drain-here" => {
                    let drain: DrainHere = decode(&call.body)?;
                    Ok(Codec::encode(&self.drain_here(drain).await?).into())
                }
                "leave" => {
                    let LeaveRequest { even_if_blobs_are_lost } = decode(&call.body)?;
                    self.leave(even_if_blobs_are_lost).await.map(|()| Bytes::new())
                }
                "leave-member" => self.leave_member(&call.head.caller, deadline).await.map(|()| Bytes::new()),
                "transfer" => {
                    let TransferRequest { to } = decode(&call.body)?;
                    Ok(Codec::encode(&self.transfer(to.as_deref(), deadline).await?).into())
                }
                "transfer-office" => Ok(Codec::encode(&self.hand_over(decode(&call.body)?).await?).into()),
                "may-lead" => Ok(Codec::encode(&self.stays(self.mesh.node())).into()),
                "appoint" => {
                    self.appointment.note();
                    Ok(Bytes::new())
                }
                "remove" => Ok(Codec::encode(&self.remove(decode(&call.body)?, deadline).await?).into()),
                "remove-member" => {
                    let RemoveMember { node, even_if_up } = decode(&call.body)?;
                    self.remove_member(node, even_if_up, deadline).await.map(|()| Bytes::new())
                }
                "verify-audit" => {
                    Ok(Codec::encode(&self.verify_audit(decode(&call.body)?, deadline).await?).into())
                }
                "verify-audit-here" => {
                    let here: VerifyAuditHere = decode(&call.body)?;
                    Ok(Codec::encode(&self.verify_audit_here(here).await?).into())
                }
                "links" => Ok(Codec::encode(&self.links()).into()),
                "explain" => Ok(Codec::encode(&self.explain(decode(&call.body)?, deadline).await?).into()),
                "explain-here" => Ok(Codec::encode(&self.explain_here(decode(&call.body)?)).into()),
                "connect" => Ok(Codec::encode(&self.connect(decode(&call.body)?, deadline).await?).into()),
                "ping" => Ok(Codec::encode(&self.ping(decode(&call.body)?, deadline).await?).into()),
                "ping-here" => Ok(Bytes::new()),
                other => Err(Fault::new(Code::NotFound, format!("the network has no endpoint {other:?}"))),
            }
        })
    }
}
