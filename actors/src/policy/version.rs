//! Versions of instances, as a route names them.

use super::star::{is_pattern, means};
use serde::{Deserialize, Serialize};

/// What versions have in them besides letters and digits: those of semver, of calendars, of tags and branches, and of
/// packages of Debian. What is in none of them is of a range, of a regular expression or of a slip, which would mean
/// nobody for ever.
const SIGNS: &[u8] = b".-_+~:/@#";
/// The longest pattern: that of a git tag is not longer.
const BYTES_MAX: usize = 255;

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
        if !is_pattern(&text) {
            return Err(format!(
                "{text:?} is no version: it has at least a letter, and a star at the end alone"
            ));
        }
        let plain = text.strip_suffix('*').unwrap_or(&text);
        let good = plain
            .chars()
            .all(|sign| sign.is_alphanumeric() || u8::try_from(sign).is_ok_and(|sign| SIGNS.contains(&sign)));
        match good && text.len() <= BYTES_MAX {
            true => Ok(VersionPattern(text)),
            false => Err(format!(
                "{text:?} is no version: write one as instances have it, such as 1.2.0, or how it begins, such as 1.*; \
                 ranges and regular expressions are not understood"
            )),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_programs_have_them_are_meant_and_nonsense_is_refused() {
        for good in [
            "1",
            "1.*",
            "*",
            "1.2.3-rc.1+build.5",
            "2026-11-29",
            "v1",
            "1:2.3~rc1",
            "feature/x@4f2a",
            "größer",
        ] {
            assert!(VersionPattern::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "[",
            "1.*.2",
            "**",
            ">=1.2",
            "^1.2",
            "[1,2)",
            "1\\..*",
            "1.2 || 2",
            "$(id)",
            "a\nb",
            &"1".repeat(256),
        ] {
            assert!(VersionPattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
