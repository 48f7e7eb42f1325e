//! The token that a new node joins with: where to ask, whom to believe, and a secret that is good once.

use crate::identity::sha256;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bincode::{Decode, Encode};
use micro_sdk::wire::{ClusterId, Codec, CodecError};
use std::{fmt, net::SocketAddr, str::FromStr};
use zeroize::{Zeroize, Zeroizing};

/// What every token begins with; the digit is the layout's version.
const PREFIX: &str = "mnt1.";
/// How much of the SHA-256 is the checksum. Four bytes miss one typing error in four thousand million.
const CHECKSUM_BYTES: usize = 4;
/// The longest token: room for two dozen addresses.
const TOKEN_BYTES_MAX: usize = 1024;

/// What a new node joins with.
///
/// Whoever has it can join, so it is shown once, kept by hash, and good for one join. `Debug` does not show
/// the secret; `Display` is the token itself.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Where to ask, best first.
    pub addresses: Vec<SocketAddr>,
    /// The SHA-256 of the authority's certificate: a node that can't show that one is not asked.
    pub pin: [u8; 32],
    /// The mesh.
    pub cluster: ClusterId,
    /// The secret.
    pub secret: [u8; 32],
}

/// The part of a token between prefix and checksum.
#[derive(Encode, Decode)]
struct Body {
    addresses: Vec<SocketAddr>,
    pin: [u8; 32],
    cluster: ClusterId,
    secret: [u8; 32],
}

impl Drop for Body {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl JoinToken {
    /// What a mesh keeps of a token, to know it again: the SHA-256 of its secret.
    pub fn secret_hash(&self) -> [u8; 32] {
        sha256(&self.secret)
    }
}

impl Drop for JoinToken {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken")
            .field("addresses", &self.addresses)
            .field("cluster", &self.cluster)
            .field("secret", &"redacted")
            .finish_non_exhaustive()
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = Body {
            addresses: self.addresses.clone(),
            pin: self.pin,
            cluster: self.cluster,
            secret: self.secret,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES_MAX));
        Codec::encode_into(&body, &mut bytes);
        let checksum = sha256(&bytes);
        bytes.extend_from_slice(&checksum[..CHECKSUM_BYTES]);
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes));
        write!(f, "{PREFIX}{}", *text)
    }
}

/// Why a text is not a join token. The text itself is never repeated: most of it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token at all.
    #[error("this is not a join token: one begins with {PREFIX:?} (make one with `micro-node token create`)")]
    Prefix,
    /// Made by a build whose layout is not known here.
    #[error("this join token is of a newer micro-node than this one: update this node")]
    Version,
    /// A character that no token has.
    #[error("the join token has a character that is not of its alphabet at position {position}")]
    Character {
        /// Counted from 1, prefix included.
        position: usize,
    },
    /// Cut short, mistyped, or pasted with something missing.
    #[error("the join token is garbled: its checksum does not match; copy the whole line again")]
    Checksum,
    /// No address to ask at.
    #[error("the join token holds no address to join at")]
    Addresses,
}

impl FromStr for JoinToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let encoded = text.strip_prefix(PREFIX).ok_or_else(|| {
            let newer = text.strip_prefix("mnt").and_then(|rest| rest.split_once('.'));
            match newer {
                Some((digits, _)) if digits.parse::<u32>().is_ok() => TokenError::Version,
                _ => TokenError::Prefix,
            }
        })?;
        let alien = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some(at) = encoded.chars().position(alien) {
            return Err(TokenError::Character { position: PREFIX.len() + at + 1 });
        }
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| TokenError::Checksum)?;
        let bytes = Zeroizing::new(bytes);
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TokenError::Checksum)?;
        if sha256(body)[..CHECKSUM_BYTES] != checksum[..] {
            return Err(TokenError::Checksum);
        }
        let body: Body = Codec::decode::<_, TOKEN_BYTES_MAX>(body).map_err(|error| match error {
            CodecError::Version { .. } => TokenError::Version,
            _ => TokenError::Checksum,
        })?;
        if body.addresses.is_empty() {
            return Err(TokenError::Addresses);
        }
        Ok(JoinToken {
            addresses: body.addresses.clone(),
            pin: body.pin,
            cluster: body.cluster,
            secret: body.secret,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> JoinToken {
        JoinToken {
            addresses: vec![([10, 0, 0, 1], 4800).into(), "[::1]:80".parse().expect("an address")],
            pin: [1; 32],
            cluster: ClusterId(42),
            secret: [2; 32],
        }
    }

    #[test]
    fn a_token_is_read_back() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!("  {text}\n").parse(), Ok(token()));
        assert!(text.starts_with("mnt1."));
    }

    #[test]
    fn every_single_change_is_noticed() {
        let text = token().to_string();
        for at in PREFIX.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            assert_eq!(changed.parse::<JoinToken>(), Err(TokenError::Checksum), "changed at {at}");
            assert!(text[..at].parse::<JoinToken>().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = token().to_string();
        let spaced = format!("{} {}", &text[..20], &text[20..]);
        let cases = [
            ("", TokenError::Prefix),
            ("hello", TokenError::Prefix),
            ("mnt2.abc", TokenError::Version),
            ("mnt1.", TokenError::Checksum),
            (spaced.as_str(), TokenError::Character { position: 21 }),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<JoinToken>(), Err(error), "{text:?}");
        }
        let mut nowhere = token();
        nowhere.addresses.clear();
        assert_eq!(nowhere.to_string().parse::<JoinToken>(), Err(TokenError::Addresses));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let shown = format!("{:?}", token());
        assert!(shown.contains("redacted") && !shown.contains("2, 2"), "{shown}");
    }
}
