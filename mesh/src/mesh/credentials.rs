//! What this node shows to others, and whom it believes.

use crate::{Identity, MeshError, Trust, tls};
use micro_sdk::wire::Seams;
use std::sync::Arc;

/// A certificate with its key, whom the node believes while it shows it, and how it dials and answers with that. Never
/// changed: new ones take the place of old ones.
pub(crate) struct Credentials {
    pub(crate) identity: Identity,
    pub(crate) trust: Trust,
    pub(crate) client: quinn::ClientConfig,
    pub(crate) server: Arc<quinn::ServerConfig>,
    /// How many there were before in this life of the node.
    pub(crate) renewals: u64,
}

impl Credentials {
    /// # Errors
    /// If the identity is not good for TLS, or of an authority that is not believed.
    pub(crate) fn new(
        identity: Identity,
        trust: Trust,
        seams: &Seams,
        segments: bool,
        renewals: u64,
    ) -> Result<Self, MeshError> {
        if !trust.believes(identity.authority_certificate()) {
            return Err(MeshError::Unbelieved);
        }
        let client = tls::client(&identity, &trust, seams, segments)?;
        let server = Arc::new(tls::server(&identity, &trust, seams, segments)?);
        Ok(Credentials { identity, trust, client, server, renewals })
    }
}
