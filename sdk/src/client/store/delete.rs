//! Deletions: of one record, and of ranges.

use super::{
    super::{call::key_bytes, node::Stake},
    Fence, OpResult, Store,
    fence::Refused,
    range::Range,
};
use crate::{chance, proto, wire::Fault};
use futures::future::BoxFuture;
use std::time::Duration;

/// A deletion that is being made up. Await it to send it, which tells whether there was a record; or make it part of a
/// [transaction](Store::txn).
#[derive(Debug)]
#[must_use = "a deletion is sent when it is awaited"]
pub struct Delete {
    pub(super) store: Store,
    pub(super) key: String,
    pub(super) if_version: Option<u64>,
    pub(super) fence: Option<Fence>,
    idempotency_key: u128,
    timeout: Duration,
}

impl Delete {
    pub(super) fn new(store: Store, key: String) -> Delete {
        let timeout = store.node.timeout();
        Delete { store, key, if_version: None, fence: None, idempotency_key: chance::bits(), timeout }
    }

    /// Only if the record has this version.
    pub fn if_version(mut self, version: u64) -> Delete {
        self.if_version = Some(version);
        self
    }

    /// Only while the lock is held that `fence` is of.
    pub fn fence(mut self, fence: Fence) -> Delete {
        self.fence = Some(fence);
        self
    }

    /// Repeats the deletion that was sent with `key`.
    pub fn idempotency_key(mut self, key: u128) -> Delete {
        self.idempotency_key = key;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Delete {
        self.timeout = timeout;
        self
    }

    async fn send(self) -> Result<bool, Fault> {
        let message = proto::DeleteRequest {
            place: self.store.place(),
            key: self.key,
            if_version: self.if_version,
            idempotency_key: key_bytes(self.idempotency_key),
        };
        let (node, stake) = (self.store.node, Stake::Write(self.idempotency_key));
        let mut client = node.records();
        let sent = |request| async move { client.delete(request).await };
        Ok(node.ask(stake, self.timeout, message, sent).await?.deleted)
    }

    /// A deletion with a fence is a transaction.
    async fn send_fenced(mut self, fence: Fence) -> Result<bool, Fault> {
        let (store, key, version) = (self.store.clone(), self.key.clone(), self.if_version.take());
        let txn = store.txn().idempotency_key(self.idempotency_key).timeout(self.timeout);
        let refused = Refused { fence: &fence, key: &key, version };
        let done = refused.conditional(&store, txn).then(self).await?;
        match &done.results[..] {
            [OpResult::Deleted { count, .. }] if done.held => Ok(*count > 0),
            _ => Err(refused.why(done)),
        }
    }
}

impl IntoFuture for Delete {
    type Output = Result<bool, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the deletion; tells whether there was a record. Errors are those of a write.
    fn into_future(mut self) -> Self::IntoFuture {
        match self.fence.take() {
            Some(fence) => Box::pin(self.send_fenced(fence)),
            None => Box::pin(self.send()),
        }
    }
}

/// A deletion of a range that is being made up. Await it to send it, which tells how many records there were; or make
/// it part of a [transaction](Store::txn).
#[derive(Debug)]
#[must_use = "a deletion is sent when it is awaited"]
pub struct DeleteRange {
    pub(super) store: Store,
    pub(super) range: Range,
    pub(super) limit: u32,
    timeout: Duration,
}

impl DeleteRange {
    pub(super) fn new(store: Store, prefix: String) -> DeleteRange {
        DeleteRange { timeout: store.node.timeout(), store, range: Range::prefix(prefix), limit: 0 }
    }

    /// Only keys from this one on.
    pub fn starting_at(mut self, key: impl Into<String>) -> DeleteRange {
        self.range.from = key.into();
        self
    }

    /// Only keys before this one.
    pub fn before(mut self, key: impl Into<String>) -> DeleteRange {
        self.range.to = key.into();
        self
    }

    /// Only the first of them, at most this many; 0 for all.
    pub fn limit(mut self, limit: u32) -> DeleteRange {
        self.limit = limit;
        self
    }

    /// Waits no longer than `timeout` for each entry.
    pub fn timeout(mut self, timeout: Duration) -> DeleteRange {
        self.timeout = timeout;
        self
    }

    async fn entry(&self, limit: u32) -> Result<proto::DeleteRangeResponse, Fault> {
        let key = chance::bits();
        let range = Some(self.range.clone().of(&self.store));
        let message = proto::DeleteRangeRequest { range, limit, idempotency_key: key_bytes(key) };
        let mut client = self.store.node.records();
        let sent = |request| async move { client.delete_range(request).await };
        self.store.node.ask(Stake::Write(key), self.timeout, message, sent).await
    }

    async fn send(self) -> Result<u64, Fault> {
        let mut deleted = 0;
        loop {
            let left = match self.limit {
                0 => 0,
                limit => limit.saturating_sub(u32::try_from(deleted).unwrap_or(u32::MAX)),
            };
            let done = self.entry(left).await.map_err(|fault| match deleted {
                0 => fault,
                deleted => fault
                    .help(format!("{deleted} were deleted before: delete the range again for the others")),
            })?;
            deleted += u64::from(done.deleted);
            if !done.more || (self.limit != 0 && deleted >= self.limit.into()) {
                return Ok(deleted);
            }
        }
    }
}

impl IntoFuture for DeleteRange {
    type Output = Result<u64, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the deletion: as many entries as it takes, each of 1024 records at most, and each all or nothing. Tells
    /// how many records there were. Errors are those of a write.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
