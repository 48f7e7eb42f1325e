//! A blob on its way from a node.

use super::{Blob, Blobs};
use crate::{
    client::node::Stake,
    proto::{self, get_blob_response},
    wire::{Code, Fault},
};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use std::{ops::Range, time::Duration};
use tokio::time::timeout;
use tonic::Streaming;

/// How long any part may take: the node may have to turn to another copy in between.
const PART_TIMEOUT: Duration = Duration::from_secs(60);

/// A reading that is being made up. Await it to begin.
#[derive(Clone, Debug)]
#[must_use = "a reading begins when it is awaited"]
pub struct GetBlob {
    blobs: Blobs,
    request: proto::GetBlobRequest,
}

/// A blob that is being read.
#[derive(Debug)]
pub struct BlobReader {
    blobs: Blobs,
    blob: Blob,
    parts: Streaming<proto::GetBlobResponse>,
    /// How many bytes are still to come.
    left: u64,
}

impl GetBlob {
    pub(super) fn new(blobs: Blobs, name: String) -> GetBlob {
        let request = proto::GetBlobRequest { namespace: blobs.namespace(), name, ..Default::default() };
        GetBlob { blobs, request }
    }

    /// Only these bytes. What is behind the end of the blob is left away.
    pub fn range(mut self, range: Range<u64>) -> GetBlob {
        self.request.length = Some(range.end.saturating_sub(range.start));
        self.from(range.start)
    }

    /// Only from this byte on.
    pub fn from(mut self, offset: u64) -> GetBlob {
        self.request.offset = offset;
        self
    }

    /// Takes what the node itself knows of the blob: also without quorum, and maybe old.
    pub fn stale(mut self) -> GetBlob {
        self.request.stale = true;
        self
    }

    async fn begin(self) -> Result<BlobReader, Fault> {
        let GetBlob { blobs, request } = self;
        let (offset, length) = (request.offset, request.length.unwrap_or(u64::MAX));
        let mut client = blobs.node.blob_client();
        let request = blobs.node.request(request)?;
        let begun = async {
            let mut parts = client.get_blob(request).await?.into_inner();
            let first = parts.message().await?;
            Ok::<_, tonic::Status>((parts, first))
        };
        let begun = timeout(PART_TIMEOUT, begun).await.map_err(|_| late())?;
        let (parts, first) = begun.map_err(|status| blobs.node.fault(Stake::Read, PART_TIMEOUT, status))?;
        let Some(get_blob_response::Part::Blob(blob)) = first.and_then(|first| first.part) else {
            return Err(Fault::new(Code::Internal, "the node does not say what the blob is")
                .help("client and node may be of different versions"));
        };
        let blob = Blob::try_from(blob)?;
        let left = length.min(blob.size.saturating_sub(offset));
        Ok(BlobReader { blobs, blob, parts, left })
    }
}

impl IntoFuture for GetBlob {
    type Output = Result<BlobReader, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Begins to read. Errors: `NotFound` if there is none, `Unavailable` if no copy can be reached.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.begin())
    }
}

impl BlobReader {
    /// What is being read.
    pub fn blob(&self) -> &Blob {
        &self.blob
    }

    /// How many bytes are still to come.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next bytes; none behind the last. What came short is an error.
    ///
    /// # Errors
    /// Why there is no more, though there should be.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        let part = timeout(PART_TIMEOUT, self.parts.message()).await.map_err(|_| late())?;
        let part = part.map_err(|status| self.blobs.node.fault(Stake::Read, PART_TIMEOUT, status))?;
        match part.and_then(|part| part.part) {
            Some(get_blob_response::Part::Chunk(chunk)) => {
                let cut = || Fault::new(Code::Internal, "the node sent more of the blob than there is");
                self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(cut)?;
                Ok(Some(chunk))
            }
            Some(_) => Err(Fault::new(Code::Internal, "the node says twice what the blob is")),
            None if self.left == 0 => Ok(None),
            None => {
                let message = format!("the blob ended {} bytes early", self.left);
                Err(Fault::new(Code::Unavailable, message).help("read it again"))
            }
        }
    }

    /// All that is still to come, in memory: refused beyond `limit` bytes.
    ///
    /// # Errors
    /// `Usage` if it is more; else as [`next`](Self::next).
    pub async fn collect(mut self, limit: u64) -> Result<Bytes, Fault> {
        if self.left > limit {
            let message = format!("{} bytes are more than the {limit} that were to be read", self.left);
            return Err(Fault::new(Code::Usage, message).help("read it piece by piece"));
        }
        let mut content = BytesMut::new();
        while let Some(piece) = self.next().await? {
            content.extend_from_slice(&piece);
        }
        Ok(content.freeze())
    }
}

fn late() -> Fault {
    Fault::new(Code::Timeout, format!("the node sent nothing of the blob for {} s", PART_TIMEOUT.as_secs()))
        .help("look at its load and its disk, or read it through another node")
}
