//! What a blob is called.

use super::limits::NAME_BYTES_MAX;
use micro_sdk::wire::{Code, Fault, Namespace};

/// The name of a blob within its namespace, like a path: `images/2026/logo.png`. Parts mean nothing but to those who
/// list by what names begin with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobName(String);

impl BlobName {
    /// Checks a name: 1 to 512 bytes, without control characters.
    ///
    /// # Errors
    /// [`Code::Usage`], naming the limit.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() || text.len() > NAME_BYTES_MAX {
            let message =
                format!("the name of a blob has {} bytes: it takes 1 to {NAME_BYTES_MAX}", text.len());
            return Err(Fault::new(Code::Usage, message));
        }
        if let Some(control) = text.chars().find(|char| char.is_control()) {
            let message = format!("the name of a blob may not hold the control character {control:?}");
            return Err(Fault::new(Code::Usage, message));
        }
        Ok(BlobName(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of its records. A namespace holds no slash, so that no two names share a key.
    pub(crate) fn key(&self, namespace: &Namespace) -> String {
        prefix_key(namespace, &self.0)
    }
}

/// What the keys begin with of the blobs of a namespace whose names begin with `prefix`.
pub(crate) fn prefix_key(namespace: &Namespace, prefix: &str) -> String {
    format!("{namespace}/{prefix}")
}

/// The name in a key.
pub(crate) fn name_in(key: &str) -> &str {
    key.split_once('/').map_or(key, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bounded_and_printable() {
        for good in ["a", "images/2026/logo.png", "/", "ü b", &"x".repeat(512)] {
            let name = BlobName::parse(good).expect("a good name");
            assert_eq!(name_in(&name.key(&Namespace::default())), good);
        }
        for bad in ["", "a\nb", "a\0", &"x".repeat(513)] {
            assert_eq!(BlobName::parse(bad).expect_err("a bad name").code, Code::Usage, "{bad:?}");
        }
    }
}
