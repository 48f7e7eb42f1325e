//! A blob on its way to a node.

use super::{Blobs, hash};
use crate::{
    chance,
    client::{call::key_bytes, node::Stake},
    proto::{self, put_blob_request},
    wire::{BlobHash, Code, Fault},
};
use bytes::Bytes;
use futures::{future::BoxFuture, stream};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Response, Status};

/// What is sent at once.
const CHUNK_BYTES: usize = 256 << 10;
/// How many chunks wait to be sent.
const CHUNKS_WAITING: usize = 4;
/// How long a node may take for a chunk before it counts as gone.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a node may take to make the copies of a blob that it has, at the least.
const COPIES_TIMEOUT: Duration = Duration::from_secs(120);
/// The slowest pace at which copies are made; beyond it nobody waits.
const COPIES_BYTES_PER_S: u64 = 1 << 20;

/// A put that is being made up. Await it to send it.
///
/// It carries an idempotency key, so that a repetition with [`PutBlob::idempotency_key`] puts once.
#[derive(Clone, Debug)]
#[must_use = "a put is sent when it is awaited"]
pub struct PutBlob {
    blobs: Blobs,
    header: put_blob_request::Header,
    content: Bytes,
    idempotency_key: u128,
}

/// What came of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobPut {
    /// The version that the blob has from now on.
    pub version: u64,
    /// The SHA-256 of its content.
    pub hash: BlobHash,
    /// Its length.
    pub size: u64,
    /// How many copies there are. More are made if more are wanted.
    pub copies: u32,
    /// How many are wanted.
    pub copies_wanted: u32,
    /// How many there can be: as many as are wanted, or as there are nodes if those are fewer. More are made once there
    /// are more nodes.
    pub copies_possible: u32,
}

/// A blob that is being put piece by piece. Dropped before it is finished, it changes nothing.
pub struct BlobUpload {
    blobs: Blobs,
    chunks: mpsc::Sender<proto::PutBlobRequest>,
    answer: BoxFuture<'static, Result<Response<proto::PutBlobResponse>, Status>>,
    sent: u64,
    stake: Stake,
}

impl PutBlob {
    pub(super) fn new(blobs: Blobs, name: String, content: Bytes) -> PutBlob {
        let header = put_blob_request::Header { namespace: blobs.namespace(), name, ..Default::default() };
        PutBlob { blobs, header, content, idempotency_key: chance::bits() }
    }

    /// Repeats the put that was sent with `key`, within an hour: what it did, it does not do again.
    pub fn idempotency_key(mut self, key: u128) -> PutBlob {
        self.idempotency_key = key;
        self
    }

    /// What it is, such as `image/png`.
    pub fn content_type(mut self, content_type: impl Into<String>) -> PutBlob {
        self.header.content_type = content_type.into();
        self
    }

    /// Lets callers read it who say nothing of who they are.
    pub fn public(mut self) -> PutBlob {
        self.header.public = true;
        self
    }

    /// How many copies there should be; unless it is said, as many as the node's setting says, which is 3 if nobody
    /// changed it. There are no more than there are nodes.
    pub fn copies(mut self, copies: u32) -> PutBlob {
        self.header.copies = copies;
        self
    }

    /// Only if there is no blob of this name.
    pub fn if_absent(self) -> PutBlob {
        self.if_version(0)
    }

    /// Only if the blob of this name has this version.
    pub fn if_version(mut self, version: u64) -> PutBlob {
        self.header.if_version = Some(version);
        self
    }

    /// The length of what is going to be streamed, so that what does not fit is refused at once.
    pub fn size(mut self, size: u64) -> PutBlob {
        self.header.size = Some(size);
        self
    }

    /// Only if the content has this hash.
    pub fn expect_hash(mut self, hash: BlobHash) -> PutBlob {
        self.header.hash = hash.to_string();
        self
    }

    /// Puts what is written to it from now on, behind the content that is there already.
    ///
    /// # Errors
    /// `Denied` if the secret would leave this host unencrypted.
    pub async fn stream(self) -> Result<BlobUpload, Fault> {
        let PutBlob { blobs, mut header, content, idempotency_key } = self;
        header.idempotency_key = key_bytes(idempotency_key);
        let stake = Stake::Write(idempotency_key);
        let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING);
        let header = part(put_blob_request::Part::Header(header));
        let parts = stream::unfold((Some(header), waiting), |(header, mut waiting)| async move {
            let next = match header {
                Some(header) => header,
                None => waiting.recv().await?,
            };
            Some((next, (None, waiting)))
        });
        let request = blobs.node.request(parts)?;
        let mut client = blobs.node.blob_client();
        let answer = Box::pin(async move { client.put_blob(request).await });
        let mut upload = BlobUpload { blobs, chunks, answer, sent: 0, stake };
        upload.write(content).await?;
        Ok(upload)
    }

    async fn send(mut self) -> Result<BlobPut, Fault> {
        self.header.size = Some(self.content.len() as u64);
        self.stream().await?.finish().await
    }
}

impl IntoFuture for PutBlob {
    type Output = Result<BlobPut, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it. Errors: `Usage` beyond a limit, `Conflict` if the version is another, `Unavailable` if too few copies
    /// can be made or a disk is nearly full.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl BlobUpload {
    /// Adds bytes at the end. Returns once there is room for more: so a caller is not faster than the node's disk.
    ///
    /// # Errors
    /// Why the node does not go on.
    pub async fn write(&mut self, content: impl Into<Bytes>) -> Result<(), Fault> {
        let mut content = content.into();
        while !content.is_empty() {
            let chunk = content.split_to(content.len().min(CHUNK_BYTES));
            self.sent += chunk.len() as u64;
            self.send(put_blob_request::Part::Chunk(chunk)).await?;
        }
        Ok(())
    }

    /// Sends a part, unless the node has refused before.
    async fn send(&mut self, next: put_blob_request::Part) -> Result<(), Fault> {
        let step = async {
            tokio::select! {
                biased;
                answer = &mut self.answer => Some(answer),
                sent = self.chunks.send(part(next)) => {
                    // Closed: the answer that says why comes right away.
                    if sent.is_ok() { None } else { Some((&mut self.answer).await) }
                }
            }
        };
        match timeout(CHUNK_TIMEOUT, step).await {
            Ok(None) => Ok(()),
            Ok(Some(answer)) => Err(self.refused(answer)),
            Err(_) => {
                let message = format!("the node took nothing of the blob for {} s", CHUNK_TIMEOUT.as_secs());
                Err(Fault::new(Code::Timeout, message).help("look at its load and its disk"))
            }
        }
    }

    /// Ends the blob: gives it its name once enough copies of it are durable.
    ///
    /// # Errors
    /// `Conflict` if the version is another, `Unavailable` if too few copies can be made; else as every request.
    pub async fn finish(mut self) -> Result<BlobPut, Fault> {
        // A stream that only ends may be that of a caller who gave up.
        self.send(put_blob_request::Part::End(put_blob_request::End { size: self.sent })).await?;
        let BlobUpload { blobs, answer, sent, stake, .. } = self;
        let patience = COPIES_TIMEOUT + Duration::from_secs(sent / COPIES_BYTES_PER_S);
        let answer = timeout(patience, answer).await.map_err(|_| {
            let message =
                format!("the node did not say within {} s that the blob is kept", patience.as_secs());
            stake.unsure(Fault::new(Code::Timeout, message))
        })?;
        let put = answer.map_err(|status| blobs.node.fault(stake, patience, status))?.into_inner();
        Ok(BlobPut {
            version: put.version,
            hash: hash(&put.hash)?,
            size: put.size,
            copies: put.copies,
            copies_wanted: put.copies_wanted,
            copies_possible: put.copies_possible,
        })
    }

    fn refused(&self, answer: Result<Response<proto::PutBlobResponse>, Status>) -> Fault {
        match answer {
            Err(status) => self.blobs.node.fault(self.stake, CHUNK_TIMEOUT, status),
            Ok(_) => Fault::new(Code::Internal, "the node ended the blob before it was whole"),
        }
    }
}

fn part(part: put_blob_request::Part) -> proto::PutBlobRequest {
    proto::PutBlobRequest { part: Some(part) }
}
