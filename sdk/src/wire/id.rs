//! Ids: each its own type, so that two numbers side by side can't be swapped.

use bincode::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// A text that is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind} id: {digits} hexadecimal digits are needed")]
pub struct ParseIdError {
    kind: &'static str,
    digits: usize,
    text: String,
}

/// Defines an id shown, parsed and put into JSON as fixed-width lowercase hex.
macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident($int:ty), $kind:literal, $digits:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $digits, "x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let fault = || ParseIdError { kind: $kind, digits: $digits, text: text.to_owned() };
                let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
                if text.len() != $digits || !hex {
                    return Err(fault());
                }
                <$int>::from_str_radix(text, 16).map($name).map_err(|_| fault())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let pattern = concat!("^[0-9a-f]{", $digits, "}$");
                schemars::json_schema!({ "type": "string", "pattern": pattern })
            }
        }
    };
}

hex_id! {
    /// One life of one data directory. Random, never reused: a wiped node is a new node.
    NodeId(u64), "node", 16
}

hex_id! {
    /// A mesh. Minted once, by the node that starts it, and bound into certificates, ALPN and gossip, so that two
    /// meshes can never merge.
    ClusterId(u128), "cluster", 32
}

hex_id! {
    /// One request on its whole way, in the width of W3C Trace Context.
    TraceId(u128), "trace", 32
}

/// A Raft term: the number of an election. Only grows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// A position in the Raft log. The first entry has index 0.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Encode, Decode, Serialize, Deserialize,
)]
pub struct LogIndex(pub u64);

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_what_it_prints() {
        for value in [0, 1, 0xdead_beef, u64::MAX] {
            let id = NodeId(value);
            assert_eq!(id.to_string().len(), 16);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn a_garbled_id_is_refused() {
        for text in ["", "1", "+000000000000001", "000000000000000g", "00000000000000000"] {
            assert!(text.parse::<NodeId>().is_err(), "{text:?} was taken for an id");
        }
    }
}
