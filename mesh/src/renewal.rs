//! The way back of a node whose certificate does not count any more, since it was off for longer than that lasts.
//!
//! ```text
//!   node ── TLS, without a certificate ──► any node      the node believes whom it believed before
//!        ── public key, signature of this session ─────► is it the key of a member? ──► a new certificate
//! ```
//!
//! The signature is over a secret of this TLS session that both ends export (RFC 8446, section 7.5), so that nobody can
//! pass it on or use it again. What it gets is what it had: a certificate of the same key. So whoever has the key of a
//! member and nothing else gets in here, as it would have with the certificate a day before; removing the node from the
//! mesh shuts it out.

use crate::{
    Certificate, Identity, KeyRequest, Trust,
    call::parse_answer,
    join::JOIN_BYTES_MAX,
    link::{Outgoing, close_code, describe, gather},
    mesh::Inner,
    mesh_verifier::{Believed, MeshVerifier},
    prelude::RENEWAL_PROTOCOL,
    tls,
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_sdk::wire::{ClusterId, Code, Codec, Fault, NodeId, Seams};
use quinn::Connection;
use std::{net::SocketAddr, sync::Arc};

/// What the exported secret is for; no other use of it has this name.
const LABEL: &[u8] = b"EXPORTER-micro-node-renewal";
/// What comes before the secret in what is signed: the key signs TLS handshakes too.
const CONTEXT: &[u8] = b"micro-node renewal of a certificate, version 1\0";
/// The name asked for in the handshake. Nobody has it: any node of the mesh will do.
const SERVER_NAME: &str = "renewal.mesh.micro";

/// What a node sends whose certificate does not count any more.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct RenewalRequest {
    /// The key that it had certified before.
    pub(crate) key: KeyRequest,
    /// The signature of [`challenge`] by that key.
    pub(crate) proof: Vec<u8>,
}

/// What it gets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RenewalGrant {
    /// Its certificate.
    pub certificate: Certificate,
    /// The authorities that the mesh believes.
    pub trust: Trust,
}

/// What `node` has to sign on this connection.
pub(crate) fn challenge(connection: &Connection, node: NodeId) -> Result<Vec<u8>, Fault> {
    let mut secret = [0; 32];
    connection
        .export_keying_material(&mut secret, LABEL, &node.0.to_be_bytes())
        .map_err(|_| Fault::new(Code::Internal, "TLS exports no secret of the session"))?;
    Ok([CONTEXT, &secret].concat())
}

/// Asks the node at `address` to certify the key of `identity` again.
///
/// # Errors
/// [`Code::Unreachable`] if no node of the mesh answers there, or why it refuses.
pub(crate) async fn ask(
    inner: &Inner,
    identity: &Identity,
    trust: &Trust,
    address: SocketAddr,
) -> Result<RenewalGrant, Fault> {
    let absent = |reason: String| {
        Fault::new(Code::Unreachable, format!("no node can be asked at {address}: {reason}"))
    };
    let internal = |error: &dyn std::fmt::Display| Fault::new(Code::Internal, error.to_string());
    let client =
        client(identity.cluster, trust, &inner.seams, inner.transport).map_err(|error| internal(&error))?;
    let connecting = inner
        .endpoint
        .connect_with(client, address, SERVER_NAME)
        .map_err(|error| absent(error.to_string()))?;
    let connection = connecting.await.map_err(|error| absent(describe(&error)))?;
    let key = identity.renewal().map_err(|error| internal(&error))?;
    let proof = identity.sign(&challenge(&connection, key.node)?).map_err(|error| internal(&error))?;
    let request = Bytes::from(Codec::encode(&RenewalRequest { key, proof }));
    let exchange = async {
        let (send, mut recv) = connection.open_bi().await.map_err(|error| absent(describe(&error)))?;
        let mut send = Outgoing::new(send);
        send.write(&mut [request]).await.map_err(|error| absent(error.to_string()))?;
        send.finish();
        gather(&mut recv, JOIN_BYTES_MAX).await.map_err(|error| absent(error.to_string()))
    };
    let answer = exchange.await;
    connection.close(close_code::DONE, b"");
    let body = parse_answer(answer?)?;
    Codec::decode::<RenewalGrant, JOIN_BYTES_MAX>(&body)
        .map_err(|error| Fault::new(Code::Failed, format!("the grant can't be read: {error}")))
}

/// A client without a certificate that believes any node of its own mesh.
fn client(
    cluster: ClusterId,
    trust: &Trust,
    seams: &Seams,
    transport: tls::Transport,
) -> Result<quinn::ClientConfig, tls::TlsError> {
    let believed = Believed::Authorities(tls::verifier(tls::roots(trust)?)?);
    let verifier = MeshVerifier { cluster, believed };
    let mut config = tls::client_builder(seams)?
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![RENEWAL_PROTOCOL.to_vec()];
    tls::finish_client(config, transport)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let key = KeyRequest { node: NodeId(5), public_key: vec![1, 2] };
        let request = RenewalRequest { key, proof: vec![3] };
        assert_eq!(Codec::encode(&request), [1, 0, 5, 2, 1, 2, 1, 3]);
        let certificate = Certificate { leaf: vec![1], authority: vec![2] };
        let grant = RenewalGrant { certificate, trust: Trust::of(&[4]) };
        assert_eq!(Codec::encode(&grant), [1, 0, 1, 1, 1, 2, 0, 1, 4, 0, 0]);
    }
}
