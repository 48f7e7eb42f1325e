//! The store's actor: what it is built on, and its endpoints by name.

use crate::{
    Invocation, Platform,
    store::{NamesRequest, TablePath, Watchers, command::COMMAND_BYTES_MAX, view::Replica},
};
use bincode::Decode;
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_consensus::Consensus;
use micro_sdk::wire::{Code, Codec, Fault, Seams};
use micro_storage::StateStore;
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

/// The name of the store service.
pub const STORE: &str = "store";

/// The store's actor. What it answers is in `reading`, `writing` and `watch`.
pub struct StoreService {
    pub(super) consensus: Consensus,
    pub(super) replica: Replica,
    pub(super) watchers: Arc<Watchers>,
    /// The comparisons and operations of a caller's transaction at most.
    pub(super) transaction_ops: usize,
}

impl StoreService {
    /// Serves the records that `consensus` keeps in `state`, as `watchers` are told of them. Transactions of
    /// callers have at most `transaction_ops` comparisons and operations.
    pub(crate) fn new(
        consensus: Consensus,
        state: Arc<dyn StateStore>,
        seams: Seams,
        watchers: Arc<Watchers>,
        transaction_ops: usize,
    ) -> Self {
        StoreService { consensus, replica: Replica { state, seams }, watchers, transaction_ops }
    }

    /// Tells when records of these tables of the platform's have changed here: once in the life of a node.
    pub(crate) fn hang_bells(
        &self,
        tables: impl IntoIterator<Item = TablePath>,
    ) -> Vec<watch::Receiver<u64>> {
        self.watchers.hang_bells(tables)
    }

    /// Ends all watches, and those to come: the node stops.
    pub fn end_watches(&self) {
        self.watchers.close();
    }

    /// The same for callers on another thread: called on that thread's runtime.
    #[must_use]
    pub fn fork(&self) -> Self {
        StoreService {
            consensus: self.consensus.fork(),
            replica: self.replica.clone(),
            watchers: self.watchers.clone(),
            transaction_ops: self.transaction_ops,
        }
    }
}

fn decode<T: Decode<()>>(body: &[u8]) -> Result<T, Fault> {
    Codec::decode::<T, COMMAND_BYTES_MAX>(body).map_err(|error| Fault::new(Code::Usage, error.to_string()))
}

impl Platform for StoreService {
    fn name(&self) -> &'static str {
        STORE
    }

    fn permits(&self) -> usize {
        // As many as proposals may wait: each is a record in flight.
        16_384
    }

    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            let deadline = Instant::now() + Duration::from_millis(call.head.deadline_ms.into());
            let key = call.head.idempotency_key;
            let body = &call.body;
            let answer = match call.head.endpoint.as_str() {
                "write" => Codec::encode(&self.write(decode(body)?, key, deadline).await?),
                "read" => Codec::encode(&self.read(decode(body)?, deadline).await?),
                "list" => Codec::encode(&self.list(decode(body)?, deadline).await?),
                "delete" => Codec::encode(&self.delete(decode(body)?, key, deadline).await?),
                "delete-range" => Codec::encode(&self.delete_range(decode(body)?, key, deadline).await?),
                "transact" => Codec::encode(&self.transact(decode(body)?, key, deadline).await?),
                "databases" => {
                    let request = NamesRequest { database: None, ..decode(body)? };
                    Codec::encode(&self.names(request, deadline).await?)
                }
                "tables" => Codec::encode(&self.names(decode(body)?, deadline).await?),
                "grant" => Codec::encode(&self.grant(decode(body)?, key, deadline).await?),
                "keep-alive" => Codec::encode(&self.keep_alive(decode(body)?, deadline).await?),
                "revoke" => Codec::encode(&self.revoke(decode(body)?, key, deadline).await?),
                "leases" => Codec::encode(&self.leases(decode(body)?, deadline).await?),
                "compact" => Codec::encode(&self.compact(decode(body)?, deadline).await?),
                "retain" => {
                    self.retain(decode(body)?, deadline).await?;
                    Vec::new()
                }
                "history" => Codec::encode(&self.history(deadline).await?),
                other => {
                    return Err(Fault::new(Code::NotFound, format!("the store has no endpoint {other:?}")));
                }
            };
            Ok(answer.into())
        })
    }
}
