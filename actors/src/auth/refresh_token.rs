//! Refresh tokens: what gets the next access token without asking for the secret again.
//!
//! ```text
//!   login ──► token 1 ──► token 2 ──► token 3      each good once, for thirty days
//!                │
//!                └─ shown again: two have it, so the session ends for both
//! ```
//!
//! A session keeps the hash of its one good token. Whoever shows another one of that session has an old one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bincode::{Decode, Encode};
use micro_sdk::wire::{AccountName, Namespace, Seams};
use ring::digest;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// How long one is good: a month away from the desk, and the next login is due.
pub(crate) const LIFE_MS: u64 = 30 * 24 * 3600 * 1000;
/// What they begin with, so that a person and a scanner of secrets know them.
const PREFIX: &str = "mnr1_";
const SESSION_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;

/// What a login began, as it is kept under its id.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Session {
    pub namespace: Namespace,
    pub account: AccountName,
    /// The state of the account at the login: a later one ends the session.
    pub generation: u64,
    /// The SHA-256 of its one good token's secret.
    pub hash: [u8; 32],
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
}

/// A refresh token: 256 random bits, and the id of their session.
#[derive(Clone)]
pub(crate) struct RefreshToken {
    session: [u8; SESSION_BYTES],
    secret: Zeroizing<[u8; SECRET_BYTES]>,
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({}, [secret])", self.session())
    }
}

impl RefreshToken {
    /// The first one of a new session.
    pub fn begin(seams: &Seams) -> Self {
        RefreshToken { session: seams.random(), secret: Zeroizing::new(seams.random()) }
    }

    /// The next one of the same session.
    pub fn next(&self, seams: &Seams) -> Self {
        RefreshToken { session: self.session, secret: Zeroizing::new(seams.random()) }
    }

    /// Reads one; none if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.trim().strip_prefix(PREFIX)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (session, secret) = bytes.split_first_chunk::<SESSION_BYTES>()?;
        let secret: [u8; SECRET_BYTES] = secret.try_into().ok()?;
        Some(RefreshToken { session: *session, secret: Zeroizing::new(secret) })
    }

    /// As it is handed out.
    pub fn expose(&self) -> String {
        let bytes = Zeroizing::new([&self.session[..], &self.secret[..]].concat());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&*bytes))
    }

    /// The id of its session.
    pub fn session(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.session))
    }

    /// What is kept of it.
    pub fn hash(&self) -> [u8; 32] {
        let digest = digest::digest(&digest::SHA256, &self.secret[..]);
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether it is the one that a session takes.
    pub fn is_good_for(&self, session: &Session) -> bool {
        self.hash().ct_eq(&session.hash).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::tests::seams;
    use micro_sdk::wire::Codec;

    #[test]
    fn a_token_is_read_back_and_not_printed() {
        let first = RefreshToken::begin(&seams());
        let read = RefreshToken::parse(&format!("{}\n", first.expose())).expect("it is one");
        assert_eq!((read.session(), read.hash()), (first.session(), first.hash()));
        let next = first.next(&seams());
        assert_eq!(next.session(), first.session());
        assert_ne!(next.hash(), first.hash());
        let secret = first.expose();
        assert!(!format!("{first:?}").contains(&secret[PREFIX.len() + 24..]));
        for bad in ["", "mnr1_", "mnr1_!", &secret[1..], &secret[..secret.len() - 1], &format!("{secret}A")] {
            assert!(RefreshToken::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn layout_is_frozen() {
        let session = Session {
            namespace: Namespace::default(),
            account: "jane".parse().expect("a good name"),
            generation: 3,
            hash: [1; 32],
            began_ms: 5,
        };
        let golden = [&b"\x01\0\x07default\x04jane\x03"[..], &[1; 32], b"\x05"].concat();
        assert_eq!(Codec::encode(&session), golden);
    }
}
