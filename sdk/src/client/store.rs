//! Records in the mesh's consistent store.

use super::{Node, call::key_bytes, node::Stake};
use crate::{
    chance, proto,
    wire::{Code, Fault},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;

/// One table of one database. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    node: Node,
    database: String,
    table: String,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its key, unique in its table.
    pub key: String,
    /// What was written.
    pub value: Bytes,
    /// Grows with every write: the log index that wrote it.
    pub version: u64,
}

/// A page of records, in the order of their keys' bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The records.
    pub records: Vec<Record>,
    /// Whether there are more after the last.
    pub more: bool,
}

/// A write that is being made up. Await it to send it; it gives the record's new version.
///
/// Every write carries an idempotency key, so a repetition, by the node or with [`Write::idempotency_key`] by
/// the caller, writes once.
#[derive(Debug)]
#[must_use = "a write is sent when it is awaited"]
pub struct Write {
    store: Store,
    key: String,
    value: Bytes,
    if_version: Option<u64>,
    idempotency_key: u128,
    timeout: Duration,
}

/// A read that is being made up. Await it to send it; it gives the record, if there is one.
#[derive(Debug)]
#[must_use = "a read is sent when it is awaited"]
pub struct Read {
    store: Store,
    key: String,
    stale: bool,
    timeout: Duration,
}

/// A listing that is being made up. Await it to send it; it gives a page.
#[derive(Debug)]
#[must_use = "a listing is sent when it is awaited"]
pub struct List {
    store: Store,
    prefix: String,
    after: String,
    limit: u32,
    stale: bool,
    timeout: Duration,
}

/// A deletion that is being made up. Await it to send it; it tells whether there was a record.
#[derive(Debug)]
#[must_use = "a deletion is sent when it is awaited"]
pub struct Delete {
    store: Store,
    key: String,
    if_version: Option<u64>,
    idempotency_key: u128,
    timeout: Duration,
}

impl Store {
    pub(super) fn new(node: Node) -> Store {
        Store { node, database: String::new(), table: String::new() }
    }

    /// Another database.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Store {
        self.database = database.into();
        self
    }

    /// Another table.
    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Store {
        self.table = table.into();
        self
    }

    /// Writes `value` under `key`. Acknowledged once a quorum has it on disk.
    pub fn write(&self, key: impl Into<String>, value: impl Into<Bytes>) -> Write {
        let (store, timeout) = (self.clone(), self.node.timeout());
        let idempotency_key = chance::bits();
        Write { store, key: key.into(), value: value.into(), if_version: None, idempotency_key, timeout }
    }

    /// Reads the record under `key`: the last one acknowledged anywhere, unless [`Read::stale`].
    pub fn read(&self, key: impl Into<String>) -> Read {
        Read { store: self.clone(), key: key.into(), stale: false, timeout: self.node.timeout() }
    }

    /// Lists the records whose keys start with `prefix`.
    pub fn list(&self, prefix: impl Into<String>) -> List {
        let (store, timeout) = (self.clone(), self.node.timeout());
        List { store, prefix: prefix.into(), after: String::new(), limit: 0, stale: false, timeout }
    }

    /// Deletes the record under `key`. Deleting what is not there is not an error.
    pub fn delete(&self, key: impl Into<String>) -> Delete {
        let (store, timeout) = (self.clone(), self.node.timeout());
        let idempotency_key = chance::bits();
        Delete { store, key: key.into(), if_version: None, idempotency_key, timeout }
    }

    fn place(&self) -> Option<proto::Place> {
        let (database, table) = (self.database.clone(), self.table.clone());
        Some(proto::Place { namespace: self.node.namespace().to_string(), database, table })
    }
}

impl From<proto::Record> for Record {
    fn from(record: proto::Record) -> Record {
        let proto::Record { key, value, version } = record;
        Record { key, value, version }
    }
}

impl Record {
    /// The value as JSON.
    ///
    /// # Errors
    /// `Failed` if it is not JSON of a `T`.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Fault> {
        let not = |error| {
            Fault::new(Code::Failed, format!("the value of {:?} is not as expected: {error}", self.key))
        };
        serde_json::from_slice(&self.value).map_err(not)
    }
}

impl Write {
    /// Only if the record has this version; 0 means: only if there is none.
    pub fn if_version(mut self, version: u64) -> Write {
        self.if_version = Some(version);
        self
    }

    /// Repeats the write that was sent with `key`: what it did, it does not do again.
    pub fn idempotency_key(mut self, key: u128) -> Write {
        self.idempotency_key = key;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Write {
        self.timeout = timeout;
        self
    }
}

impl IntoFuture for Write {
    type Output = Result<u64, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the write; gives the record's new version.
    ///
    /// Errors: `Conflict` if the version is another; `Usage` over a limit; `Unavailable` without quorum;
    /// `Unknown` if it may have been done.
    fn into_future(self) -> Self::IntoFuture {
        let message = proto::WriteRequest {
            place: self.store.place(),
            key: self.key,
            value: self.value,
            if_version: self.if_version,
            idempotency_key: key_bytes(self.idempotency_key),
        };
        let (node, stake) = (self.store.node, Stake::Write(self.idempotency_key));
        let mut client = node.records();
        Box::pin(async move {
            let sent = |request| async move { client.write(request).await };
            Ok(node.ask(stake, self.timeout, message, sent).await?.version)
        })
    }
}

impl Read {
    /// Answers from the node's own replica, as it is: faster, also without quorum, and maybe old.
    pub fn stale(mut self) -> Read {
        self.stale = true;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Read {
        self.timeout = timeout;
        self
    }
}

impl IntoFuture for Read {
    type Output = Result<Option<Record>, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the read; gives the record, if there is one. Errors: `Unavailable` without quorum, `Timeout`.
    fn into_future(self) -> Self::IntoFuture {
        let message = proto::ReadRequest { place: self.store.place(), key: self.key, stale: self.stale };
        let node = self.store.node;
        let mut client = node.records();
        Box::pin(async move {
            let sent = |request| async move { client.read(request).await };
            let response = node.ask(Stake::Read, self.timeout, message, sent).await?;
            Ok(response.record.map(Record::from))
        })
    }
}

impl List {
    /// Starts after `key`, the last of the page before.
    pub fn after(mut self, key: impl Into<String>) -> List {
        self.after = key.into();
        self
    }

    /// Gives at most this many; 0 means 1000, which is also the most.
    pub fn limit(mut self, limit: u32) -> List {
        self.limit = limit;
        self
    }

    /// Answers from the node's own replica, as it is: faster, also without quorum, and maybe old.
    pub fn stale(mut self) -> List {
        self.stale = true;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> List {
        self.timeout = timeout;
        self
    }
}

impl IntoFuture for List {
    type Output = Result<Page, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the listing; gives a page. Errors: `Unavailable` without quorum, `Timeout`.
    fn into_future(self) -> Self::IntoFuture {
        let message = proto::ListRequest {
            place: self.store.place(),
            prefix: self.prefix,
            after: self.after,
            limit: self.limit,
            stale: self.stale,
        };
        let node = self.store.node;
        let mut client = node.records();
        Box::pin(async move {
            let sent = |request| async move { client.list(request).await };
            let response = node.ask(Stake::Read, self.timeout, message, sent).await?;
            let records = response.records.into_iter().map(Record::from).collect();
            Ok(Page { records, more: response.more })
        })
    }
}

impl Delete {
    /// Only if the record has this version.
    pub fn if_version(mut self, version: u64) -> Delete {
        self.if_version = Some(version);
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
}

impl IntoFuture for Delete {
    type Output = Result<bool, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the deletion; tells whether there was a record. Errors are those of a write.
    fn into_future(self) -> Self::IntoFuture {
        let message = proto::DeleteRequest {
            place: self.store.place(),
            key: self.key,
            if_version: self.if_version,
            idempotency_key: key_bytes(self.idempotency_key),
        };
        let (node, stake) = (self.store.node, Stake::Write(self.idempotency_key));
        let mut client = node.records();
        Box::pin(async move {
            let sent = |request| async move { client.delete(request).await };
            Ok(node.ask(stake, self.timeout, message, sent).await?.deleted)
        })
    }
}
