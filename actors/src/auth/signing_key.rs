//! The keys that sign access tokens: Ed25519, each named by what it is, so that nobody can say another is meant.
//!
//! The private halves lie in the store, sealed with the key of the authority's seal, which is a file on each voter. So
//! any voter signs, any node verifies, and no copy of the store signs by itself.

use crate::auth::SealKey;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bincode::{Decode, Encode};
use micro_sdk::wire::{ClusterId, Seams};
use ring::{
    digest,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt};
use zeroize::Zeroizing;

/// How old a key must be before it signs, unless it is the only one: by then every node that is not cut off knows it.
pub(crate) const SIGNS_AFTER_MS: u64 = 2000;
/// How many keys are kept: one that signs, and the one before it, whose tokens are still good.
pub(crate) const KEYS_KEPT: usize = 2;
/// What is sealed begins so: a seal of something else is not taken for a key.
const SEALED_AS: &[u8] = b"ed25519/1";
const SEED_BYTES: usize = 32;

/// The public half of a key.
pub(crate) type PublicKey = [u8; 32];

/// A key as it is kept.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct StoredKey {
    pub public: PublicKey,
    /// The private half, sealed.
    pub sealed: Vec<u8>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredKey({})", key_id(&self.public))
    }
}

/// What a key is called: the first bytes of its public half's hash.
pub(crate) fn key_id(public: &PublicKey) -> String {
    let hash = digest::digest(&digest::SHA256, public);
    URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12])
}

/// A key that can sign.
pub(crate) struct SigningKey {
    pub id: String,
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl StoredKey {
    /// A new key.
    pub fn generate(seams: &Seams, seal: &SealKey, cluster: ClusterId, now_ms: u64) -> Self {
        let seed: Zeroizing<[u8; SEED_BYTES]> = Zeroizing::new(seams.random());
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).expect("32 bytes are a seed of Ed25519");
        let public: PublicKey = pair.public_key().as_ref().try_into().expect("a public key has 32 bytes");
        let secret = Zeroizing::new([SEALED_AS, &public[..], &seed[..]].concat());
        StoredKey { public, sealed: seal.seal(seams, cluster, &secret), created_ms: now_ms }
    }

    /// Its private half; none if `seal` does not open it: it was made by the mesh whose backup this one was made of.
    pub fn open(&self, seal: &SealKey, cluster: ClusterId) -> Option<SigningKey> {
        let opened = seal.open(cluster, &self.sealed).ok()?;
        let seed = opened.strip_prefix(SEALED_AS)?.strip_prefix(&self.public[..])?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(seed, &self.public).ok()?;
        Some(SigningKey { id: key_id(&self.public), pair })
    }
}

/// The public halves of the keys whose tokens are good, by what they are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PublicKeys(pub BTreeMap<String, PublicKey>);

impl PublicKeys {
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        PublicKeys(keys.into_iter().map(|key| (key_id(&key), key)).collect())
    }

    pub fn knows(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// Whether `signature` is that of the key `id` on `message`; none if there is no such key.
    pub fn verify(&self, id: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.0.get(id)?;
        Some(UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
    }

    /// The set as others verify with it (RFC 7517, RFC 8037).
    pub fn document(&self) -> Value {
        let key = |(id, key): (&String, &PublicKey)| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": id, "x": URL_SAFE_NO_PAD.encode(key),
            })
        };
        json!({ "keys": self.0.iter().map(key).collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::seams;
    use micro_sdk::wire::Codec;

    const CLUSTER: ClusterId = ClusterId(7);

    #[test]
    fn a_key_signs_where_its_seal_is_and_is_verified_anywhere() {
        let (seams, seal) = (seams(), SealKey::generate(&seams()));
        let stored = StoredKey::generate(&seams, &seal, CLUSTER, 5);
        let key = stored.open(&seal, CLUSTER).expect("it is the seal");
        let keys = PublicKeys::new([stored.public]);
        let signature = key.sign(b"hello");
        assert_eq!(keys.verify(&key.id, b"hello", &signature), Some(true));
        assert_eq!(keys.verify(&key.id, b"hullo", &signature), Some(false));
        assert_eq!(keys.verify("another", b"hello", &signature), None);
        assert!(stored.open(&SealKey::generate(&seams), CLUSTER).is_none(), "another seal");
        assert!(stored.open(&seal, ClusterId(8)).is_none(), "another mesh");
        let other = StoredKey { public: StoredKey::generate(&seams, &seal, CLUSTER, 5).public, ..stored };
        assert!(other.open(&seal, CLUSTER).is_none(), "a key does not stand in for another");
    }

    #[test]
    fn nothing_shows_a_private_half() {
        let (seams, seal) = (seams(), SealKey::generate(&seams()));
        let stored = StoredKey::generate(&seams, &seal, CLUSTER, 5);
        let key = stored.open(&seal, CLUSTER).expect("it is the seal");
        assert_eq!(format!("{stored:?} {key:?}"), format!("StoredKey({0}) SigningKey({0})", key.id));
        let document = PublicKeys::new([stored.public]).document();
        assert_eq!(document["keys"][0]["kid"], key.id.as_str());
        assert!(document["keys"][0].get("d").is_none());
    }

    #[test]
    fn layout_is_frozen() {
        let stored = StoredKey { public: [1; 32], sealed: vec![9], created_ms: 5 };
        let golden = [&b"\x01\0"[..], &[1; 32], b"\x01\x09\x05"].concat();
        assert_eq!(Codec::encode(&stored), golden);
    }
}
