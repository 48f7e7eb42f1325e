//! What this node shows to others, and whom it believes.

use crate::{Identity, MeshError, Trust, relay::Tunnel, tls};
use micro_sdk::wire::Seams;
use std::{net::SocketAddr, sync::Arc};

/// A certificate with its key, whom the node believes while it shows it, and how it dials and answers with that. Never
/// changed: new ones take the place of old ones.
pub(crate) struct Credentials {
    pub(crate) identity: Identity,
    pub(crate) trust: Trust,
    client: quinn::ClientConfig,
    relayed_client: quinn::ClientConfig,
    server: Arc<quinn::ServerConfig>,
    relayed_server: Arc<quinn::ServerConfig>,
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
        transport: tls::Transport,
        renewals: u64,
    ) -> Result<Self, MeshError> {
        if !trust.believes(identity.authority_certificate()) {
            return Err(MeshError::Unbelieved);
        }
        let client = tls::client(&identity, &trust, seams, transport)?;
        let server = tls::server(&identity, &trust, seams, transport)?;
        let relayed_client = tls::relayed_client(&client, transport);
        let relayed_server = Arc::new(tls::relayed_server(&server, transport));
        let server = Arc::new(server);
        Ok(Credentials { identity, trust, client, relayed_client, server, relayed_server, renewals })
    }

    /// How to dial this address.
    pub(crate) fn client(&self, address: SocketAddr) -> quinn::ClientConfig {
        if Tunnel::has(address) { self.relayed_client.clone() } else { self.client.clone() }
    }

    /// How to answer this address.
    pub(crate) fn server(&self, address: SocketAddr) -> Arc<quinn::ServerConfig> {
        if Tunnel::has(address) { self.relayed_server.clone() } else { self.server.clone() }
    }
}
