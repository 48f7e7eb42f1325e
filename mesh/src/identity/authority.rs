//! The mesh's certificate authority: one Ed25519 key that certifies nodes and nothing else.

use super::{
    Certificate, IDENTITY_BYTES_MAX, IdentityError, KeyRequest, SKEW, key_pair, name, node_key, sha256,
};
use bincode::{Decode, Encode};
use micro_sdk::wire::{ClusterId, Codec};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use zeroize::{Zeroize, Zeroizing};

/// How long the authority counts: longer than any mesh lives unattended. It is replaced while the mesh runs, when
/// somebody says so.
const AUTHORITY_VALIDITY: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// The authority of one mesh. Whoever holds it decides who is a node: it is kept sealed.
#[derive(Clone)]
pub struct Authority {
    cluster: ClusterId,
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// How an authority is stored.
#[derive(Encode, Decode)]
struct Stored {
    cluster: ClusterId,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    /// A new authority for `cluster`, from the operating system's randomness.
    pub fn generate(cluster: ClusterId, now: SystemTime) -> Self {
        let key = node_key::generate();
        let mut params = authority_params(cluster);
        params.not_before = (now - SKEW).into();
        params.not_after = (now + AUTHORITY_VALIDITY).into();
        let pair = signing_key(&key).expect("the key was just made");
        let certificate = params.self_signed(&pair).expect("all parameters are ours").der().to_vec();
        Authority { cluster, certificate, key }
    }

    /// The mesh that it certifies for.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Certifies that the key in `request` is its node's, from a day before `now` until `life` after it.
    ///
    /// Whether the request may be granted is for the caller to know.
    ///
    /// # Errors
    /// If the public key is not an Ed25519 key.
    pub fn issue(
        &self,
        request: &KeyRequest,
        life: Duration,
        now: SystemTime,
    ) -> Result<Certificate, IdentityError> {
        let subject = Subject(*request.raw()?);
        let garbled = |error: rcgen::Error| IdentityError::Certificate(error.to_string());
        let mut params =
            CertificateParams::new(vec![name::dns_name(request.node, self.cluster)]).map_err(garbled)?;
        params.distinguished_name = common_name(format!("micro-node {}", request.node));
        params.not_before = (now - SKEW).into();
        params.not_after = (now + life).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Every node is client and server to every other.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(authority_params(self.cluster), signing_key(&self.key)?);
        let leaf = params.signed_by(&subject, &issuer).map_err(garbled)?;
        Ok(Certificate { leaf: leaf.der().to_vec(), authority: self.certificate.clone() })
    }

    /// Certifies the key of the authority that comes after this one, so that whoever believes this one believes that
    /// one too. Returns the certificate, DER.
    ///
    /// # Errors
    /// If one of the keys can't be read.
    pub(super) fn vouch_for(&self, successor: &Authority, now: SystemTime) -> Result<Vec<u8>, IdentityError> {
        let public_key = node_key::public_key(&successor.key)?;
        let subject = Subject(*node_key::raw(&public_key)?);
        let mut params = authority_params(self.cluster);
        params.not_before = (now - SKEW).into();
        params.not_after = (now + AUTHORITY_VALIDITY).into();
        let issuer = Issuer::new(authority_params(self.cluster), signing_key(&self.key)?);
        let garbled = |error: rcgen::Error| IdentityError::Certificate(error.to_string());
        Ok(params.signed_by(&subject, &issuer).map_err(garbled)?.der().to_vec())
    }

    /// The authority as bytes, private key included: to be sealed before it is stored anywhere.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut stored =
            Stored { cluster: self.cluster, certificate: self.certificate.clone(), key: self.key.to_vec() };
        let mut bytes = Zeroizing::new(Vec::with_capacity(IDENTITY_BYTES_MAX));
        Codec::encode_into(&stored, &mut bytes);
        stored.key.zeroize();
        bytes
    }

    /// The authority in `bytes`, as [`Authority::encode`] made them.
    ///
    /// # Errors
    /// If they are garbled, or key and certificate don't belong together.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        let stored: Stored = Codec::decode::<_, IDENTITY_BYTES_MAX>(bytes)?;
        let key = Zeroizing::new(stored.key);
        key_pair(&key)?;
        if node_key::of_certificate(&stored.certificate)? != node_key::public_key(&key)? {
            return Err(IdentityError::Mismatch {
                wanted: "the authority's key".to_owned(),
                found: "another key".to_owned(),
            });
        }
        Ok(Authority { cluster: stored.cluster, certificate: stored.certificate, key })
    }

    /// The authority's own certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What names it, in join tokens too: the SHA-256 of its certificate.
    pub fn pin(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

/// What the authority's certificate says besides its dates. The issuer of every node's certificate is derived
/// from it, so it must never change for a mesh that exists.
fn authority_params(cluster: ClusterId) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(format!("micro-node mesh {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(name::domain(cluster))],
        excluded_subtrees: Vec::new(),
    });
    params
}

/// A subject with nothing but a common name, for people who look at the certificate.
fn common_name(name: String) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// The key in `pkcs8`, as rcgen signs with it.
fn signing_key(pkcs8: &[u8]) -> Result<KeyPair, IdentityError> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)
        .map_err(|error| IdentityError::PrivateKey(error.to_string()))
}

/// The public key that is certified.
struct Subject([u8; 32]);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}
