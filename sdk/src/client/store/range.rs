//! Which records of a table are meant.

use super::Store;
use crate::proto;

/// The keys that begin with a text, and lie between two others.
#[derive(Clone, Debug, Default)]
pub(super) struct Range {
    pub prefix: String,
    pub from: String,
    pub to: String,
}

impl Range {
    pub fn prefix(prefix: impl Into<String>) -> Range {
        Range { prefix: prefix.into(), ..Range::default() }
    }

    /// One key alone.
    pub fn key(key: impl Into<String>) -> Range {
        let from = key.into();
        let to = format!("{from}\0");
        Range { prefix: String::new(), from, to }
    }

    pub fn of(self, store: &Store) -> proto::Range {
        let Range { prefix, from, to } = self;
        proto::Range { place: store.place(), prefix, from, to }
    }
}
