//! Takes up what the mesh has: each certificate as soon as this node's replica has it, whichever node ordered it.

use crate::{
    acme::{
        Domain,
        book::{Book, StoredCertificate},
        showcase::{Exhibit, Showcase},
    },
    auth::{Label, Locker},
};
use micro_sdk::wire::Fault;
use rustls::{
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often it is looked: this is a few reads of the own disk.
const EVERY: Duration = Duration::from_secs(1);
/// How long a key may take to be opened, perhaps by the leader.
const OPENING: Duration = Duration::from_secs(5);
/// Every so many looks in vain, the log says so.
const FAILURES_PER_LINE: u32 = 60;

/// Follows the records of this node's domains.
pub(crate) struct Follower {
    pub book: Book,
    pub locker: Locker,
    pub showcase: Arc<Showcase>,
}

impl Follower {
    /// Does it until it is dropped.
    pub async fn run(self) {
        let mut failures: u32 = 0;
        loop {
            let mut outcome = Ok(());
            for domain in &self.showcase.settings().domains {
                outcome = outcome.and(self.take_up(domain).await);
            }
            match outcome {
                Ok(()) => failures = 0,
                Err(fault) => {
                    if failures.is_multiple_of(FAILURES_PER_LINE) {
                        tracing::warn!(%fault, "a certificate of the HTTP api can't be taken up yet");
                    }
                    failures += 1;
                }
            }
            sleep(EVERY).await;
        }
    }

    /// Shows what is kept of a domain, if that is another certificate than the one that is shown.
    async fn take_up(&self, domain: &Domain) -> Result<(), Fault> {
        let kept = self.book.kept(domain, true).await?.certificate;
        let shown = self.showcase.exhibit(domain);
        let Some((certificate, version)) = kept else {
            if shown.is_some() {
                self.showcase.set(domain, None);
            }
            return Ok(());
        };
        if shown.as_ref().is_some_and(|shown| shown.version == version) {
            return Ok(());
        }
        let label = Label::TlsKey(domain.to_string());
        let key = self.locker.open(&label, &certificate.sealed_key, Instant::now() + OPENING).await?;
        let key = key.and_then(|key| usable(&certificate, &key));
        if key.is_none() {
            tracing::warn!(%domain, "the certificate that is kept was made by another mesh: another one is ordered");
        } else {
            let renewed = shown.is_some();
            tracing::info!(%domain, renewed, "the HTTP api shows a certificate that was ordered");
        }
        self.showcase.set(domain, Some(Exhibit { version, key, validity: certificate.validity }));
        Ok(())
    }
}

/// A certificate with its key, as TLS has it; none if they can't be used, or not together.
pub(super) fn usable(certificate: &StoredCertificate, key: &[u8]) -> Option<Arc<CertifiedKey>> {
    let chain = certificate.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = any_supported_type(&PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key))).ok()?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().ok()?;
    Some(Arc::new(certified))
}
