//! Blobs as the command line shows them.

use super::unit::rfc3339;
use micro_sdk::client::Blob;
use schemars::JsonSchema;
use serde::Serialize;

/// A blob without its bytes, for programs.
#[derive(Serialize, JsonSchema)]
pub(super) struct BlobItem<'a> {
    /// What it is called.
    name: &'a str,
    /// SHA-256, as `sha256sum` shows it.
    hash: String,
    /// In bytes.
    size: u64,
    /// What it is, such as `image/png`; empty if nobody said.
    content_type: &'a str,
    /// Whether anybody on the host may read it.
    public: bool,
    /// Another one with each put.
    version: u64,
    /// When there was first a blob of this name: RFC 3339.
    created: String,
    /// When this one was put: RFC 3339.
    modified: String,
    /// Who put it.
    by: &'a str,
    /// How many copies there should be.
    copies_wanted: u32,
    /// The nodes that have one.
    holders: &'a [String],
}

impl<'a> From<&'a Blob> for BlobItem<'a> {
    fn from(blob: &'a Blob) -> Self {
        BlobItem {
            name: &blob.name,
            hash: blob.hash.to_string(),
            size: blob.size,
            content_type: &blob.content_type,
            public: blob.public,
            version: blob.version,
            created: rfc3339(blob.created),
            modified: rfc3339(blob.modified),
            by: &blob.who,
            copies_wanted: blob.copies_wanted,
            holders: &blob.holders,
        }
    }
}
