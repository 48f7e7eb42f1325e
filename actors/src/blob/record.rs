//! What the service keeps, as records of the store's reserved database.
//!
//! | table | key | value |
//! |---|---|---|
//! | `blobs` | namespace `/` name | [`Manifest`]: what a caller put; the version of its record is the blob's |
//! | `blob-copies` | the same | [`Copies`]: who has it; changed by repairs, which change nothing for callers |
//!
//! | `blob-puts` | namespace `/` idempotency key | [`Answered`]: a put, for its repetitions; ends after an hour |
//!
//! All lie in namespace `default`, so that one walk sees all blobs. A put writes all in one transaction. Stored:
//! structs are new versions when they change.

use crate::store::{Record, TablePath, WriteRequest};
use bincode::{Decode, Encode};
use micro_sdk::wire::{BlobHash, Code, Codec, Fault, Namespace, NodeId, limits::VALUE_BYTES_MAX};
use std::collections::BTreeSet;

/// The table of manifests.
pub(crate) fn manifests() -> TablePath {
    TablePath::reserved(Namespace::default(), "blobs")
}

/// The table of copies.
pub(crate) fn copies() -> TablePath {
    TablePath::reserved(Namespace::default(), "blob-copies")
}

/// The table of puts that were answered.
pub(crate) fn puts() -> TablePath {
    TablePath::reserved(Namespace::default(), "blob-puts")
}

/// The key of a put that was answered.
pub(crate) fn put_key(namespace: &Namespace, idempotency_key: u128) -> String {
    format!("{namespace}/{idempotency_key:032x}")
}

/// A put that was answered. The version of its record is the blob's.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Answered {
    pub asked: Asked,
    /// How many copies there were.
    pub copies: u32,
}

/// What was asked of a put: a repetition asks the same.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Asked {
    /// The key of the blob's records.
    pub key: String,
    pub hash: BlobHash,
    pub content_type: String,
    pub public: bool,
    pub wanted: u32,
    pub if_version: Option<u64>,
}

/// What a blob is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Manifest {
    pub hash: BlobHash,
    pub bytes: u64,
    pub content_type: String,
    /// Whether anybody may read it.
    pub public: bool,
    /// When there was first a blob of this name, in milliseconds since 1970; it may have been replaced since.
    pub created_ms: u64,
    pub modified_ms: u64,
    /// Who put it.
    pub who: String,
}

/// Where a blob is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Copies {
    pub hash: BlobHash,
    pub bytes: u64,
    /// How many there should be.
    pub wanted: u32,
    pub holders: Vec<NodeId>,
}

impl Copies {
    /// How many of them are on these nodes.
    pub fn good(&self, nodes: &BTreeSet<NodeId>) -> usize {
        self.holders.iter().filter(|node| nodes.contains(node)).count()
    }

    /// How many there should be if there are these nodes: one on each at most.
    pub fn wanted_of(&self, nodes: &BTreeSet<NodeId>) -> usize {
        (self.wanted as usize).min(nodes.len())
    }
}

/// What a record holds.
pub(crate) fn decode<T: Decode<()>>(record: &Record) -> Result<T, Fault> {
    Codec::decode::<T, VALUE_BYTES_MAX>(&record.value.0).map_err(|error| {
        Fault::new(Code::Failed, format!("what is kept of a blob can't be read: {error}"))
            .help("if another node runs a newer build, update this one")
    })
}

/// A write of `value`.
pub(crate) fn write<T: Encode>(table: TablePath, key: &str, value: &T) -> WriteRequest {
    WriteRequest::new(table, key, Codec::encode(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_frozen() {
        let hash = BlobHash([7; 32]);
        let manifest = Manifest {
            hash,
            bytes: 5,
            content_type: "t".to_owned(),
            public: true,
            created_ms: 3,
            modified_ms: 4,
            who: "w".to_owned(),
        };
        let golden = [b"\x01\0".as_slice(), &[7; 32], b"\x05\x01t\x01\x03\x04\x01w"].concat();
        assert_eq!(Codec::encode(&manifest), golden);
        let copies = Copies { hash, bytes: 5, wanted: 3, holders: vec![NodeId(1), NodeId(2)] };
        let golden = [b"\x01\0".as_slice(), &[7; 32], b"\x05\x03\x02\x01\x02"].concat();
        assert_eq!(Codec::encode(&copies), golden);
        let (key, content_type) = ("k".to_owned(), "t".to_owned());
        let asked = Asked { key, hash, content_type, public: true, wanted: 3, if_version: Some(0) };
        let golden = [b"\x01\0\x01k".as_slice(), &[7; 32], b"\x01t\x01\x03\x01\0\x02"].concat();
        assert_eq!(Codec::encode(&Answered { asked, copies: 2 }), golden);
    }
}
