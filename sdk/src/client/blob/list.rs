//! Blobs by name, page by page.

use super::{Blob, Blobs};
use crate::{client::node::Stake, proto, wire::Fault};
use futures::future::BoxFuture;
use std::time::Duration;

/// A listing that is being made up. Await it to send it, which gives a page.
#[derive(Clone, Debug)]
#[must_use = "a listing is sent when it is awaited"]
pub struct ListBlobs {
    blobs: Blobs,
    request: proto::ListBlobsRequest,
}

/// A page of blobs, in the order of their names' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobPage {
    /// The blobs.
    pub blobs: Vec<Blob>,
    /// What to pass to [`ListBlobs::page`] for those behind the last; none if there are no more.
    pub next: Option<String>,
    /// Of a stale listing: how long ago the node's replica is known to have been current; none if that can't be said.
    pub age: Option<Duration>,
}

impl ListBlobs {
    pub(super) fn new(blobs: Blobs, prefix: String) -> ListBlobs {
        let request = proto::ListBlobsRequest { namespace: blobs.namespace(), prefix, ..Default::default() };
        ListBlobs { blobs, request }
    }

    /// Gives at most this many in a page; 0 means 1000, which is also the most.
    pub fn limit(mut self, limit: u32) -> ListBlobs {
        self.request.limit = limit;
        self
    }

    /// The page that an earlier one named as its next.
    pub fn page(mut self, page: impl Into<String>) -> ListBlobs {
        self.request.page = page.into();
        self
    }

    /// Takes what the node itself knows: also without quorum, and maybe old.
    pub fn stale(mut self) -> ListBlobs {
        self.request.stale = true;
        self
    }

    async fn send(self) -> Result<BlobPage, Fault> {
        let ListBlobs { blobs, request } = self;
        let mut client = blobs.node.blob_client();
        let sent = |request| async move { client.list_blobs(request).await };
        let response = blobs.node.ask(Stake::Read, blobs.node.timeout(), request, sent).await?;
        Ok(BlobPage {
            blobs: response.blobs.into_iter().map(Blob::try_from).collect::<Result<_, _>>()?,
            next: (!response.next_page.is_empty()).then_some(response.next_page),
            age: response.age_ms.map(Duration::from_millis),
        })
    }
}

impl IntoFuture for ListBlobs {
    type Output = Result<BlobPage, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the listing; gives a page. Errors: as every request.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
