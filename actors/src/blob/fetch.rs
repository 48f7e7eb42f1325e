//! How a node comes by a copy: it fetches it from one that has it.

use super::{
    limits::{GRACE, fetch_time},
    platform::{BLOB, Shared},
};
use crate::auth::node_head;
use bincode::{Decode, Encode};
use micro_sdk::wire::{BlobHash, Code, Codec, Fault, NodeId};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Endpoint `fetch`: the node that is called sees to it that it has the blob, and keeps it for a while. Asked again, it
/// answers at once, and keeps it anew.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct FetchRequest {
    pub hash: BlobHash,
    pub bytes: u64,
    /// Who has it, as far as is known.
    pub from: Vec<NodeId>,
}

impl Shared {
    /// Has another node fetch a blob.
    pub async fn have_fetched(&self, node: NodeId, request: &FetchRequest) -> Result<(), Fault> {
        let deadline = Instant::now() + fetch_time(request.bytes);
        let head = node_head(&self.seams, self.here(), BLOB, "fetch", deadline);
        self.dispatch.call_at(node, head, Codec::encode(request).into()).await.map(drop)
    }

    /// Sees to it that the blob is on this node's disk.
    pub async fn fetch(&self, request: FetchRequest, deadline: Instant) -> Result<(), Fault> {
        let FetchRequest { hash, bytes, from } = request;
        let (there, _hold) = self.shelf.hold_if_there(hash, GRACE).await?;
        if there {
            return Ok(());
        }
        let late = |_| Fault::new(Code::Timeout, format!("blob {hash} could not be copied in time"));
        let _turn = timeout_at(deadline, self.fetches.acquire())
            .await
            .map_err(late)?
            .map_err(|_| Fault::new(Code::Unavailable, "the node is shutting down"))?;
        let mut last = Fault::new(Code::Unavailable, format!("no node that has blob {hash} can be reached"));
        for node in self.sources(&from) {
            match timeout_at(deadline, self.fetch_from(node, hash, bytes)).await.map_err(late)? {
                Ok(()) => return Ok(()),
                Err(fault) => {
                    tracing::debug!(%node, %hash, %fault, "a blob could not be fetched from there");
                    last = fault;
                }
            }
        }
        Err(last)
    }

    async fn fetch_from(&self, node: NodeId, hash: BlobHash, bytes: u64) -> Result<(), Fault> {
        let mut intake = self.shelf.begin(bytes).await?;
        let mut incoming = self.ask(node, hash, 0, bytes).await?;
        while let Some(piece) = incoming.next().await? {
            intake = self.shelf.write(intake, piece).await?;
        }
        let fits = move |stored: micro_storage::StoredBlob| match stored.hash == hash {
            true => Ok(()),
            false => Err(Fault::new(Code::Failed, format!("node {node} sent another blob than {hash}"))),
        };
        self.shelf.keep(intake, GRACE, fits).await.map(drop)
    }

    /// How long ago a moment was.
    pub fn since(moment: Instant) -> Duration {
        Instant::now().saturating_duration_since(moment)
    }
}
