//! Who a node is: a key pair made on the node, and a certificate of the mesh's own authority that names it.
//!
//! The certificate's one DNS name, `<node>.<cluster>.mesh.micro`, is what a peer is checked against. The
//! private key is made where it is used and leaves that host only inside [`Identity::encode`], for the node's
//! own disk.

mod authority;
mod name;
mod node_key;
mod trust;
mod validity;

pub use authority::Authority;
pub use node_key::{KeyRequest, NodeKey};
pub use trust::Trust;

pub(crate) use name::{dns_name, of_certificate, parse as parse_name};
pub use validity::of_certificate as validity_of;

use bincode::{Decode, Encode};
use micro_sdk::wire::{ClusterId, Codec, CodecError, NodeId};
use ring::{digest, signature::Ed25519KeyPair};
use std::{
    fmt,
    time::{Duration, SystemTime},
};
use zeroize::Zeroizing;

/// How long a certificate counts where nobody said otherwise: as long as a stolen one is of use. A node renews at two
/// thirds of it, so that eight hours of failed renewals are survived.
pub const CERTIFICATE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How far the clocks of two hosts may differ before a fresh certificate looks like one from the future.
pub(crate) const SKEW: Duration = Duration::from_secs(24 * 3600);
/// The longest encoded identity or authority: two certificates and a key are below 1 KiB, so this is
/// generous.
const IDENTITY_BYTES_MAX: usize = 16 << 10;

/// Why something is not an identity, or can't become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Stored bytes that are not what they were taken for.
    #[error("the stored identity can't be read: {0}")]
    Garbled(#[from] CodecError),
    /// A private key that is not Ed25519 in PKCS#8.
    #[error("the private key is not an Ed25519 key in PKCS#8: {0}")]
    PrivateKey(String),
    /// A public key that is not Ed25519.
    #[error("the public key to be certified is not an Ed25519 key")]
    PublicKey,
    /// A certificate that can't be read, or does not name exactly one node of a mesh.
    #[error("the certificate is not one of a mesh node: {0}")]
    Certificate(String),
    /// A certificate of other names or of another key than were asked for.
    #[error("the certificate is for {found}, but {wanted} was wanted")]
    Mismatch {
        /// What was wanted.
        wanted: String,
        /// What the certificate says.
        found: String,
    },
    /// A certificate that its authority did not sign, or that does not count now.
    #[error("the certificate does not hold: {0}")]
    Untrusted(String),
}

/// A node's certificate and the authority's, both DER.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Certificate {
    /// The node's own certificate.
    pub leaf: Vec<u8>,
    /// The certificate of the authority that signed it.
    pub authority: Vec<u8>,
}

impl Certificate {
    /// The node and the mesh that the certificate names.
    ///
    /// # Errors
    /// If it does not name exactly one node of a mesh.
    pub fn names(&self) -> Result<(NodeId, ClusterId), IdentityError> {
        of_certificate(&self.leaf)
    }

    /// Checks that the authority signed the leaf for a mesh node, and that it counts at `now`.
    fn verify(&self, now: SystemTime) -> Result<(), IdentityError> {
        Trust::of(&self.authority).check(self, now)
    }
}

/// What a node proves who it is with.
#[derive(Clone)]
pub struct Identity {
    /// The node.
    pub node: NodeId,
    /// The mesh that it is of.
    pub cluster: ClusterId,
    certificate: Certificate,
    key: Zeroizing<Vec<u8>>,
    issued: SystemTime,
    expires: SystemTime,
}

/// How an identity lies on disk.
#[derive(Encode, Decode)]
struct Stored {
    node: NodeId,
    cluster: ClusterId,
    certificate: Certificate,
    key: Vec<u8>,
}

impl Identity {
    /// Puts a certificate and its key together.
    fn new(certificate: Certificate, key: Zeroizing<Vec<u8>>) -> Result<Self, IdentityError> {
        let (node, cluster) = certificate.names()?;
        let public = node_key::public_key(&key)?;
        if node_key::of_certificate(&certificate.leaf)? != public {
            return Err(IdentityError::Mismatch {
                wanted: "this node's own key".to_owned(),
                found: "another key".to_owned(),
            });
        }
        let (not_before, expires) = validity::of_certificate(&certificate.leaf)
            .ok_or_else(|| IdentityError::Certificate("its validity can't be read".to_owned()))?;
        // What comes before is for hosts whose clocks are behind.
        let issued = not_before + SKEW;
        Ok(Identity { node, cluster, certificate, key, issued, expires })
    }

    /// The identity as bytes, private key included: for a file that only the node may read.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let stored = Zeroizing::new(self.key.to_vec());
        let mut value = Stored {
            node: self.node,
            cluster: self.cluster,
            certificate: self.certificate.clone(),
            key: stored.to_vec(),
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(IDENTITY_BYTES_MAX));
        Codec::encode_into(&value, &mut bytes);
        zeroize::Zeroize::zeroize(&mut value.key);
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    /// The identity in `bytes`, as [`Identity::encode`] made them.
    ///
    /// # Errors
    /// If they are garbled, or key, certificate and names don't belong together. An expired certificate is no
    /// error: see [`Identity::expires`].
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        // TLS would find a damaged certificate, but at the peers, and later.
        let garbled =
            || IdentityError::Certificate("its checksum is another: the file is damaged".to_owned());
        let (bytes, checksum) = bytes.split_last_chunk::<32>().ok_or_else(garbled)?;
        if sha256(bytes) != *checksum {
            return Err(garbled());
        }
        let stored: Stored = Codec::decode::<_, IDENTITY_BYTES_MAX>(bytes)?;
        let identity = Identity::new(stored.certificate, Zeroizing::new(stored.key))?;
        expect_names(&identity.certificate, stored.node, stored.cluster)?;
        Ok(identity)
    }

    /// When the certificate was made.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }

    /// When the certificate ends to count.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// When the certificate should be renewed: at two thirds of its time.
    pub fn renew_at(&self) -> SystemTime {
        self.issued + self.expires.duration_since(self.issued).unwrap_or_default() * 2 / 3
    }

    /// Proves to whom this node talks that it has its key: a signature of `message`.
    ///
    /// # Errors
    /// Never for an identity that was decoded or issued; the key is parsed again.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Ok(key_pair(&self.key)?.sign(message).as_ref().to_vec())
    }

    /// The certificate of the mesh's authority, DER.
    pub fn authority_certificate(&self) -> &[u8] {
        &self.certificate.authority
    }

    /// The certificate chain.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What names the authority: the SHA-256 of its certificate.
    pub fn pin(&self) -> [u8; 32] {
        sha256(&self.certificate.authority)
    }

    /// A request to certify the same key again.
    ///
    /// # Errors
    /// Never for an identity that was decoded or issued; the key is parsed again.
    pub fn renewal(&self) -> Result<KeyRequest, IdentityError> {
        Ok(KeyRequest { node: self.node, public_key: node_key::public_key(&self.key)? })
    }

    /// The same node and key with a newer certificate.
    ///
    /// # Errors
    /// If it is for another node, mesh or key, or does not hold at `now`.
    pub fn renewed(&self, certificate: &Certificate, now: SystemTime) -> Result<Self, IdentityError> {
        certificate.verify(now)?;
        expect_names(certificate, self.node, self.cluster)?;
        Identity::new(certificate.clone(), self.key.clone())
    }

    /// The private key, PKCS#8 DER.
    pub(crate) fn key(&self) -> &[u8] {
        &self.key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("node", &self.node)
            .field("cluster", &self.cluster)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a certificate, in plain words: webpki gives the names of its source code.
fn in_words(error: &webpki::Error) -> &'static str {
    match error {
        webpki::Error::CertExpired { .. } => "it has expired",
        webpki::Error::CertNotValidYet { .. } => "it does not count yet",
        webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
            "the mesh's authority did not sign it"
        }
        webpki::Error::BadDer | webpki::Error::BadDerTime => "it is garbled",
        _ => "it is not made as the mesh's certificates are",
    }
}

/// Refuses a certificate that names another node or mesh.
fn expect_names(certificate: &Certificate, node: NodeId, cluster: ClusterId) -> Result<(), IdentityError> {
    let found = certificate.names()?;
    if found == (node, cluster) {
        return Ok(());
    }
    Err(IdentityError::Mismatch {
        wanted: format!("node {node} of mesh {cluster}"),
        found: format!("node {} of mesh {}", found.0, found.1),
    })
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The key pair in `pkcs8`.
fn key_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair, IdentityError> {
    // ring writes PKCS#8 version 2, with the public key; `maybe_unchecked` also takes version 1, as openssl
    // writes it.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
        .map_err(|error| IdentityError::PrivateKey(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn issued(authority: &Authority, node: NodeId) -> Identity {
        let key = NodeKey::generate();
        let certificate =
            authority.issue(&key.request(node), CERTIFICATE_LIFE, now()).expect("a good request");
        key.with_certificate(&certificate, node, authority.cluster(), now()).expect("a good certificate")
    }

    #[test]
    fn an_identity_survives_storage() {
        let authority = Authority::generate(ClusterId(7), now());
        let identity = issued(&authority, NodeId(3));
        let read = Identity::decode(&identity.encode()).expect("just written");
        assert_eq!((read.node, read.cluster), (NodeId(3), ClusterId(7)));
        assert_eq!(read.expires(), now() + CERTIFICATE_LIFE);
        assert_eq!(read.pin(), authority.pin());
        assert!(!format!("{read:?}").contains("key"));
    }

    #[test]
    fn an_authority_survives_storage_and_still_issues() {
        let authority = Authority::generate(ClusterId(7), now());
        let read = Authority::decode(&authority.encode()).expect("just written");
        assert_eq!(read.pin(), authority.pin());
        let identity = issued(&read, NodeId(4));
        assert_eq!(identity.pin(), authority.pin());
    }

    #[test]
    fn garbled_storage_is_refused() {
        let authority = Authority::generate(ClusterId(7), now());
        let bytes = issued(&authority, NodeId(3)).encode();
        for cut in [0, 1, 2, 20, bytes.len() - 1] {
            assert!(Identity::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let bytes = authority.encode();
        for cut in [0, 1, 2, 20, bytes.len() - 1] {
            assert!(Authority::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_certificate_for_other_names_keys_or_times_is_refused() {
        let authority = Authority::generate(ClusterId(7), now());
        let (key, other) = (NodeKey::generate(), NodeKey::generate());
        let certificate =
            authority.issue(&key.request(NodeId(3)), CERTIFICATE_LIFE, now()).expect("a good request");
        let foreign = other.with_certificate(&certificate, NodeId(3), ClusterId(7), now());
        assert!(matches!(foreign, Err(IdentityError::Mismatch { .. })), "{foreign:?}");
        let renamed = key.clone().with_certificate(&certificate, NodeId(4), ClusterId(7), now());
        assert!(matches!(renamed, Err(IdentityError::Mismatch { .. })), "{renamed:?}");
        let late = now() + CERTIFICATE_LIFE + SKEW;
        let expired = key.clone().with_certificate(&certificate, NodeId(3), ClusterId(7), late);
        assert_eq!(expired.err(), Some(IdentityError::Untrusted("it has expired".to_owned())));
        let impostor = Authority::generate(ClusterId(7), now());
        let forged = Certificate { authority: impostor.certificate().to_vec(), ..certificate };
        let forged = key.with_certificate(&forged, NodeId(3), ClusterId(7), now());
        let unsigned = "the mesh's authority did not sign it".to_owned();
        assert_eq!(forged.err(), Some(IdentityError::Untrusted(unsigned)));
    }

    #[test]
    fn a_renewed_certificate_keeps_node_and_key() {
        let authority = Authority::generate(ClusterId(7), now());
        let identity = issued(&authority, NodeId(3));
        let later = now() + CERTIFICATE_LIFE / 2;
        let request = identity.renewal().expect("its own key");
        let certificate = authority.issue(&request, CERTIFICATE_LIFE, later).expect("a good request");
        let renewed = identity.renewed(&certificate, later).expect("the same node");
        assert_eq!(renewed.expires(), later + CERTIFICATE_LIFE);
        assert_eq!(renewed.renew_at(), later + CERTIFICATE_LIFE * 2 / 3);
    }
}
