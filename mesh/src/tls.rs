//! TLS 1.3 with ring, and QUIC's settings. Every connection between nodes is checked on both ends.

use crate::{
    Identity, Trust,
    identity::{dns_name, of_certificate, parse_name},
    mesh_verifier::{Believed, MeshVerifier},
    prelude::{JOIN_PROTOCOL, RENEWAL_PROTOCOL, mesh_protocol},
};
use micro_sdk::wire::{Clock, Seams};
use quinn::{
    VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::WebPkiClientVerifier,
    time_provider::TimeProvider,
};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long a connection lives without a sign of the peer. Less would break links at every pause of a busy
/// host; more would leave callers waiting for the dead.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// By how much a connection outlives the time after which no way leads over it.
const OUTLIVES: Duration = Duration::from_secs(3);
/// How often a quiet connection shows that it lives: four chances within the idle timeout.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Flow-control window of a stream: 16 MiB is 1 Gbit/s over 130 ms.
const STREAM_WINDOW: VarInt = VarInt::from_u32(16 << 20);
/// Window of a whole connection: four streams that nobody reads don't stop the others.
pub(crate) const CONNECTION_WINDOW: VarInt = VarInt::from_u32(64 << 20);
/// What may be sent and not yet acknowledged.
const SEND_WINDOW: u64 = 16 << 20;
/// Streams that a peer may have open: QUIC's usual 100 would be the limit of calls in flight.
pub(crate) const BIDI_STREAMS_MAX: VarInt = VarInt::from_u32(4096);
/// Gossip messages that a peer may have under way.
pub(crate) const UNI_STREAMS_MAX: VarInt = VarInt::from_u32(1024);
/// What a peer may send before it is known who it is: one stream, and a little more than one join request.
const STRANGER_WINDOW: VarInt = VarInt::from_u32(128 << 10);
/// Packets of other nodes that have come over a link and wait to be sent on, in bytes: a burst of 50 ms at 100 Mbit/s.
const DATAGRAMS: usize = 640 << 10;
/// The same of a link whose other end has dialled: it could send them before it has shown who it is.
const STRANGER_DATAGRAMS: usize = 64 << 10;
/// Handshakes waiting to be looked at.
const INCOMING_MAX: usize = 256;

/// Why TLS could not be set up. Only a broken identity brings it about.
#[derive(Clone, Debug, thiserror::Error)]
#[error("TLS can't be set up with this identity: {0}")]
pub(crate) struct TlsError(String);

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        TlsError(error.to_string())
    }
}

/// The node's clock, as rustls and quinn read it.
pub(crate) struct WallClock(pub(crate) Arc<dyn Clock>);

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = self.0.now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(UnixTime::since_unix_epoch(since))
    }
}

impl quinn::TimeSource for WallClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// The one provider of cryptography: ring, never the process default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The trust in these authorities and nobody else, as rustls has it.
pub(crate) fn roots(trust: &Trust) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in trust.authorities() {
        roots.add(CertificateDer::from(authority.clone()))?;
    }
    Ok(Arc::new(roots))
}

/// How this node dials its peers.
pub(crate) fn client(
    identity: &Identity,
    trust: &Trust,
    seams: &Seams,
    transport: Transport,
) -> Result<quinn::ClientConfig, TlsError> {
    client_with(Arc::new(PeerVerifier::new(identity, trust)?), identity, trust, seams, transport)
}

/// How this node dials a place where any other node of its mesh may be.
pub(crate) fn client_of_any(
    identity: &Identity,
    trust: &Trust,
    seams: &Seams,
    transport: Transport,
) -> Result<quinn::ClientConfig, TlsError> {
    let believed = Believed::Authorities(verifier(roots(trust)?)?);
    let verifier = MeshVerifier { cluster: identity.cluster, believed };
    client_with(Arc::new(verifier), identity, trust, seams, transport)
}

/// How this node dials whom `verifier` believes.
fn client_with(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: &Identity,
    trust: &Trust,
    seams: &Seams,
    transport: Transport,
) -> Result<quinn::ClientConfig, TlsError> {
    let mut config = client_builder(seams)?
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain(identity, trust), key(identity))?;
    config.alpn_protocols = vec![mesh_protocol(identity.cluster)];
    finish_client(config, transport)
}

/// What the clients for the mesh and for joining have in common, first part.
pub(crate) fn client_builder(seams: &Seams) -> Result<ClientBuilder, TlsError> {
    let clock = Arc::new(WallClock(seams.clock.clone()));
    let builder = rustls::ClientConfig::builder_with_details(provider(), clock)
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(builder.dangerous())
}

/// A client's settings before its verifier is set. "Dangerous" is rustls's word for a verifier of one's own.
type ClientBuilder = rustls::client::danger::DangerousClientConfigBuilder;

/// What the clients for the mesh and for joining have in common, second part.
pub(crate) fn finish_client(
    mut config: rustls::ClientConfig,
    transport: Transport,
) -> Result<quinn::ClientConfig, TlsError> {
    // Each connection is checked anew: a resumed one would outlive its certificate.
    config.resumption = Resumption::disabled();
    let crypto = QuicClientConfig::try_from(config).map_err(|error| TlsError(error.to_string()))?;
    let mut client = quinn::ClientConfig::new(Arc::new(crypto));
    client.transport_config(Arc::new(transport.settings()));
    Ok(client)
}

/// How this node answers: peers, nodes that want in, and nodes whose certificate does not count any more.
///
/// A client certificate is not demanded by TLS, since these have none: the door demands it of all who speak the mesh's
/// protocol. A certificate that is shown is checked here.
pub(crate) fn server(
    identity: &Identity,
    trust: &Trust,
    seams: &Seams,
    transport: Transport,
) -> Result<quinn::ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(trust)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| TlsError(error.to_string()))?;
    // Whoever wants in looks for the authority that its token pins.
    let authorities = trust.authorities().cloned().map(CertificateDer::from);
    let shown = chain(identity, trust).into_iter().chain(authorities).collect();
    let clock = Arc::new(WallClock(seams.clock.clone()));
    let mut config = rustls::ServerConfig::builder_with_details(provider(), clock.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(shown, key(identity))?;
    config.alpn_protocols =
        vec![mesh_protocol(identity.cluster), JOIN_PROTOCOL.to_vec(), RENEWAL_PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    let crypto = QuicServerConfig::try_from(config).map_err(|error| TlsError(error.to_string()))?;
    let token_key = ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, &[]).extract(&seams.random::<64>());
    let mut server = quinn::ServerConfig::new(Arc::new(crypto), Arc::new(token_key));
    let mut transport = transport.settings();
    narrow(&mut transport);
    // Whoever has not shown a certificate yet may send packets as well.
    transport.datagram_receive_buffer_size(Some(STRANGER_DATAGRAMS));
    server.transport_config(Arc::new(transport));
    server.time_source(clock);
    server.max_incoming(INCOMING_MAX);
    Ok(server)
}

/// How this node dials a peer over relays, where it dials directly by `client`.
pub(crate) fn relayed_client(client: &quinn::ClientConfig, transport: Transport) -> quinn::ClientConfig {
    let mut client = client.clone();
    client.transport_config(Arc::new(transport.relayed()));
    client
}

/// How this node answers over relays, where it answers directly by `server`.
pub(crate) fn relayed_server(server: &quinn::ServerConfig, transport: Transport) -> quinn::ServerConfig {
    let (mut server, mut transport) = (server.clone(), transport.relayed());
    narrow(&mut transport);
    server.transport_config(Arc::new(transport));
    server
}

/// What whoever dials gets before it is known who that is.
fn narrow(transport: &mut quinn::TransportConfig) {
    transport
        .max_concurrent_bidi_streams(1u32.into())
        .max_concurrent_uni_streams(0u32.into())
        .receive_window(STRANGER_WINDOW);
}

/// The endpoint's own settings: its secrets come from the node's entropy.
pub(crate) fn endpoint(seams: &Seams) -> quinn::EndpointConfig {
    let reset_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &seams.random::<64>());
    let mut config = quinn::EndpointConfig::new(Arc::new(reset_key));
    config.rng_seed(Some(seams.random()));
    config
}

/// What nodes may set of QUIC between them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transport {
    /// Whether the kernel cuts long writes into packets.
    pub segments: bool,
    /// How long a connection lives without a sign of the peer.
    pub idle: Duration,
}

impl Transport {
    /// For links that count as dead after `link_timeout`: a connection outlives that, so that what is under way on it
    /// can still be answered.
    pub fn new(segments: bool, link_timeout: Duration) -> Self {
        Transport { segments, idle: IDLE_TIMEOUT.max(link_timeout + OUTLIVES) }
    }

    /// QUIC's settings between nodes.
    fn settings(self) -> quinn::TransportConfig {
        let mut transport = quinn::TransportConfig::default();
        let idle = quinn::IdleTimeout::try_from(self.idle).expect("a minute is far below QUIC's bound");
        transport
            .max_idle_timeout(Some(idle))
            .keep_alive_interval(Some(KEEP_ALIVE))
            .max_concurrent_bidi_streams(BIDI_STREAMS_MAX)
            .max_concurrent_uni_streams(UNI_STREAMS_MAX)
            .stream_receive_window(STREAM_WINDOW)
            .receive_window(CONNECTION_WINDOW)
            .send_window(SEND_WINDOW)
            .send_fairness(false) // One stream after the other finishes earlier than all at once.
            .datagram_receive_buffer_size(Some(DATAGRAMS))
            .enable_segmentation_offload(self.segments);
        transport
    }

    /// Those between nodes that have others between them. Packets are as small as QUIC allows, since they travel within
    /// others, and carry no packets of others in turn.
    fn relayed(self) -> quinn::TransportConfig {
        let mut transport = Transport { segments: false, ..self }.settings();
        transport.mtu_discovery_config(None).datagram_receive_buffer_size(None);
        transport
    }
}

/// The certificates to show: the node's own, and those that lead to it from a former authority.
fn chain(identity: &Identity, trust: &Trust) -> Vec<CertificateDer<'static>> {
    let own = std::iter::once(identity.certificate().leaf.clone());
    own.chain(trust.bridges().iter().cloned()).map(CertificateDer::from).collect()
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(identity.key().to_vec().into())
}

/// Checks whom we have dialled, and says in plain words what is wrong.
#[derive(Debug)]
struct PeerVerifier {
    inner: Arc<WebPkiServerVerifier>,
    own: String,
}

impl PeerVerifier {
    fn new(identity: &Identity, trust: &Trust) -> Result<Self, TlsError> {
        Ok(PeerVerifier { inner: verifier(roots(trust)?)?, own: dns_name(identity.node, identity.cluster) })
    }
}

/// webpki's checks against `roots`.
pub(crate) fn verifier(roots: Arc<RootCertStore>) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| TlsError(error.to_string()))
}

/// What is wrong with a peer's certificate, for people.
#[derive(thiserror::Error)]
#[error("{0}")]
struct Objection(String);

impl fmt::Debug for Objection {
    /// The message as it is: rustls shows our objections in no other way.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The reason for which TLS has failed, here or at the peer, in plain words. Where rustls has none it gives the names
/// of its source code.
pub(crate) fn in_words(reason: &str) -> &str {
    let reason = reason.trim_start_matches("invalid peer certificate: ");
    if let Some(objection) = reason.strip_prefix("Other(OtherError(") {
        // A peer's long reason arrives cut off.
        return objection.strip_suffix("))").unwrap_or(objection);
    }
    match reason {
        "BadEncoding" => "its certificate is garbled",
        "BadSignature" => "its certificate was signed with another key",
        "Expired" => "its certificate has expired",
        "InvalidPurpose" => "its certificate is for another purpose",
        "NotValidForName" => "its certificate is of another name",
        "NotValidYet" => "its certificate does not count yet",
        "Revoked" => "its certificate was revoked",
        "UnhandledCriticalExtension" => "its certificate asks for what is not known here",
        "UnknownIssuer" => "its certificate is of an authority that is not known here",
        other => other,
    }
}

/// An error of TLS that shows `message` to people on both ends.
pub(crate) fn objection(message: String) -> rustls::Error {
    rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Objection(message)))))
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(leaf, intermediates, server_name, ocsp, now);
        verified.map_err(|error| {
            let wanted = server_name.to_str();
            let found = of_certificate(leaf);
            match (error, parse_name(&wanted), found) {
                // The same name of an authority with another key is a bad signature.
                (
                    rustls::Error::InvalidCertificate(
                        CertificateError::UnknownIssuer | CertificateError::BadSignature,
                    ),
                    ..,
                ) => objection("its certificate is of another mesh's authority".to_owned()),
                (_, Some((_, mesh)), Ok((_, other))) if mesh != other => {
                    objection(format!("it is of mesh {other}, not {mesh}"))
                }
                (_, Some((wanted, _)), Ok((found, mesh))) if wanted != found => {
                    let own =
                        if self.own == dns_name(found, mesh) { ", which is this node itself" } else { "" };
                    objection(format!(
                        "its certificate is of node {found}{own}, but node {wanted} was dialled"
                    ))
                }
                (error, ..) => error,
            }
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tls_objects_to_is_said_in_plain_words() {
        let own = objection("it is of mesh 1, not 2".to_owned()).to_string();
        assert_eq!(in_words(&own), "it is of mesh 1, not 2");
        assert_eq!(in_words(&own[..own.len() - 2]), "it is of mesh 1, not 2");
        for error in
            [CertificateError::BadEncoding, CertificateError::UnknownIssuer, CertificateError::Expired]
        {
            let text = rustls::Error::InvalidCertificate(error).to_string();
            assert!(in_words(&text).starts_with("its certificate "), "{text}");
        }
        assert_eq!(in_words("no shared cipher"), "no shared cipher");
    }
}
