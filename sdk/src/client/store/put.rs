//! A write.

use super::{
    super::{call::key_bytes, node::Stake},
    Fence, Store,
    fence::Refused,
    milliseconds,
};
use crate::{chance, proto, wire::Fault};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::{collections::BTreeMap, time::Duration};

/// A write that is being made up. Await it to send it, which gives the record's new version; or make it part of a
/// [transaction](Store::txn).
///
/// Every write carries an idempotency key, so a repetition, by the node or with [`Put::idempotency_key`] by the caller,
/// writes once.
#[derive(Debug)]
#[must_use = "a write is sent when it is awaited"]
pub struct Put {
    pub(super) store: Store,
    pub(super) key: String,
    /// None if the value could not be made.
    pub(super) value: Result<Bytes, Fault>,
    pub(super) if_version: Option<u64>,
    pub(super) fence: Option<Fence>,
    ttl: Duration,
    lease: u64,
    metadata: BTreeMap<String, String>,
    idempotency_key: u128,
    timeout: Duration,
}

impl Put {
    pub(super) fn new(store: Store, key: String, value: Result<Bytes, Fault>) -> Put {
        Put {
            timeout: store.node.timeout(),
            store,
            key,
            value,
            if_version: None,
            fence: None,
            ttl: Duration::ZERO,
            lease: 0,
            metadata: BTreeMap::new(),
            idempotency_key: chance::bits(),
        }
    }

    /// Only if the record has this version; 0 means: only if there is none.
    pub fn if_version(mut self, version: u64) -> Put {
        self.if_version = Some(version);
        self
    }

    /// Only if there is no such record.
    pub fn if_absent(self) -> Put {
        self.if_version(0)
    }

    /// Only while the lock is held that `fence` is of: who has lost it without knowing changes nothing.
    pub fn fence(mut self, fence: Fence) -> Put {
        self.fence = Some(fence);
        self
    }

    /// The record ends after this time, unless it is written again.
    pub fn ttl(mut self, ttl: Duration) -> Put {
        self.ttl = ttl;
        self
    }

    /// The record ends with this lease.
    pub fn lease(mut self, lease: u64) -> Put {
        self.lease = lease;
        self
    }

    /// Notes a text beside the value.
    pub fn metadata(mut self, name: impl Into<String>, text: impl Into<String>) -> Put {
        self.metadata.insert(name.into(), text.into());
        self
    }

    /// Repeats the write that was sent with `key`: what it did, it does not do again.
    pub fn idempotency_key(mut self, key: u128) -> Put {
        self.idempotency_key = key;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Put {
        self.timeout = timeout;
        self
    }

    /// As part of a transaction.
    pub(super) fn operation(self) -> Result<proto::operation::Operation, Fault> {
        Ok(proto::operation::Operation::Write(proto::operation::Write {
            place: self.store.place(),
            key: self.key,
            value: self.value?,
            ttl_ms: milliseconds(self.ttl),
            lease: self.lease,
            metadata: self.metadata,
        }))
    }

    async fn send(self) -> Result<u64, Fault> {
        let message = proto::WriteRequest {
            place: self.store.place(),
            key: self.key,
            value: self.value?,
            if_version: self.if_version,
            idempotency_key: key_bytes(self.idempotency_key),
            ttl_ms: milliseconds(self.ttl),
            lease: self.lease,
            metadata: self.metadata,
        };
        let (node, stake) = (self.store.node, Stake::Write(self.idempotency_key));
        let mut client = node.records();
        let sent = |request| async move { client.write(request).await };
        Ok(node.ask(stake, self.timeout, message, sent).await?.version)
    }

    /// A write with a fence is a transaction.
    async fn send_fenced(mut self, fence: Fence) -> Result<u64, Fault> {
        let (store, key, version) = (self.store.clone(), self.key.clone(), self.if_version.take());
        let txn = store.txn().idempotency_key(self.idempotency_key).timeout(self.timeout);
        let refused = Refused { fence: &fence, key: &key, version };
        let done = refused.conditional(&store, txn).then(self).await?;
        if done.held { Ok(done.revision) } else { Err(refused.why(done)) }
    }
}

impl IntoFuture for Put {
    type Output = Result<u64, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the write; gives the record's new version.
    ///
    /// Errors: `Conflict` if the version is another, or the fence does not hold; `NotFound` if the lease has ended;
    /// `Usage` over a limit; `Unavailable` without quorum; `Unknown` if it may have been done.
    fn into_future(mut self) -> Self::IntoFuture {
        match self.fence.take() {
            Some(fence) => Box::pin(self.send_fenced(fence)),
            None => Box::pin(self.send()),
        }
    }
}
