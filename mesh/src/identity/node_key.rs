//! A node's key pair, and the request to certify it.

use super::{Certificate, Identity, IdentityError, expect_names, in_words, key_pair};
use bincode::{Decode, Encode};
use micro_sdk::wire::{ClusterId, NodeId};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use rustls::pki_types::CertificateDer;
use std::{fmt, time::SystemTime};
use zeroize::Zeroizing;

/// What comes before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A request to certify a key for a node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyRequest {
    /// The node.
    pub node: NodeId,
    /// Its public key: SubjectPublicKeyInfo, DER, Ed25519.
    pub public_key: Vec<u8>,
}

impl KeyRequest {
    /// Whether whoever signed `message` has the private key.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(raw) = self.raw() else { return false };
        UnparsedPublicKey::new(&ED25519, raw).verify(message, signature).is_ok()
    }

    /// The raw 32 bytes of the key.
    pub(super) fn raw(&self) -> Result<&[u8; 32], IdentityError> {
        raw(&self.public_key)
    }
}

/// The raw 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo.
pub(super) fn raw(public_key: &[u8]) -> Result<&[u8; 32], IdentityError> {
    let raw = public_key.strip_prefix(&SPKI_PREFIX).ok_or(IdentityError::PublicKey)?;
    raw.try_into().map_err(|_| IdentityError::PublicKey)
}

/// A key pair made on the node that will use it. It never leaves that node.
#[derive(Clone)]
pub struct NodeKey {
    pkcs8: Zeroizing<Vec<u8>>,
}

impl NodeKey {
    /// A new key pair, from the operating system's randomness.
    pub fn generate() -> Self {
        NodeKey { pkcs8: generate() }
    }

    /// The request to certify this key for `node`.
    pub fn request(&self, node: NodeId) -> KeyRequest {
        let public_key = public_key(&self.pkcs8).expect("the key was made by `generate`");
        KeyRequest { node, public_key }
    }

    /// The identity that this key and `certificate` make, for `node` of `cluster`.
    ///
    /// # Errors
    /// If the certificate is for another node, mesh or key, or does not hold at `now`.
    pub fn with_certificate(
        self,
        certificate: &Certificate,
        node: NodeId,
        cluster: ClusterId,
        now: SystemTime,
    ) -> Result<Identity, IdentityError> {
        certificate.verify(now)?;
        expect_names(certificate, node, cluster)?;
        Identity::new(certificate.clone(), self.pkcs8)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(redacted)")
    }
}

/// A new Ed25519 key, PKCS#8 DER.
#[expect(
    clippy::disallowed_methods,
    reason = "a key is made from the operating system's randomness, with nothing between"
)]
pub(super) fn generate() -> Zeroizing<Vec<u8>> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .expect("the operating system gives random bytes");
    Zeroizing::new(document.as_ref().to_vec())
}

/// The SubjectPublicKeyInfo of the key in `pkcs8`.
pub(super) fn public_key(pkcs8: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let pair = key_pair(pkcs8)?;
    Ok([SPKI_PREFIX.as_slice(), pair.public_key().as_ref()].concat())
}

/// The SubjectPublicKeyInfo inside the certificate in `der`.
pub(super) fn of_certificate(der: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let der = CertificateDer::from(der);
    let certificate = webpki::EndEntityCert::try_from(&der)
        .map_err(|error| IdentityError::Certificate(in_words(&error).to_owned()))?;
    Ok(certificate.subject_public_key_info().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ed25519_keys_are_certified() {
        let good = NodeKey::generate().request(NodeId(1));
        assert!(good.raw().is_ok());
        for public_key in
            [vec![], good.public_key[..43].to_vec(), vec![0; 44], [&good.public_key[..], &[0]].concat()]
        {
            let request = KeyRequest { node: NodeId(1), public_key };
            assert_eq!(request.raw(), Err(IdentityError::PublicKey));
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", NodeKey::generate()), "NodeKey(redacted)");
    }
}
