//! The mesh goes over from one authority to the next while it runs.
//!
//! ```text
//!   A certifies, A is believed
//!     rotate ─► one command: B, sealed; B is believed, and A, which vouches for B     (by any that opens the seal)
//!   B certifies, A and B are believed ─► each node sees it in its replica and renews ─► it tells which one it has
//!     all members have one of B, or a person has no patience ─► one command: A is dropped         (by whoever leads)
//!   B certifies, B is believed
//! ```
//!
//! Where it stands is in the replicas, so it goes on with another leader and after a restart at each step. A node that
//! is off meanwhile holds up the end: what it believes is A, and without A it could not come back.

use crate::auth::{
    AUTH, AuthCommand, AuthOutcome, AuthService, CertificateRecord, decode, node_head, platform,
};
use bincode::{Decode, Encode};
use micro_consensus::Observation;
use micro_mesh::{Authority, Trust};
use micro_sdk::wire::{Code, Codec, Fault, NodeId};
use tokio::time::Instant;

/// The authority of the mesh, and the one before while it is believed: the answer of `show-authority`,
/// `rotate-authority` and `finish-authority`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AuthorityView {
    /// The pin of the one that certifies: the SHA-256 of its certificate.
    pub pin: [u8; 32],
    /// When it was made, in seconds since 1970.
    pub made: u64,
    /// When it ends, in seconds since 1970.
    pub ends: u64,
    /// The one before, while it is believed.
    pub former: Option<FormerAuthority>,
}

/// An authority that is still believed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FormerAuthority {
    /// Its pin.
    pub pin: [u8; 32],
    /// The members that have no certificate of the next one yet, by name.
    pub waiting_for: Vec<String>,
}

/// Endpoint `finish-authority`: drops the former authority now.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FinishAuthorityRequest {
    /// Also if members that are down have no certificate of the new one: they have to join anew.
    pub leave_behind: bool,
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

impl AuthService {
    /// The authority as this node's replica has it.
    ///
    /// # Errors
    /// If the state can't be read.
    pub(super) fn show_authority(&self) -> Result<AuthorityView, Fault> {
        let trust = self.state.trust()?.unwrap_or_else(|| self.mesh.trust());
        let (made, ends) =
            trust.validity().ok_or_else(|| failed("the authority's certificate is garbled"))?;
        let waiting_for = || {
            let behind = self.behind(&trust, &self.consensus.observe());
            behind.into_iter().map(|node| self.name_of(node).unwrap_or_else(|| node.to_string())).collect()
        };
        let former =
            trust.former_pins().first().map(|pin| FormerAuthority { pin: *pin, waiting_for: waiting_for() });
        let (made, ends) = (platform::seconds(made), platform::seconds(ends));
        Ok(AuthorityView { pin: trust.pin(), made, ends, former })
    }

    /// The members that have no certificate of the authority that certifies.
    fn behind(&self, trust: &Trust, seen: &Observation) -> Vec<NodeId> {
        let pin = trust.pin();
        let has_it =
            |node| self.certificate(node).is_some_and(|CertificateRecord { authority, .. }| authority == pin);
        seen.addresses.iter().map(|(node, _)| *node).filter(|node| !has_it(*node)).collect()
    }

    /// Has a new authority certify from now on. Here, if this node can open the authority, else on the leader.
    ///
    /// # Errors
    /// [`Code::Conflict`] while the last one is being replaced; what keeps the group from it.
    pub(super) async fn rotate_authority(&self, deadline: Instant) -> Result<AuthorityView, Fault> {
        // What is replaced is what everybody has: a replica that is behind would only be told so by the group.
        self.consensus.barrier(deadline).await?;
        let Some(seal) = self.state.proven_seal_key()? else {
            return self.ask_leader("rotate-authority", &(), deadline).await;
        };
        let missing = || Fault::new(Code::Unavailable, "the mesh has no authority yet");
        let sealed = self.state.sealed_authority()?.ok_or_else(missing)?;
        let (cluster, now) = (self.mesh.cluster(), self.seams.clock.now());
        let (former, next) = (self.state.authority()?, Authority::generate(cluster, now));
        let trust = self.trust(&former)?.hand_over(&former, &next, now).map_err(failed)?;
        let command = AuthCommand::ReplaceAuthority {
            former: platform::sha256(&sealed),
            sealed: seal.seal(&self.seams, cluster, &next.encode()),
            trust,
        };
        accept(self.propose(&command, deadline).await?)?;
        tracing::warn!("the mesh has a new authority: all nodes renew their certificates");
        self.consensus.barrier(deadline).await?;
        self.show_authority()
    }

    /// Drops the former authority. On the leader, which knows what the others told last.
    ///
    /// # Errors
    /// [`Code::Conflict`] if there is none, or members would be shut out.
    pub(super) async fn finish_authority(
        &self,
        request: FinishAuthorityRequest,
        deadline: Instant,
    ) -> Result<AuthorityView, Fault> {
        self.consensus.barrier(deadline).await?;
        let trust = self.state.trust()?.filter(Trust::is_handing_over);
        let trust = trust.ok_or_else(|| {
            Fault::new(Code::Conflict, "no authority is being replaced")
                .help("`micro-node cluster ca rotate` replaces it")
        })?;
        let behind = self.behind(&trust, &self.consensus.observe());
        let named = |nodes: &[NodeId]| {
            let name = |node: &NodeId| self.name_of(*node).unwrap_or_else(|| node.to_string());
            nodes.iter().map(name).collect::<Vec<_>>().join(", ")
        };
        let up: Vec<NodeId> = behind.iter().copied().filter(|node| self.is_up(*node)).collect();
        if !up.is_empty() {
            return Err(Fault::new(
                Code::Conflict,
                format!(
                    "these nodes are up and have no certificate of the new authority yet: {}",
                    named(&up)
                ),
            )
            .help("wait a few seconds: they renew by themselves; if it lasts, see their logs"));
        }
        if !behind.is_empty() && !request.leave_behind {
            return Err(Fault::new(
                Code::Conflict,
                format!("these nodes are down and would have to join anew: {}", named(&behind)),
            )
            .help("start them: the former authority is dropped by itself once they have renewed")
            .help("or leave them behind: --even-if-nodes-are-left-behind"));
        }
        self.drop_former(&trust, deadline).await?;
        self.consensus.barrier(deadline).await?;
        self.show_authority()
    }

    /// Drops the former authority if no member needs it any more. On the leader.
    pub(crate) async fn finish_if_all_have_renewed(
        &self,
        seen: &Observation,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let Some(trust) = self.state.trust()?.filter(Trust::is_handing_over) else { return Ok(()) };
        if seen.changing || !self.behind(&trust, seen).is_empty() {
            return Ok(());
        }
        self.drop_former(&trust, deadline).await
    }

    async fn drop_former(&self, trust: &Trust, deadline: Instant) -> Result<(), Fault> {
        accept(self.propose(&AuthCommand::DropFormer { pin: trust.pin() }, deadline).await?)?;
        tracing::warn!("the former authority is not believed any more");
        Ok(())
    }

    fn is_up(&self, node: NodeId) -> bool {
        node == self.mesh.node() || self.mesh.is_up(node)
    }

    async fn ask_leader<T: Decode<()>>(
        &self,
        endpoint: &str,
        request: &impl Encode,
        deadline: Instant,
    ) -> Result<T, Fault> {
        let leader = (*self.consensus.watch_leader().borrow()).filter(|leader| *leader != self.mesh.node());
        let leader = leader.ok_or_else(|| {
            Fault::new(Code::Unavailable, "no node that could open the mesh's authority is known")
                .help("see `micro-node status`")
        })?;
        let head = node_head(&self.seams, self.mesh.node(), AUTH, endpoint, deadline);
        decode(&self.dispatch.call_at(leader, head, Codec::encode(request).into()).await?)
    }
}

fn accept(outcome: AuthOutcome) -> Result<(), Fault> {
    match outcome {
        AuthOutcome::Done => Ok(()),
        AuthOutcome::HandingOver => Err(Fault::new(
            Code::Conflict,
            "the authority is being replaced already: some nodes still need the former one",
        )
        .help("see which: `micro-node cluster ca show`")),
        AuthOutcome::OtherAuthority => {
            Err(Fault::new(Code::Conflict, "somebody else has replaced the authority just now")
                .help("see `micro-node cluster ca show`"))
        }
        other => Err(Fault::new(Code::Internal, format!("a change of the authority came to {other:?}"))),
    }
}
