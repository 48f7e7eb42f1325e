//! The keys of secrets, and what is done with them: AES-256-GCM, with namespace, path and the key's number as
//! associated data, so that a sealed value opens nowhere but where it was put.
//!
//! The keys themselves lie in the store, sealed with the key of the authority's seal, which is a file on each voter. So
//! no copy of the store, no log and no snapshot opens a secret by itself.

use crate::{
    auth::SealKey,
    config::{
        ConfigPath, Plaintext,
        leaf::{Content, Sealed},
    },
};
use micro_sdk::wire::{ClusterId, Code, Fault, Namespace, Seams};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The bytes of a key.
const KEY_BYTES: usize = 32;

/// The keys of secrets, opened: those that this mesh can open. Those of a mesh whose backup this one was made of, it
/// can not unless it has inherited them, since a backup holds no node's keys.
pub(crate) struct Vault {
    seams: Seams,
    namespace: Namespace,
    keys: BTreeMap<u32, LessSafeKey>,
    /// The number of the key that seals. It need not be among those that were opened.
    current: u32,
}

/// A new key, sealed for the store.
pub(crate) fn new_key(seams: &Seams, seal: &SealKey, cluster: ClusterId, number: u32) -> Vec<u8> {
    let mut secret = Zeroizing::new(number.to_be_bytes().to_vec());
    secret.extend_from_slice(&*Zeroizing::new(seams.random::<KEY_BYTES>()));
    seal.seal(seams, cluster, &secret)
}

impl Vault {
    /// Opens those of the `sealed` keys that `seal` opens, which is that of the mesh, for the secrets of one namespace.
    pub fn open(
        seams: &Seams,
        seal: &SealKey,
        cluster: ClusterId,
        namespace: Namespace,
        sealed: &BTreeMap<u32, Vec<u8>>,
        current: u32,
    ) -> Self {
        let open = |(number, sealed): (&u32, &Vec<u8>)| {
            let opened = seal.open(cluster, sealed).ok()?;
            // A key does not stand in for another.
            let (_, key) = opened
                .split_first_chunk::<4>()
                .filter(|(named, _)| u32::from_be_bytes(**named) == *number)?;
            Some((*number, LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?)))
        };
        Vault { seams: seams.clone(), namespace, keys: sealed.iter().filter_map(open).collect(), current }
    }

    /// The number of the key that seals.
    pub fn current(&self) -> u32 {
        self.current
    }

    /// Seals what is to be kept at `path`; none if the key that seals is not at hand. The nonce is random: a key may
    /// seal four thousand million times before two are likely enough to be the same (NIST SP 800-38D, 8.3), which no
    /// configuration does.
    pub fn seal(&self, path: &ConfigPath, text: &Plaintext) -> Option<Content> {
        let key = self.keys.get(&self.current)?;
        let nonce: [u8; NONCE_LEN] = self.seams.random();
        let mut bytes = text.expose().as_bytes().to_vec();
        let aad = Aad::from(self.associated(&path.key(), self.current));
        // It is overwritten in place, so that nothing of the text stays in it.
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes)
            .expect("a leaf is within the cipher's limits");
        Some(Content::Sealed(Sealed { key: self.current, bytes: [&nonce[..], &bytes].concat() }))
    }

    /// Whether it is a secret that another key than the current one opens.
    pub fn is_old(&self, content: &Content) -> bool {
        matches!(content, Content::Sealed(sealed)
            if sealed.key != self.current && self.keys.contains_key(&sealed.key))
    }

    /// Whether a key is among those that were opened.
    pub fn has(&self, number: u32) -> bool {
        self.keys.contains_key(&number)
    }

    /// Whether it is no secret, or one whose key is at hand.
    pub fn may_open(&self, content: &Content) -> bool {
        match content {
            Content::Plain(_) => true,
            Content::Sealed(sealed) => self.has(sealed.key),
        }
    }

    /// The text of what was kept under the key `path` of the tree.
    ///
    /// # Errors
    /// [`Code::Failed`] if it was sealed for another place, or was changed.
    pub fn text(&self, path: &str, content: &Content) -> Result<Plaintext, Fault> {
        let sealed = match content {
            Content::Plain(text) => return Ok(Plaintext::new(text.clone())),
            Content::Sealed(sealed) => sealed,
        };
        let unfit = |why: &str| {
            Fault::new(Code::Failed, format!("the secret at {path} can't be opened: {why}"))
                .help("set it anew")
        };
        let key = self.keys.get(&sealed.key);
        let key = key.ok_or_else(|| unfit(&format!("this mesh can't open key {}", sealed.key)))?;
        let cut_short = || unfit("it is cut short");
        let (nonce, body) = sealed.bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(cut_short)?;
        let mut body = Zeroizing::new(body.to_vec());
        let aad = Aad::from(self.associated(path, sealed.key));
        let opened = key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut body);
        let opened = opened.map_err(|_| unfit("it was sealed for another place, or was changed"))?;
        let text = std::str::from_utf8(opened).map_err(|_| unfit("it is not text"))?;
        Ok(Plaintext::new(text))
    }

    /// The same content, sealed with the current key if it is a secret that can be opened; none if that key is not at
    /// hand.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    pub fn renewed(&self, path: &str, content: &Content) -> Result<Option<Content>, Fault> {
        if !self.is_old(content) {
            return Ok(Some(content.clone()));
        }
        Ok(self.seal(&ConfigPath::parse(path)?, &self.text(path, content)?))
    }

    fn associated(&self, path: &str, key: u32) -> Vec<u8> {
        // Neither a namespace nor a path holds a zero byte.
        [self.namespace.as_str().as_bytes(), &[0], path.as_bytes(), &[0], &key.to_be_bytes()].concat()
    }
}

/// The text of what was kept under the key `path` of the tree, on a node that may have no keys.
///
/// # Errors
/// As [`Vault::text`].
pub(crate) fn reveal(vault: Option<&Vault>, path: &str, content: &Content) -> Result<Plaintext, Fault> {
    match (vault, content) {
        (Some(vault), content) => vault.text(path, content),
        (None, Content::Plain(text)) => Ok(Plaintext::new(text.clone())),
        (None, Content::Sealed(_)) => {
            let message = format!("the secret at {path} can't be opened: there are no keys of secrets");
            Err(Fault::new(Code::Failed, message).help("set it anew"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::seams;

    const CLUSTER: ClusterId = ClusterId(7);

    fn vault(seal: &SealKey, namespace: &str, current: u32) -> Vault {
        let seams = seams();
        let keys = [1, 2].map(|number| (number, new_key(&seams, seal, CLUSTER, number))).into();
        let namespace = namespace.parse().expect("a good name");
        Vault::open(&seams, seal, CLUSTER, namespace, &keys, current)
    }

    #[test]
    fn a_secret_opens_only_where_it_was_put() {
        let seal = SealKey::generate(&seams());
        let one = vault(&seal, "one", 1);
        let path = ConfigPath::parse("shop.key").expect("it is a path");
        let text = Plaintext::new("\"hunter2\"");
        let sealed = one.seal(&path, &text).expect("the key is at hand");
        assert!(!format!("{sealed:?}").contains("hunter2"));
        assert_eq!(one.text("shop.key", &sealed), Ok(text.clone()));
        let fault = one.text("shop.kex", &sealed).expect_err("it is another place");
        assert_eq!(fault.code, Code::Failed);
        let Content::Sealed(Sealed { key, mut bytes }) = sealed else { panic!("it is sealed") };
        let other_namespace =
            Vault { namespace: "two".parse().expect("a good name"), ..vault(&seal, "one", 1) };
        let moved = Content::Sealed(Sealed { key, bytes: bytes.clone() });
        assert!(Vault { keys: one.keys, ..other_namespace }.text("shop.key", &moved).is_err());
        bytes[NONCE_LEN] ^= 1;
        assert!(vault(&seal, "one", 1).text("shop.key", &Content::Sealed(Sealed { key, bytes })).is_err());
    }

    #[test]
    fn the_same_text_is_sealed_differently_each_time() {
        let vault = vault(&SealKey::generate(&seams()), "one", 1);
        let path = ConfigPath::parse("a").expect("it is a path");
        assert_ne!(vault.seal(&path, &Plaintext::new("1")), vault.seal(&path, &Plaintext::new("1")));
    }

    #[test]
    fn a_key_does_not_stand_in_for_another() {
        let (seams, seal) = (seams(), SealKey::generate(&seams()));
        let (path, text) = (ConfigPath::parse("a").expect("it is a path"), Plaintext::new("1"));
        let seals = |seal: &SealKey, number: u32, key: Vec<u8>| {
            let vault = Vault::open(&seams, seal, CLUSTER, Namespace::default(), &[(number, key)].into(), 2);
            vault.seal(&path, &text).is_some()
        };
        assert!(seals(&seal, 2, new_key(&seams, &seal, CLUSTER, 2)));
        assert!(!seals(&seal, 2, new_key(&seams, &seal, CLUSTER, 1)), "it is another one's");
        assert!(!seals(&SealKey::generate(&seams), 2, new_key(&seams, &seal, CLUSTER, 2)), "of another mesh");
        assert!(!seals(&seal, 1, new_key(&seams, &seal, CLUSTER, 1)), "the current one is missing");
    }
}
