//! One order, from the account to the certificate (RFC 8555, 7.1).
//!
//! ```text
//!   account ──► order ──► challenge: a record, then "look" ──► ready ──► request for a certificate ──► certificate
//! ```

use crate::{
    acme::{
        AcmeSettings, Domain,
        book::{Book, Challenge, StoredAccount, StoredCertificate, Turn, ms_of},
        directory::Https,
        follower::usable,
        plan::Validity,
    },
    auth::{Label, Locker},
};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order, OrderStatus,
    RetryPolicy,
};
use micro_mesh::validity_of;
use micro_sdk::wire::{Fault, NodeId};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// How often an authority is asked how far it is: often at first, since most need a second or two. Who orders bounds
/// the whole.
const POLLS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.2)
    .timeout(Duration::from_secs(240));
/// How long a key may take to be sealed or opened, perhaps by the leader.
const SEALING: Duration = Duration::from_secs(10);
/// The kinds of problems (RFC 8555, 6.7) that are met in another way than the others.
const RATE_LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words.
    pub why: String,
    /// Whether the authority takes no more orders for a while.
    pub limited: bool,
    /// Whether it does not know the mesh's account any more.
    forgotten: bool,
}

impl Failure {
    pub fn new(why: impl Into<String>) -> Self {
        Failure { why: why.into(), limited: false, forgotten: false }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::new(fault.message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Api(problem) => problem.r#type.as_deref().unwrap_or_default(),
            _ => "",
        };
        let (limited, forgotten) = (kind == RATE_LIMITED, kind == NO_ACCOUNT);
        Failure { limited, forgotten, ..Failure::new(error.to_string()) }
    }
}

impl From<rcgen::Error> for Failure {
    fn from(error: rcgen::Error) -> Self {
        Failure::new(format!("no request for a certificate can be made: {error}"))
    }
}

/// Orders certificates of one authority, in the name of the mesh.
pub(crate) struct Office {
    pub book: Book,
    pub locker: Locker,
    pub settings: AcmeSettings,
}

impl Office {
    /// Orders a certificate. Nothing is kept of it yet.
    ///
    /// # Errors
    /// What was in the way.
    pub async fn order(
        &self,
        turn: Turn,
        node: NodeId,
        domain: &Domain,
    ) -> Result<StoredCertificate, Failure> {
        let ordered = self.ordered(turn, node, domain).await;
        if ordered.as_ref().is_err_and(|failure| failure.forgotten) {
            // The next order makes another.
            self.book.set_account(turn, node, None).await?;
        }
        ordered
    }

    async fn ordered(&self, turn: Turn, node: NodeId, domain: &Domain) -> Result<StoredCertificate, Failure> {
        let account = self.account(turn, node).await?;
        let identifiers = [Identifier::Dns(domain.to_string())];
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        self.answer(&mut order, turn, node, domain).await?;
        if order.state().status != OrderStatus::Ready && order.poll_ready(&POLLS).await? != OrderStatus::Ready
        {
            return Err(refused(&mut order).await);
        }
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![domain.to_string()])?;
        params.distinguished_name = DistinguishedName::new();
        order.finalize_csr(params.serialize_request(&pair)?.der()).await?;
        let chain = order.poll_certificate(&POLLS).await?;
        self.certificate(domain, &chain, &Zeroizing::new(pair.serialize_der())).await
    }

    /// The mesh's account: the one that it has, or a new one.
    async fn account(&self, turn: Turn, node: NodeId) -> Result<Account, Failure> {
        let directory = self.settings.directory.clone();
        let label = Label::AcmeAccount(directory.clone());
        let https = Https::new(self.settings.roots.clone(), &self.book.seams).await?;
        let builder = Account::builder_with_http(Box::new(https));
        if let Some(kept) = self.book.account().await? {
            let opened = self.locker.open(&label, &kept.sealed, Instant::now() + SEALING).await?;
            // One that another mesh has sealed is as good as none.
            let credentials = opened.and_then(|opened| serde_json::from_slice(&opened).ok());
            if let Some(credentials) = credentials {
                return Ok(builder.from_credentials(credentials).await?);
            }
        }
        let contact = self.settings.email.as_ref().map(|email| format!("mailto:{email}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, directory, None).await?;
        let secret = serde_json::to_vec(&credentials).map(Zeroizing::new);
        let secret = secret.map_err(|error| Failure::new(format!("the account can't be kept: {error}")))?;
        let sealed = self.locker.seal(&label, &secret, Instant::now() + SEALING).await?;
        let stored = StoredAccount { sealed, created_ms: self.book.now_ms() };
        self.book.set_account(turn, node, Some(&stored)).await?;
        tracing::info!(directory = %self.book.directory, "the mesh has an account at a certificate authority");
        Ok(account)
    }

    /// Has the authority look at what it wants to see.
    async fn answer(
        &self,
        order: &mut Order,
        turn: Turn,
        node: NodeId,
        domain: &Domain,
    ) -> Result<(), Failure> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                // It remembers that it has looked lately.
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(Failure::new(format!("the authority says that the name is {other:?}"))),
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(Failure::new(
                    "the authority does not offer to look at the HTTP api (tls-alpn-01)",
                ));
            };
            let digest = challenge.key_authorization().digest().as_ref().try_into();
            let digest = digest.map_err(|_| Failure::new("the answer has not the length of a SHA-256"))?;
            self.book.set_challenge(turn, node, domain, &Challenge { digest }).await?;
            challenge.set_ready().await?;
        }
        Ok(())
    }

    /// What is kept of a certificate that was given.
    async fn certificate(
        &self,
        domain: &Domain,
        chain: &str,
        key: &Zeroizing<Vec<u8>>,
    ) -> Result<StoredCertificate, Failure> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
        let chain: Vec<Vec<u8>> = chain.unwrap_or_default().iter().map(|der| der.to_vec()).collect();
        let validity = chain.first().and_then(|leaf| validity_of(leaf));
        let Some((issued, ends)) = validity else {
            return Err(Failure::new("what the authority gave is not a certificate"));
        };
        let label = Label::TlsKey(domain.to_string());
        let sealed_key = self.locker.seal(&label, key, Instant::now() + SEALING).await?;
        let validity =
            Validity { issued_ms: ms_of(issued), ends_ms: ms_of(ends), ordered_ms: self.book.now_ms() };
        let certificate = StoredCertificate { chain, sealed_key, validity };
        match usable(&certificate, key) {
            Some(_) => Ok(certificate),
            None => {
                Err(Failure::new("the certificate that the authority gave is not for the key that was made"))
            }
        }
    }
}

/// Why the authority does not give a certificate: what it found when it looked.
async fn refused(order: &mut Order) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            return Failure::from(Error::Api(problem));
        }
    }
    Failure::new("the authority refuses the order, and does not say why")
}
