//! What stands at one place of the tree. Stored: enums grow at their ends only.

use bincode::{Decode, Encode};

/// The JSON text that stands for a secret.
pub(crate) const MASK: &str = "\"[secret]\"";

/// A leaf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Leaf {
    /// The change that set it.
    pub version: u64,
    pub content: Content,
}

/// The value of a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Content {
    /// JSON text.
    Plain(String),
    /// JSON text that is a secret.
    Sealed(Sealed),
}

impl Content {
    pub fn is_secret(&self) -> bool {
        matches!(self, Content::Sealed(_))
    }

    /// JSON text to show to anybody.
    pub fn masked(&self) -> &str {
        match self {
            Content::Plain(text) => text,
            Content::Sealed(_) => MASK,
        }
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Content::Plain(text) => text.len(),
            Content::Sealed(sealed) => sealed.bytes.len(),
        }
    }
}

/// A secret as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Sealed {
    /// The number of the key that opens it.
    pub key: u32,
    /// The nonce, then the sealed text.
    pub bytes: Vec<u8>,
}
