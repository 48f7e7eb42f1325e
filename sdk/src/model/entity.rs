//! What can be kept in a model.

use super::Index;
use serde::{Serialize, de::DeserializeOwned};

/// What can be kept in a [`Model`](super::Model): something with an id, and values by which it is found.
pub trait Entity: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the records' table: 1 to 57 of a-z, 0-9 and '-', for that of the entries is the same with `-index`.
    const NAME: &'static str;

    /// What tells it from all others: 1 to 1024 bytes. Never changes.
    fn id(&self) -> String;

    /// By what else it is found. An index that is added later has to be [built](super::Model::reindex).
    fn indexes() -> Vec<Index<Self>> {
        Vec::new()
    }
}
