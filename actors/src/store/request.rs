//! What the store is asked, and what it answers.

use crate::store::{Record, TablePath, Value};
use bincode::{Decode, Encode};

/// The most records in one page of a list.
pub const LIST_LIMIT_MAX: u32 = 1000;

/// Endpoint `write`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WriteRequest {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Only if the record has this version; 0 means only if there is none.
    pub if_version: Option<u64>,
}

/// The answer of `write`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct WriteReply {
    /// The version of the record now.
    pub version: u64,
}

/// Endpoint `delete`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeleteRequest {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// Only if the record has this version.
    pub if_version: Option<u64>,
}

/// The answer of `delete`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DeleteReply {
    /// Whether there was a record.
    pub deleted: bool,
}

/// Endpoint `read`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadRequest {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// Answer from this node's replica as it is.
    pub stale: bool,
}

/// The answer of `read`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReadReply {
    /// The record, if there is one.
    pub record: Option<Record>,
}

/// Endpoint `list`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ListRequest {
    /// The table.
    pub table: TablePath,
    /// Keys that begin so.
    pub prefix: String,
    /// Keys after this one only; empty for all.
    pub after: String,
    /// At most this many; 0 means [`LIST_LIMIT_MAX`].
    pub limit: u32,
    /// Answer from this node's replica as it is.
    pub stale: bool,
}

/// The answer of `list`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ListReply {
    /// The records, by key.
    pub records: Vec<Record>,
    /// Whether there are more after the last.
    pub more: bool,
}
