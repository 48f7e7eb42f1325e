//! Connections with TLS as others make them: an authority that looks at a challenge (RFC 8737), and callers.

use anyhow::{Context, ensure};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(20);
/// The protocol of challenges.
const CHALLENGE: &[u8] = b"acme-tls/1";
/// The extension with the answer: id-pe-acmeIdentifier.
const ANSWER: &str = "1.3.6.1.5.5.7.1.31";

/// Believes any certificate: what is in it is looked at later. That the other side has its key is still proven.
#[derive(Debug)]
struct Anybody(CryptoProvider);

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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        // What the certificate says of itself is not understood by those who check it: its answer is critical.
        let key =
            X509Certificate::from_der(certificate).map_err(|_| rustls::Error::General("garbled".into()))?;
        let key = key.1.public_key().subject_public_key.data.as_ref().to_vec();
        let key = ::ring::signature::UnparsedPublicKey::new(&::ring::signature::ECDSA_P256_SHA256_ASN1, key);
        match key.verify(message, signed.signature()) {
            Ok(()) => Ok(HandshakeSignatureValid::assertion()),
            Err(_) => Err(rustls::Error::General("it has not got its key".into())),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

async fn connect(config: ClientConfig, at: SocketAddr, domain: &str) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(domain.to_owned())?;
    let connecting = async {
        let stream = TcpStream::connect(at).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    Ok(timeout(LIMIT, connecting).await??)
}

fn leaf(stream: &TlsStream<TcpStream>) -> anyhow::Result<Vec<u8>> {
    let chain = stream.get_ref().1.peer_certificates().context("it shows no certificate")?;
    Ok(chain[0].to_vec())
}

/// Looks whether `digest` is shown at a domain, which is served at this address.
pub async fn at_challenge(at: SocketAddr, domain: &str, digest: &[u8]) -> anyhow::Result<()> {
    let provider = ring::default_provider();
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![CHALLENGE.to_vec()];
    let mut stream = connect(config, at, domain).await?;
    ensure!(stream.get_ref().1.alpn_protocol() == Some(CHALLENGE), "it speaks something else");
    let shown = leaf(&stream)?;
    let (_, certificate) = X509Certificate::from_der(&shown)?;
    let names = certificate.subject_alternative_name()?.context("it names nobody")?;
    ensure!(names.value.general_names == [GeneralName::DNSName(domain)], "it is for {:?}", names.value);
    let answers: Vec<_> =
        certificate.extensions().iter().filter(|extension| extension.oid.to_id_string() == ANSWER).collect();
    let [answer] = answers[..] else { anyhow::bail!("it has {} answers", answers.len()) };
    ensure!(answer.critical, "the answer is not critical");
    // An OCTET STRING of 32 bytes.
    ensure!(answer.value == [&[0x04, 0x20], digest].concat(), "another answer: {:02x?}", answer.value);
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest)).await??;
    ensure!(rest.is_empty(), "something is said");
    Ok(())
}

/// A caller who believes one authority.
#[derive(Clone)]
pub struct Caller {
    roots: RootCertStore,
}

impl Caller {
    pub fn believing(root: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
        Ok(Caller { roots })
    }

    /// A connection to a node at one of its names.
    pub async fn connect(&self, api: SocketAddr, domain: &str) -> anyhow::Result<Line> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth();
        let stream = connect(config, api, domain).await?;
        Ok(Line { certificate: leaf(&stream)?, host: format!("{domain}:{}", api.port()), stream })
    }

    /// Calls the service on a connection of its own.
    pub async fn call(&self, api: SocketAddr, domain: &str) -> anyhow::Result<()> {
        self.connect(api, domain).await?.call().await
    }
}

/// A connection that stays.
pub struct Line {
    /// The certificate that was shown.
    pub certificate: Vec<u8>,
    host: String,
    stream: TlsStream<TcpStream>,
}

impl Line {
    /// Calls the service.
    pub async fn call(&mut self) -> anyhow::Result<()> {
        timeout(LIMIT, self.exchange()).await?
    }

    async fn exchange(&mut self) -> anyhow::Result<()> {
        let body = r#"{"name":"Jane"}"#;
        let length = body.len();
        let head = format!(
            "POST /helloworld/call HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {length}",
            self.host
        );
        self.stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"}") {
            let read = self.stream.read_buf(&mut answer).await?;
            ensure!(read > 0, "it hung up: {}", String::from_utf8_lossy(&answer));
        }
        let answer = String::from_utf8(answer)?;
        ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("Jane"), "{answer}");
        Ok(())
    }

    /// What is at a path, as the last thing that is asked.
    pub async fn get(mut self, path: &str) -> anyhow::Result<String> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.host);
        self.stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        timeout(LIMIT, self.stream.read_to_string(&mut answer)).await??;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Ok(answer)
    }
}
