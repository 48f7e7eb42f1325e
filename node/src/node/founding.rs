//! A new mesh: its id, its authority, and the identity of its first node.

use micro_actors::{
    IDENTITY_FILE,
    auth::{AuthState, SealKey},
};
use micro_mesh::{Authority, Identity, NodeKey};
use micro_sdk::wire::{Code, Fault, Seams};
use micro_storage::Storage;
use std::time::Duration;

/// The sealed authority of a new mesh, until the group has it.
pub(super) const AUTHORITY_FILE: &str = "authority";

/// A new mesh that is not written down yet.
pub(super) struct Founding {
    pub identity: Identity,
    pub seal: SealKey,
    /// The authority, sealed.
    authority: Vec<u8>,
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

impl Founding {
    /// Mints all that a new mesh begins with. The certificate of its first node counts for `certificate_life`.
    ///
    /// # Errors
    /// If the authority can't certify its first node.
    pub fn new(seams: &Seams, certificate_life: Duration) -> Result<Self, Fault> {
        let (cluster, node, now) = (seams.cluster_id(), seams.node_id(), seams.clock.now());
        let authority = Authority::generate(cluster, now);
        let key = NodeKey::generate();
        let certificate = authority.issue(&key.request(node), certificate_life, now).map_err(failed)?;
        let identity = key.with_certificate(&certificate, node, cluster, now).map_err(failed)?;
        let seal = SealKey::generate(seams);
        let authority = seal.seal(seams, cluster, &authority.encode());
        Ok(Founding { identity, seal, authority })
    }

    /// Writes it down. The identity is written last: a crash before it leaves a directory without a node.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep(&self, storage: &Storage) -> Result<(), Fault> {
        let state = AuthState::new(self.identity.cluster, storage.state.clone(), storage.files.clone());
        state.keep_seal_key(&self.seal)?;
        storage.files.write(AUTHORITY_FILE, &self.authority).map_err(failed)?;
        storage.files.write(IDENTITY_FILE, &self.identity.encode()).map_err(failed)
    }
}
