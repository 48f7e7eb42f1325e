//! Whether an instance works, as its node found out.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Whether an instance works. Callers are led to those that do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum Health {
    /// It does, as far as anything says.
    #[default]
    Passing,
    /// It is not known yet: no check has come to a result.
    Unknown,
    /// It does not.
    Failing {
        /// What the check said that came to this result.
        reason: String,
        /// Since when, in milliseconds since 1970, by the clock of its node.
        since_ms: u64,
    },
}

impl Health {
    /// Whether callers are led to it.
    pub fn is_passing(&self) -> bool {
        *self == Health::Passing
    }

    /// As documents and announcements name it.
    pub fn name(&self) -> &'static str {
        match self {
            Health::Passing => "passing",
            Health::Unknown => "unknown",
            Health::Failing { .. } => "failing",
        }
    }
}
