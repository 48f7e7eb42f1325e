//! A read.

use super::{super::node::Stake, Record, Store, record::Reading};
use crate::{proto, wire::Fault};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;

/// A read that is being made up. Await it to send it; it gives the record, if there is one.
#[derive(Debug)]
#[must_use = "a read is sent when it is awaited"]
pub struct Get<V = Bytes> {
    pub(super) store: Store,
    pub(super) key: String,
    pub(super) stale: bool,
    pub(super) at: Option<u64>,
    timeout: Duration,
    reading: Reading<V>,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<V = Bytes> {
    /// The record, if there is one.
    pub record: Option<Record<V>>,
    /// It shows everything up to this revision, and maybe some later: whoever [watches](Store::watch) from behind it
    /// misses nothing.
    pub revision: u64,
    /// Of a stale read: how long ago the node's replica is known to have been current; none if that can't be said.
    pub age: Option<Duration>,
}

impl<V> Get<V> {
    pub(super) fn new(store: Store, key: String, reading: Reading<V>) -> Get<V> {
        Get { timeout: store.node.timeout(), store, key, stale: false, at: None, reading }
    }

    /// Answers from the node's own replica, as it is: faster, also without quorum, and maybe old.
    pub fn stale(mut self) -> Get<V> {
        self.stale = true;
        self
    }

    /// Reads the record as it was at this revision.
    pub fn at(mut self, revision: u64) -> Get<V> {
        self.at = Some(revision);
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Get<V> {
        self.timeout = timeout;
        self
    }

    /// Sends the read, and tells with the record of which moment it is.
    ///
    /// # Errors
    /// `Compacted` if the revision is; `Unavailable` without quorum; `Timeout`; `Failed` if the value is not
    /// what is expected.
    pub async fn found(self) -> Result<Found<V>, Fault> {
        let place = self.store.place();
        let message = proto::ReadRequest { place, key: self.key, stale: self.stale, at: self.at };
        let node = self.store.node;
        let mut client = node.records();
        let sent = |request| async move { client.read(request).await };
        let response = node.ask(Stake::Read, self.timeout, message, sent).await?;
        let record = response.record.map(Record::from).map(self.reading).transpose()?;
        let age = response.age_ms.map(Duration::from_millis);
        Ok(Found { record, revision: response.revision, age })
    }
}

impl<V: Send + 'static> IntoFuture for Get<V> {
    type Output = Result<Option<Record<V>>, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the read; gives the record, if there is one. Errors are those of [`Get::found`].
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.found().await?.record) })
    }
}
