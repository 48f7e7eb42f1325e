//! Answers challenges: shows an authority that whoever ordered a certificate for a name has a say at that name (RFC
//! 8737).

use crate::acme::{
    Domain,
    book::{Book, Challenge},
    showcase::Question,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Answers what is asked of a showcase.
pub(crate) struct Answers {
    pub book: Book,
    pub questions: mpsc::Receiver<Question>,
}

impl Answers {
    /// Does it until nobody can ask any more.
    pub async fn run(mut self) {
        while let Some(Question { domain, answer }) = self.questions.recv().await {
            match self.book.challenge(&domain).await {
                Ok(Some(challenge)) => {
                    tracing::debug!(%domain, "a certificate authority looks at this node");
                    if let Ok(key) = certificate(&domain, &challenge) {
                        // Whoever asked may have hung up.
                        let _ = answer.send(Arc::new(key));
                    }
                }
                // It is dropped, and the handshake refused.
                Ok(None) => tracing::debug!(%domain, "an answer was asked for, and there is no challenge"),
                Err(fault) => tracing::warn!(%domain, %fault, "whether there is a challenge can't be read"),
            }
        }
    }
}

/// The certificate that answers a challenge, with a key of its own: nobody believes it, but what it says is what was
/// asked.
fn certificate(domain: &Domain, challenge: &Challenge) -> Result<CertifiedKey, rcgen::Error> {
    let mut params = CertificateParams::new(vec![domain.to_string()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&challenge.digest)];
    let pair = KeyPair::generate()?;
    let certificate = params.self_signed(&pair)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pair.serialize_der()));
    let key = any_supported_type(&key).expect("what signs P-256 was made a moment ago");
    Ok(CertifiedKey::new(vec![certificate.der().clone()], key))
}
