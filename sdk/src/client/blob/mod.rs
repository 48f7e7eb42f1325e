//! Blobs of the mesh: large bytes by name, streamed in and out.

mod get;
mod list;
mod put;

pub use get::{BlobReader, GetBlob};
pub use list::{BlobPage, ListBlobs};
pub use put::{BlobPut, BlobUpload, PutBlob};

use super::{Node, node::Stake};
use crate::{
    proto,
    wire::{BlobHash, Code, Fault},
};
use bytes::Bytes;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;

/// How long a node that hands its blobs over may tell nothing: it copies a few meanwhile, however large they are.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(3600);

/// The blobs of one namespace. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Blobs {
    node: Node,
}

/// What a blob is, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What it is called.
    pub name: String,
    /// The SHA-256 of its content.
    pub hash: BlobHash,
    /// Its length in bytes.
    pub size: u64,
    /// Such as `image/png`; may be empty.
    pub content_type: String,
    /// Whether callers may read it who say nothing of who they are.
    pub public: bool,
    /// Another one with each put.
    pub version: u64,
    /// When there was first a blob of this name.
    pub created: SystemTime,
    /// When it was put.
    pub modified: SystemTime,
    /// Who put it.
    pub who: String,
    /// How many copies there should be.
    pub copies_wanted: u32,
    /// The names of the nodes that have one.
    pub holders: Vec<String>,
    /// Of a stale reading of it alone: how long ago the node's replica is known to have been current; none if that
    /// can't be said.
    pub age: Option<Duration>,
}

/// How far a node has got with handing over its blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobsHandedOver {
    /// How many it had when it began.
    pub blobs: u64,
    /// How many of them were looked at.
    pub done: u64,
    /// How many have too few copies elsewhere all the same.
    pub stuck: u64,
}

impl Blobs {
    pub(super) fn new(node: Node) -> Blobs {
        Blobs { node }
    }

    /// Puts `content` under `name`, all at once. What is larger than memory goes through [`PutBlob::stream`].
    pub fn put(&self, name: impl Into<String>, content: impl Into<Bytes>) -> PutBlob {
        PutBlob::new(self.clone(), name.into(), content.into())
    }

    /// Reads the blob `name`, or with [`GetBlob::range`] a part of it.
    pub fn get(&self, name: impl Into<String>) -> GetBlob {
        GetBlob::new(self.clone(), name.into())
    }

    /// What the blob `name` is, without its bytes.
    ///
    /// # Errors
    /// `NotFound` if there is none; else as every request.
    pub async fn head(&self, name: impl Into<String>) -> Result<Blob, Fault> {
        let message = proto::HeadBlobRequest { namespace: self.namespace(), name: name.into(), stale: false };
        let mut client = self.node.blob_client();
        let sent = |request| async move { client.head_blob(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        Blob::try_from(response.blob.unwrap_or_default())
    }

    /// The blobs whose names begin with `prefix`, by name.
    pub fn list(&self, prefix: impl Into<String>) -> ListBlobs {
        ListBlobs::new(self.clone(), prefix.into())
    }

    /// Removes the blob `name`. Returns whether there was one. Who reads it meanwhile reads it to its end.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete(&self, name: impl Into<String>) -> Result<bool, Fault> {
        self.remove(name.into(), None).await
    }

    /// The same, only if it has this version.
    ///
    /// # Errors
    /// `Conflict` if it has another; else as every request.
    pub async fn delete_version(&self, name: impl Into<String>, version: u64) -> Result<bool, Fault> {
        self.remove(name.into(), Some(version)).await
    }

    /// Has other nodes copy the blobs of the node that is asked, so that it can [leave](Node::leave). Calls `told` as
    /// it goes on, and gives how far it got in the end. It takes as long as it takes to copy them.
    ///
    /// # Errors
    /// `Unavailable` without quorum; else as every request.
    pub async fn hand_over(&self, mut told: impl FnMut(BlobsHandedOver)) -> Result<BlobsHandedOver, Fault> {
        let fault = |status| self.node.fault(Stake::Call, HAND_OVER_TIMEOUT, status);
        let late = |_| {
            let message = format!("the node told nothing for {} s", HAND_OVER_TIMEOUT.as_secs());
            Fault::new(Code::Timeout, message).help("look at the log of the node; it is safe to try again")
        };
        let request = self.node.request(proto::HandOverBlobsRequest {})?;
        let mut client = self.node.blob_client();
        let begun = timeout(HAND_OVER_TIMEOUT, client.hand_over_blobs(request)).await.map_err(late)?;
        let mut answers = begun.map_err(fault)?.into_inner();
        let mut so_far = BlobsHandedOver::default();
        while let Some(answer) =
            timeout(HAND_OVER_TIMEOUT, answers.message()).await.map_err(late)?.map_err(fault)?
        {
            let proto::HandOverBlobsResponse { blobs, done, stuck } = answer;
            so_far = BlobsHandedOver { blobs, done, stuck };
            told(so_far);
        }
        Ok(so_far)
    }

    async fn remove(&self, name: String, if_version: Option<u64>) -> Result<bool, Fault> {
        let message = proto::DeleteBlobRequest { namespace: self.namespace(), name, if_version };
        let mut client = self.node.blob_client();
        let sent = |request| async move { client.delete_blob(request).await };
        Ok(self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?.deleted)
    }

    fn namespace(&self) -> String {
        self.node.namespace().to_string()
    }
}

impl TryFrom<proto::Blob> for Blob {
    type Error = Fault;

    fn try_from(blob: proto::Blob) -> Result<Self, Fault> {
        let time = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        Ok(Blob {
            hash: hash(&blob.hash)?,
            name: blob.name,
            size: blob.size,
            content_type: blob.content_type,
            public: blob.public,
            version: blob.version,
            created: time(blob.created_ms),
            modified: time(blob.modified_ms),
            who: blob.who,
            copies_wanted: blob.copies_wanted,
            holders: blob.holders.into_iter().map(|holder| holder.name).collect(),
            age: blob.age_ms.map(Duration::from_millis),
        })
    }
}

fn hash(text: &str) -> Result<BlobHash, Fault> {
    text.parse().map_err(|error| {
        Fault::new(Code::Internal, format!("what the node says of a blob can't be read: {error}"))
            .help("client and node may be of different versions")
    })
}
