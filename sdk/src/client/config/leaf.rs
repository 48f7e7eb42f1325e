//! One leaf of the tree, and one change of it.

use super::{SECRET, parse};
use crate::{proto, wire::Fault};
use serde_json::Value;
use std::fmt;

/// A leaf of the tree. A secret is not shown by `Debug`, even where its value is here.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigLeaf {
    /// Where it is, with dots and backslashes inside names escaped.
    pub path: String,
    /// JSON text, as it was written; for a secret that was not asked for, [`SECRET`] as a string.
    pub text: String,
    /// Whether it is a secret.
    pub secret: bool,
    /// The change that set it.
    pub version: u64,
    /// The staged change that set it, for the instance that was asked for.
    pub canary: Option<u64>,
}

impl ConfigLeaf {
    /// The value.
    ///
    /// # Errors
    /// `Internal` if the node sent what is not JSON.
    pub fn value(&self) -> Result<Value, Fault> {
        parse(&self.path, &self.text)
    }
}

impl From<proto::ConfigLeaf> for ConfigLeaf {
    fn from(leaf: proto::ConfigLeaf) -> ConfigLeaf {
        let proto::ConfigLeaf { path, value, secret, version, canary } = leaf;
        ConfigLeaf { path, text: value, secret, version, canary: (canary != 0).then_some(canary) }
    }
}

impl fmt::Debug for ConfigLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.secret { SECRET } else { &self.text };
        f.debug_struct("ConfigLeaf")
            .field("path", &self.path)
            .field("text", &text)
            .field("version", &self.version)
            .field("canary", &self.canary)
            .finish()
    }
}

/// What became of one leaf. Secrets are [`SECRET`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEdit {
    /// Where it is.
    pub path: String,
    /// What was there, if anything was: JSON text, as it was written.
    pub before: Option<String>,
    /// What is there now, if anything is: JSON text, as it was written.
    pub after: Option<String>,
    /// Whether it is a secret.
    pub secret: bool,
}

impl ConfigEdit {
    /// The value that was there, if any was.
    ///
    /// # Errors
    /// `Internal` if the node sent what is not JSON.
    pub fn value_before(&self) -> Result<Option<Value>, Fault> {
        self.before.as_deref().map(|text| parse(&self.path, text)).transpose()
    }

    /// The value that is there now, if any is.
    ///
    /// # Errors
    /// `Internal` if the node sent what is not JSON.
    pub fn value_after(&self) -> Result<Option<Value>, Fault> {
        self.after.as_deref().map(|text| parse(&self.path, text)).transpose()
    }
}

impl From<proto::ConfigEdit> for ConfigEdit {
    fn from(edit: proto::ConfigEdit) -> ConfigEdit {
        let proto::ConfigEdit { path, before, after, secret } = edit;
        ConfigEdit { path, before, after, secret }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_leaf_is_not_printed() {
        let (path, text) = ("shop.key".to_owned(), "\"hunter2\"".to_owned());
        let leaf = ConfigLeaf { path, text, secret: true, version: 1, canary: None };
        assert!(!format!("{leaf:?}").contains("hunter2") && format!("{leaf:?}").contains(SECRET));
        assert_eq!(leaf.value().expect("it is JSON"), "hunter2");
    }
}
