//! The seal on the authority's private key: AES-256-GCM, with the cluster id as associated data.

use micro_sdk::wire::{ClusterId, Seams};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;
use zeroize::Zeroizing;

/// Why a seal can't be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key file does not hold a key.
    #[error("the seal's key has {0} bytes instead of 32")]
    Key(usize),
    /// Another key, another mesh, or bytes that were changed.
    #[error("the seal does not open with this node's key: it is of another mesh, or was changed")]
    Broken,
}

/// The key of the seal.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey(redacted)")
    }
}

impl SealKey {
    /// A new key.
    pub fn generate(seams: &Seams) -> Self {
        SealKey(Zeroizing::new(seams.random()))
    }

    /// The key in the bytes of its file.
    ///
    /// # Errors
    /// [`SealError::Key`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let key: [u8; 32] = bytes.try_into().map_err(|_| SealError::Key(bytes.len()))?;
        Ok(SealKey(Zeroizing::new(key)))
    }

    /// The bytes for its file.
    pub fn as_bytes(&self) -> &[u8] {
        &*self.0
    }

    fn key(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, &*self.0).expect("32 bytes are a key of AES-256");
        LessSafeKey::new(key)
    }

    /// Seals `secret` for `cluster`. The nonce is random: a key seals a handful of times in its life.
    pub fn seal(&self, seams: &Seams, cluster: ClusterId, secret: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = seams.random();
        let mut sealed = secret.to_vec();
        let aad = Aad::from(cluster.0.to_be_bytes());
        self.key()
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .expect("a few hundred bytes are within the cipher's limits");
        [&nonce[..], &sealed].concat()
    }

    /// Opens what [`seal`](Self::seal) made.
    ///
    /// # Errors
    /// [`SealError::Broken`].
    pub fn open(&self, cluster: ClusterId, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Broken)?;
        let mut body = Zeroizing::new(body.to_vec());
        let aad = Aad::from(cluster.0.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key().open_in_place(nonce, aad, &mut body).map_err(|_| SealError::Broken)?.len();
        body.truncate(opened);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::state::tests::seams;

    #[test]
    fn only_the_same_key_and_mesh_open_a_seal() {
        let (seams, cluster) = (seams(), ClusterId(7));
        let key = SealKey::generate(&seams);
        let sealed = key.seal(&seams, cluster, b"secret");
        assert_eq!(key.open(cluster, &sealed).expect("it is the key").as_slice(), b"secret");
        assert_eq!(key.open(ClusterId(8), &sealed), Err(SealError::Broken));
        assert_eq!(SealKey::generate(&seams).open(cluster, &sealed), Err(SealError::Broken));
        let mut changed = sealed.clone();
        changed[14] ^= 1;
        assert_eq!(key.open(cluster, &changed), Err(SealError::Broken));
        assert_eq!(key.open(cluster, &sealed[..5]), Err(SealError::Broken));
    }
}
