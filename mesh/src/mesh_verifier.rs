//! Whom a node believes that has no certificate which counts: one that joins, and one that was off for too long.

use crate::{
    Trust,
    identity::{dns_name, of_certificate, sha256},
    tls,
};
use micro_sdk::wire::ClusterId;
use rustls::{
    CertificateError, DigitallySignedStruct, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::Arc;

/// Believes any node of one mesh, whatever name was asked for.
#[derive(Debug)]
pub(crate) struct MeshVerifier {
    /// The mesh.
    pub(crate) cluster: ClusterId,
    /// Who may have certified the node.
    pub(crate) believed: Believed,
}

/// Who may have certified a node.
#[derive(Debug)]
pub(crate) enum Believed {
    /// The authorities that the mesh had when it was seen last.
    Authorities(Arc<WebPkiServerVerifier>),
    /// The authority with this SHA-256, which a token names and the peer shows.
    Pinned([u8; 32]),
}

impl MeshVerifier {
    /// webpki's checks, with the authorities that are believed.
    fn trusting(
        &self,
        leaf: &CertificateDer<'_>,
        shown: &[CertificateDer<'_>],
    ) -> Result<Arc<WebPkiServerVerifier>, rustls::Error> {
        let pin = match &self.believed {
            Believed::Authorities(verifier) => return Ok(verifier.clone()),
            Believed::Pinned(pin) => pin,
        };
        let Some(authority) = shown.iter().find(|certificate| sha256(certificate) == *pin) else {
            // What it says of itself is not believed, and tells what to do all the same.
            let same = of_certificate(leaf).is_ok_and(|(_, cluster)| cluster == self.cluster);
            return Err(tls::objection(match same {
                true => "its authority is not the one that the token names: the mesh has another one since"
                    .to_owned(),
                false => {
                    "it is of another mesh: its authority is not the one that the token names".to_owned()
                }
            }));
        };
        let garbled = |_| rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        tls::roots(&Trust::of(authority)).and_then(tls::verifier).map_err(garbled)
    }
}

impl ServerCertVerifier for MeshVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verifier = self.trusting(leaf, intermediates)?;
        let (node, cluster) = of_certificate(leaf).map_err(|error| tls::objection(error.to_string()))?;
        if cluster != self.cluster {
            return Err(tls::objection(format!("it is of mesh {cluster}, not of {}", self.cluster)));
        }
        let name = ServerName::try_from(dns_name(node, cluster));
        let name = name.map_err(|error| tls::objection(error.to_string()))?;
        verifier.verify_server_cert(leaf, intermediates, &name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(tls::objection("TLS 1.2 is not spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
