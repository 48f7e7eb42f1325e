//! Names of services and namespaces. Checked once, where they come in; canonical ever after.

use bincode::{Decode, Encode, de::Decoder, error::DecodeError};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// The longest name, in bytes: the length of a DNS label, so that a name can become one.
pub const NAME_BYTES_MAX: usize = 63;
/// The database of locks and elections. All that it holds is tied to a lease, so that nothing there outlives who wrote
/// it.
pub const COORDINATION: &str = "coordination";

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {} {kind} name: {rule}", article(kind))]
pub struct NameError {
    kind: &'static str,
    text: String,
    rule: Cow<'static, str>,
}

/// What services and namespaces are called by.
const RULE: &str = "it takes 1 to 63 of a-z, 0-9 and '-', and starts and ends with a letter or digit";

/// What stands before a word.
fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

impl NameError {
    /// The same where the name is that of another kind of thing.
    #[must_use]
    pub fn of(self, kind: &'static str) -> Self {
        NameError { kind, ..self }
    }

    /// The refusal of a text that breaks the rule of another kind of name.
    pub(super) fn because(kind: &'static str, text: String, rule: String) -> Self {
        NameError { kind, text, rule: rule.into() }
    }
}

fn check(kind: &'static str, text: &str) -> Result<(), NameError> {
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    let inner = bytes.iter().all(|b| edge(Some(b)) || *b == b'-');
    if bytes.len() > NAME_BYTES_MAX || !inner || !edge(bytes.first()) || !edge(bytes.last()) {
        let text = text.chars().take(NAME_BYTES_MAX + 1).collect();
        return Err(NameError { kind, text, rule: RULE.into() });
    }
    Ok(())
}

/// Defines a text that is always what `check` takes.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// As text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $name::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(&text)?;
                Ok($name(text))
            }
        }

        // What comes from another node is checked as what comes through a door is.
        impl<C> Decode<C> for $name {
            fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
                let text = String::decode(decoder)?;
                $name::try_from(text).map_err(|error| DecodeError::OtherString(error.to_string()))
            }
        }

        bincode::impl_borrow_decode!($name);

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use checked;

checked! {
    /// What a service is called by, on every node.
    ServiceName, |text| check("service", text)
}

checked! {
    /// A tenant. Services and records of one are invisible to another.
    Namespace, |text| check("namespace", text)
}

impl Default for Namespace {
    /// The namespace of those who name none.
    fn default() -> Self {
        Namespace("default".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Codec;

    #[test]
    fn names_are_dns_labels() {
        for good in ["a", "helloworld", "a-1", "0"] {
            assert_eq!(good.parse::<ServiceName>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "A", "-a", "a-", "a.b", "a/b", "a b", "ü", &"a".repeat(64)] {
            assert!(bad.parse::<ServiceName>().is_err(), "{bad:?} was taken for a name");
        }
        let error = "A".parse::<ServiceName>().expect_err("it is none");
        assert!(error.to_string().starts_with("\"A\" is not a service name: "), "{error}");
        let error = error.of("account");
        assert!(error.to_string().starts_with("\"A\" is not an account name: "), "{error}");
    }

    #[test]
    fn a_name_is_checked_when_it_comes_over_the_wire_too() {
        let decode = |text: &str| Codec::decode::<ServiceName, 100>(&Codec::encode(&text.to_owned()));
        assert_eq!(decode("shop").map(String::from), Ok("shop".to_owned()));
        assert!(decode("~config").is_err() && decode("").is_err());
    }
}
