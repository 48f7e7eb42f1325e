//! Certificates of nodes that are members: who gets one again, and what is kept of them.
//!
//! Any node that can open the authority certifies. It looks at its own replica and needs no quorum: a mesh all of which
//! was off for longer than certificates last could never have one otherwise. A replica that is behind may certify a
//! node that was removed meanwhile, which the others do not let in all the same.

use crate::{
    Dispatch,
    auth::{
        AUTH, AuthCommand, AuthService, AuthState, CertificateRecord, decode, node_head, platform::seconds,
    },
};
use bytes::Bytes;
use micro_mesh::{Authority, Certificate, Identity, KeyRequest, RenewalGrant, Trust};
use micro_sdk::wire::{Caller, Code, Codec, Fault, NodeId};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

fn usage(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, error.to_string())
}

impl AuthState {
    /// What a node that can open the authority certifies itself with: whoever has the key of the authority needs
    /// nobody. None if this node can't.
    ///
    /// # Errors
    /// If the state can't be read, or the certificate can't be made.
    pub fn certify_oneself(
        &self,
        identity: &Identity,
        life: Duration,
        now: SystemTime,
    ) -> Result<Option<RenewalGrant>, Fault> {
        if self.sealed_authority()?.is_none() || self.seal_key()?.is_none() {
            return Ok(None);
        }
        let authority = self.authority()?;
        let key = identity.renewal().map_err(usage)?;
        let certificate = authority.issue(&key, life, now).map_err(usage)?;
        Ok(Some(RenewalGrant { certificate, trust: self.trust_with(&authority)? }))
    }

    /// Who is believed while `authority` certifies.
    fn trust_with(&self, authority: &Authority) -> Result<Trust, Fault> {
        Ok(self.trust()?.unwrap_or_else(|| Trust::of(authority.certificate())))
    }
}

impl AuthService {
    /// Who is believed while `authority` certifies.
    pub(super) fn trust(&self, authority: &Authority) -> Result<Trust, Fault> {
        self.state.trust_with(authority)
    }

    /// What admission keeps.
    pub(crate) fn state(&self) -> &AuthState {
        &self.state
    }

    /// How long the certificates count that this node issues.
    pub(crate) fn certificate_life(&self) -> Duration {
        self.certificate_life
    }

    pub(super) fn certify(&self, authority: &Authority, key: &KeyRequest) -> Result<Certificate, Fault> {
        authority.issue(key, self.certificate_life, self.seams.clock.now()).map_err(usage)
    }

    /// Certifies the key of a member again. That the private key is there is proved by who gets the certificate: to
    /// others it is of no use.
    pub(super) fn renew(&self, caller: &Caller, key: &KeyRequest) -> Result<RenewalGrant, Fault> {
        let node = key.node;
        let member = self.consensus.observe().addresses.iter().any(|(member, _)| *member == node);
        if !member || self.state.is_gone(node)? {
            return Err(Fault::new(Code::Denied, format!("{node} is not a member of the mesh any more"))
                .help("join again with a new token: `micro-node token create` on a node of the mesh"));
        }
        let known = self.state.public_key(node)?;
        let is_its_key = known.map_or(*caller == Caller::Node(node), |known| known == key.public_key);
        if !is_its_key {
            return Err(Fault::new(Code::Denied, format!("it is not the key that {node} was let in with"))
                .help("give the directory up: `micro-node reset`, then join again with a new token"));
        }
        let authority = self.state.authority()?;
        Ok(RenewalGrant { certificate: self.certify(&authority, key)?, trust: self.trust(&authority)? })
    }

    /// Certifies the key of a member that has proved to have the private one, here or at a voter.
    ///
    /// # Errors
    /// [`Code::Denied`] if it is not a member's, [`Code::Unavailable`] if nobody here can open the authority.
    pub async fn renew_by_proof(&self, key: KeyRequest, deadline: Instant) -> Result<RenewalGrant, Fault> {
        let here = self.renew(&Caller::Stranger, &key);
        match here {
            Err(fault) if fault.code != Code::Denied => self.ask_voters(&key, deadline).await,
            here => here,
        }
    }

    /// Has a voter certify a key: the leader, or else another one that answers.
    ///
    /// # Errors
    /// What the last one said.
    pub(crate) async fn ask_voters(
        &self,
        key: &KeyRequest,
        deadline: Instant,
    ) -> Result<RenewalGrant, Fault> {
        let seen = self.consensus.observe();
        let others = seen.voters.iter().copied().filter(|voter| Some(*voter) != seen.leader);
        let mut last = Fault::new(Code::Unavailable, "no voter of the mesh is known");
        let own = self.mesh.node();
        let linked = |voter: &NodeId| self.mesh.is_up(*voter);
        for voter in seen.leader.into_iter().chain(others).filter(|voter| *voter != own && linked(voter)) {
            match ask(&self.dispatch, voter, self.head("renew", deadline), key).await {
                Ok(grant) => return Ok(grant),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn head(&self, endpoint: &str, deadline: Instant) -> micro_sdk::wire::Head {
        node_head(&self.seams, self.mesh.node(), AUTH, endpoint, deadline)
    }

    /// Takes note, on all nodes, of the certificate that this node uses.
    ///
    /// # Errors
    /// If the group does not take it.
    pub(crate) async fn keep_certificate(
        &self,
        certificate: CertificateRecord,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.propose(&AuthCommand::KeepCertificate { certificate }, deadline).await.map(drop)
    }

    /// The certificate that a node uses, as it told last.
    pub(crate) fn certificate(&self, node: NodeId) -> Option<CertificateRecord> {
        self.state.certificate(node).ok().flatten()
    }
}

async fn ask(
    dispatch: &Dispatch,
    voter: NodeId,
    head: micro_sdk::wire::Head,
    key: &KeyRequest,
) -> Result<RenewalGrant, Fault> {
    let body: Bytes = Codec::encode(key).into();
    decode(&dispatch.call_at(voter, head, body).await?)
}

impl CertificateRecord {
    /// What is kept of the certificate of `identity`.
    ///
    /// # Errors
    /// If its key can't be read.
    pub(crate) fn of(identity: &Identity) -> Result<Self, Fault> {
        Ok(CertificateRecord {
            node: identity.node,
            public_key: identity.renewal().map_err(usage)?.public_key,
            authority: identity.pin(),
            issued: seconds(identity.issued()),
            ends: seconds(identity.expires()),
        })
    }
}
