//! Versions of instances, as a route names them.

use super::star::{is_pattern, means};
use serde::{Deserialize, Serialize};

/// A version, or all that begin so: `1.2`, `1.*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionPattern(String);

impl VersionPattern {
    /// Whether a version is meant.
    pub fn matches(&self, version: &str) -> bool {
        means(&self.0, version)
    }
}

impl TryFrom<String> for VersionPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match is_pattern(&text) {
            true => Ok(VersionPattern(text)),
            false => Err(format!("{text:?} is no version: a star goes at the end alone")),
        }
    }
}

impl From<VersionPattern> for String {
    fn from(pattern: VersionPattern) -> Self {
        pattern.0
    }
}

impl std::fmt::Display for VersionPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
