//! Blobs as the command line shows them.

use super::unit::rfc3339;
use micro_sdk::client::Blob;
use serde::Serialize;

/// A blob without its bytes, for programs.
#[derive(Serialize)]
pub(super) struct BlobItem<'a> {
    name: &'a str,
    /// SHA-256, as `sha256sum` shows it.
    hash: String,
    /// In bytes.
    size: u64,
    content_type: &'a str,
    public: bool,
    version: u64,
    /// RFC 3339.
    created: String,
    modified: String,
    by: &'a str,
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
