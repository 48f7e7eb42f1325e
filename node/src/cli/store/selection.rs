//! Which records of a table are meant.

use clap::Args;
use micro_sdk::client::{DeleteRange, List};

/// Which records of the table.
#[derive(Clone, Debug, Args)]
pub(super) struct Selection {
    /// Only keys that start with this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) prefix: String,

    /// Only keys from this one on
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    pub(super) from: String,

    /// Only keys before this one
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    pub(super) to: String,
}

impl Selection {
    /// Whether it is all of the table.
    pub(super) fn is_all(&self) -> bool {
        [&self.prefix, &self.from, &self.to].into_iter().all(String::is_empty)
    }

    pub(super) fn list(&self, store: &micro_sdk::client::Store) -> List {
        store.list(&self.prefix).starting_at(&self.from).before(&self.to)
    }

    pub(super) fn delete(&self, store: &micro_sdk::client::Store) -> DeleteRange {
        store.delete_range(&self.prefix).starting_at(&self.from).before(&self.to)
    }
}
