//! The name that a certificate is for.

use std::{fmt, str::FromStr};

/// The longest name and the longest of its labels (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A host's name as certificates have it: lowercase, at least two labels of letters, digits and dashes, no dot at its
/// end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Domain(String);

/// Why a text is not such a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// It stands for all names below another.
    #[error(
        "a wildcard can't be had in this way, since nobody can be asked there: give each name that is called"
    )]
    Wildcard,
    /// It is an address.
    #[error("it is an address, and certificates are for names: write it as shop.example.org")]
    Address,
    /// It has one label only.
    #[error("it has one label only, and no authority knows whose that is: write it as shop.example.org")]
    OneLabel,
    /// It holds what names of hosts do not.
    #[error(
        "names of hosts take a-z, 0-9 and '-' between dots, at most {LABEL_BYTES_MAX} each and {NAME_BYTES_MAX} in all; \
         others are written as xn--…"
    )]
    Letters,
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, DomainError> {
        let name = text.to_ascii_lowercase();
        if name.starts_with("*.") {
            return Err(DomainError::Wildcard);
        }
        if name.parse::<std::net::IpAddr>().is_ok() {
            return Err(DomainError::Address);
        }
        let labels: Vec<&str> = name.split('.').collect();
        if name.len() > NAME_BYTES_MAX || !labels.iter().all(|label| is_label(label)) {
            return Err(DomainError::Letters);
        }
        match labels.last() {
            _ if labels.len() < 2 => Err(DomainError::OneLabel),
            // No domain at the top is a number, so that no name looks like an address (RFC 3696, 2).
            Some(top) if top.bytes().all(|byte| byte.is_ascii_digit()) => Err(DomainError::Address),
            _ => Ok(Domain(name)),
        }
    }
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    inner && (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

impl Domain {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_as_it_is_meant() {
        for (text, name) in [
            ("shop.example.org", "shop.example.org"),
            ("Shop.Example.ORG", "shop.example.org"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("1.example", "1.example"),
        ] {
            assert_eq!(text.parse::<Domain>().as_ref().map(Domain::as_str), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        for (text, why) in [
            ("*.example.org", DomainError::Wildcard),
            ("192.0.2.7", DomainError::Address),
            ("2001:db8::1", DomainError::Address),
            ("example.1", DomainError::Address),
            ("localhost", DomainError::OneLabel),
            ("", DomainError::Letters),
            ("example.org.", DomainError::Letters),
            ("a..example", DomainError::Letters),
            ("a_b.example", DomainError::Letters),
            ("-a.example", DomainError::Letters),
            ("a-.example", DomainError::Letters),
            ("bücher.example", DomainError::Letters),
            ("a b.example", DomainError::Letters),
            ("https://shop.example.org", DomainError::Letters),
            ("shop.example.org:443", DomainError::Letters),
            ("shop.*.example", DomainError::Letters),
        ] {
            assert_eq!(text.parse::<Domain>(), Err(why), "{text}");
        }
        for long in [format!("{}.org", "a".repeat(64)), format!("{}org", "a.".repeat(126))] {
            assert_eq!(long.parse::<Domain>(), Err(DomainError::Letters), "{long}");
        }
    }
}
