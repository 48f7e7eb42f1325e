//! What callers ask, and what they are told.

use super::{
    BlobName,
    limits::{CONTENT_TYPE_BYTES_MAX, COPIES_MAX},
    record::Asked,
};
use micro_sdk::wire::{BlobHash, Code, Fault, Namespace, NodeId};

/// Puts a blob; its bytes follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBlobRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What it is called.
    pub name: BlobName,
    /// Such as `image/png`; may be empty.
    pub content_type: String,
    /// Whether anybody may read it.
    pub public: bool,
    /// How many copies there should be; 0 means as many as is usual where it is put.
    pub copies: u32,
    /// Only if the blob of this name has this version; 0: only if there is none.
    pub if_version: Option<u64>,
    /// The length that the caller knows of, so that what does not fit is refused at once.
    pub bytes: Option<u64>,
    /// Only if the content has this hash.
    pub hash: Option<BlobHash>,
    /// Who puts it.
    pub who: String,
    /// Makes a repeated put the same put.
    pub idempotency_key: Option<u128>,
}

impl PutBlobRequest {
    /// Refuses what is beyond a limit.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let length = self.content_type.len();
        if length > CONTENT_TYPE_BYTES_MAX
            || !self.content_type.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        {
            let message = format!(
                "a content type of {length} bytes: it takes {CONTENT_TYPE_BYTES_MAX} at most, of printable ASCII"
            );
            return Err(Fault::new(Code::Usage, message));
        }
        if self.copies > COPIES_MAX {
            let message = format!("{} copies are more than the {COPIES_MAX} that there may be", self.copies);
            return Err(Fault::new(Code::Usage, message));
        }
        Ok(())
    }

    /// What is asked, of a content with this hash and so many copies.
    pub(crate) fn asked(&self, hash: BlobHash, wanted: u32) -> Asked {
        Asked {
            key: self.name.key(&self.namespace),
            hash,
            content_type: self.content_type.clone(),
            public: self.public,
            wanted,
            if_version: self.if_version,
        }
    }

    /// How many copies there should be, where `usual` is what is not said.
    pub(crate) fn wanted(&self, usual: u32) -> u32 {
        if self.copies == 0 { usual } else { self.copies }
    }
}

/// What came of a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutBlobReply {
    /// The version that it has from now on.
    pub version: u64,
    /// The SHA-256 of its content.
    pub hash: BlobHash,
    /// Its length.
    pub bytes: u64,
    /// How many copies there are. More are made if more are wanted.
    pub copies: u32,
    /// How many are wanted.
    pub copies_wanted: u32,
    /// How many there can be: as many as are wanted, or as there are nodes if those are fewer.
    pub copies_possible: u32,
}

/// A blob without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobView {
    /// What it is called.
    pub name: String,
    /// The SHA-256 of its content.
    pub hash: BlobHash,
    /// Its length.
    pub bytes: u64,
    /// Such as `image/png`; may be empty.
    pub content_type: String,
    /// Whether anybody may read it.
    pub public: bool,
    /// The version: another one with each put.
    pub version: u64,
    /// When there was first one of this name, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it was put.
    pub modified_ms: u64,
    /// Who put it.
    pub who: String,
    /// How many copies are wanted.
    pub copies_wanted: u32,
    /// Which nodes have one.
    pub holders: Vec<NodeId>,
    /// Of a stale reading of it alone: how many milliseconds ago this replica was known to be current, if that can be
    /// said.
    pub age_ms: Option<u64>,
}

/// Reads a blob or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GetBlobRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What it is called.
    pub name: BlobName,
    /// Where to begin.
    pub offset: u64,
    /// How much of it; none means to its end.
    pub length: Option<u64>,
    /// Take this node's own replica of the manifest, as it is.
    pub stale: bool,
}

/// Removes a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteBlobRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What it is called.
    pub name: BlobName,
    /// Only if it has this version.
    pub if_version: Option<u64>,
}

/// Lists blobs by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListBlobsRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// What their names begin with.
    pub prefix: String,
    /// Only those behind this name.
    pub after: String,
    /// How many at most; 0 means 1000, which is also the most.
    pub limit: u32,
    /// Take this node's own replica, as it is.
    pub stale: bool,
}

/// A page of blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListBlobsReply {
    /// In the order of their names.
    pub blobs: Vec<BlobView>,
    /// Whether there are more behind the last.
    pub more: bool,
    /// Of a stale listing: how many milliseconds ago this replica was known to be current, if that can be said.
    pub age_ms: Option<u64>,
}
