//! What is tried by those who are no nodes: raw QUIC against a mesh's port.

use crate::world::World;
use micro_mesh::{Identity, JoinToken, Mesh};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::{
    DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Believes anybody, as an attacker would.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Connects to `mesh` with `protocol`, and says that `first` is the first stream. How the connection ended.
async fn intrude(
    mesh: &Mesh,
    protocol: &[u8],
    certificate: Option<(Vec<u8>, Vec<u8>)>,
    first: &[u8],
) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let mut config = match certificate {
        Some((leaf, key)) => builder
            .with_client_auth_cert(vec![CertificateDer::from(leaf)], PrivateKeyDer::Pkcs8(key.into()))
            .expect("a key"),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let crypto = QuicClientConfig::try_from(config).expect("TLS 1.3");
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a free port");
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, mesh.local_addr(), "x").expect("an address");
    let connection = match timeout(Duration::from_secs(5), connecting).await.expect("an answer") {
        Ok(connection) => connection,
        Err(error) => return error.to_string(),
    };
    if let Ok((mut send, _recv)) = connection.open_bi().await {
        let _ = send.write_all(first).await;
        let _ = send.finish();
        return timeout(Duration::from_secs(13), connection.closed())
            .await
            .expect("it is closed")
            .to_string();
    }
    connection.closed().await.to_string()
}

fn mesh_protocol(mesh: &Mesh) -> Vec<u8> {
    format!("micro/5/{}", mesh.cluster()).into_bytes()
}

/// A self-made identity's certificate and key. The key is found in what the identity stores.
fn forged(identity: &Identity) -> (Vec<u8>, Vec<u8>) {
    let stored = identity.encode();
    let pkcs8 = [0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
    let at = stored.windows(pkcs8.len()).position(|bytes| bytes == pkcs8).expect("ring's PKCS#8");
    (identity.certificate().leaf.clone(), stored[at..at + 83].to_vec())
}

#[tokio::test]
async fn a_stranger_without_a_certificate_gets_no_further() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    let end = intrude(&a, &mesh_protocol(&a), None, b"\x01").await;
    assert!(end.contains("a node's certificate is required"), "{end}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_gets_no_further() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    for (cluster, problem) in [(1, "BadSignature"), (2, "UnknownIssuer")] {
        let forged = forged(&World::new(cluster).identity(2));
        let end = intrude(&a, &mesh_protocol(&a), Some(forged), b"\x01").await;
        assert!(end.contains(problem), "{end}");
    }
}

#[tokio::test]
async fn a_node_must_say_hello_first() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    for first in [&b"\x01rubbish"[..], b"\x04rubbish", b"", &[4; 5000]] {
        let end = intrude(&a, &mesh_protocol(&a), Some(forged(&world.identity(2))), first).await;
        assert!(end.contains("closed by peer"), "{end}");
    }
    let end = intrude(&a, &mesh_protocol(&a), Some(forged(&world.identity(1))), b"\x04").await;
    assert!(end.contains("is this node itself"), "{end}");
}

#[tokio::test]
async fn rubbish_instead_of_a_join_request_is_survived() {
    let world = World::new(1);
    let (a, _) = world.node(1);
    for first in
        [&b"rubbish"[..], b"", &[0xff; 60_000], &[1, 0, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
    {
        let end = intrude(&a, b"micro-join/1", None, first).await;
        assert!(end.contains("closed by peer"), "{end}");
    }
    let end = intrude(&a, b"micro/9/none", None, b"").await;
    assert!(end.contains("no application protocol") || end.contains("120"), "{end}");
    assert!("mnt1.rubbish".parse::<JoinToken>().is_err());
}
