//! Records in the mesh's consistent store.

mod batch;
mod delete;
mod fence;
mod get;
mod history;
mod lease;
mod list;
mod put;
mod range;
mod record;
mod table;
mod transaction;
mod watch;

pub use batch::{Batch, BatchError, Batched};
pub use delete::{Delete, DeleteRange};
pub use fence::Fence;
pub(super) use fence::{ELECTIONS, LOCKS};
pub use get::{Found, Get};
pub use history::History;
pub use lease::{Lease, LeaseListing};
pub use list::{Counted, List, Order, Page};
pub use put::Put;
pub use record::Record;
pub use table::Table;
pub use transaction::{
    Comparand, Compare, Op, OpResult, Relation, TRANSACTION_OPS_MAX, Transacted, Transaction,
};
pub use watch::{Change, ChangeKind, Revision, Watch, WatchError, WatchRange};

use super::{Node, node::Stake};
use crate::{proto, wire::Fault};
use bytes::Bytes;
use futures::Stream;
use range::Range;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::Instant;

/// One table of one database, with values as bytes; and what belongs to the store as a whole. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    node: Node,
    database: String,
    table: String,
}

/// Milliseconds as they travel. Less than one is one: zero stands for nothing.
fn milliseconds(duration: Duration) -> u64 {
    match duration {
        Duration::ZERO => 0,
        duration => u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1),
    }
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

    /// The same table, with values as JSON of a `T`.
    pub fn typed<T: Serialize + DeserializeOwned>(&self) -> Table<T> {
        Table::new(self.clone())
    }

    /// Writes `value` under `key`. Acknowledged once a quorum has it on disk.
    pub fn put(&self, key: impl Into<String>, value: impl Into<Bytes>) -> Put {
        Put::new(self.clone(), key.into(), Ok(value.into()))
    }

    /// Reads the record under `key`: the last one acknowledged anywhere, unless [`Get::stale`].
    pub fn get(&self, key: impl Into<String>) -> Get {
        Get::new(self.clone(), key.into(), Ok)
    }

    /// Deletes the record under `key`. Deleting what is not there is not an error.
    pub fn delete(&self, key: impl Into<String>) -> Delete {
        Delete::new(self.clone(), key.into())
    }

    /// Deletes the records whose keys start with `prefix`.
    pub fn delete_range(&self, prefix: impl Into<String>) -> DeleteRange {
        DeleteRange::new(self.clone(), prefix.into())
    }

    /// Lists the records whose keys start with `prefix`, a page at a time.
    pub fn list(&self, prefix: impl Into<String>) -> List {
        List::new(self.clone(), prefix.into(), Ok)
    }

    /// All records whose keys start with `prefix`, as of one moment, however many pages that takes.
    pub fn scan(&self, prefix: &str) -> impl Stream<Item = Result<Record, Fault>> + Send + use<> {
        self.list(prefix).scan()
    }

    /// Watches the records whose keys start with `prefix`.
    pub fn watch(&self, prefix: impl Into<String>) -> WatchRange {
        WatchRange::new(self.clone(), Range::prefix(prefix), Ok)
    }

    /// Watches the record under `key`.
    pub fn watch_key(&self, key: impl Into<String>) -> WatchRange {
        WatchRange::new(self.clone(), Range::key(key), Ok)
    }

    /// A transaction, which may reach into other tables, too.
    pub fn txn(&self) -> Transaction {
        Transaction::new(self.node.clone())
    }

    /// Many changes at once.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// The databases of the namespace that hold records, by name.
    ///
    /// # Errors
    /// `Unavailable` without quorum; else as every request.
    pub async fn databases(&self) -> Result<Vec<String>, Fault> {
        self.names(None, None).await
    }

    /// The tables of this database that hold records, by name.
    ///
    /// # Errors
    /// As for [`databases`](Self::databases).
    pub async fn tables(&self) -> Result<Vec<String>, Fault> {
        self.names(Some(self.database.clone()), None).await
    }

    /// The tables of this database that held records at this revision, by name.
    ///
    /// # Errors
    /// `Compacted` if the revision is; else as for [`databases`](Self::databases).
    pub async fn tables_at(&self, revision: u64) -> Result<Vec<String>, Fault> {
        self.names(Some(self.database.clone()), Some(revision)).await
    }

    async fn names(&self, database: Option<String>, at: Option<u64>) -> Result<Vec<String>, Fault> {
        let mut names: Vec<String> = Vec::new();
        loop {
            let message = proto::NamesRequest {
                namespace: self.node.namespace().to_string(),
                database: database.clone(),
                after: names.last().cloned().unwrap_or_default(),
                stale: false,
                at,
            };
            let mut client = self.node.records();
            let sent = |request| async move { client.names(request).await };
            let page = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
            names.extend(page.names);
            if !page.more {
                return Ok(names);
            }
        }
    }

    /// Makes a lease and keeps it alive for as long as the value lives.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn lease(&self, ttl: Duration) -> Result<Lease, Fault> {
        let begun = Instant::now();
        let (lease, ttl) = lease::grant(&self.node, ttl).await?;
        Ok(Lease::keep(self.node.clone(), lease, ttl, begun))
    }

    /// Makes a lease that ends after `ttl` unless somebody keeps it alive. Gives its id.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn grant(&self, ttl: Duration) -> Result<u64, Fault> {
        Ok(lease::grant(&self.node, ttl).await?.0)
    }

    /// Keeps a lease alive that was made elsewhere, for as long as the value lives.
    ///
    /// # Errors
    /// `NotFound` if it has ended; else those of a write.
    pub async fn keep_alive(&self, lease: u64) -> Result<Lease, Fault> {
        let begun = Instant::now();
        let ttl = lease::keep_alive_once(&self.node, lease).await?;
        Ok(Lease::keep(self.node.clone(), lease, ttl, begun))
    }

    /// Ends a lease, with its records. Tells how many these were.
    ///
    /// # Errors
    /// `NotFound` if it has ended; else those of a write.
    pub async fn revoke(&self, lease: u64) -> Result<u32, Fault> {
        lease::revoke(&self.node, lease).await
    }

    /// The leases that live, by age.
    ///
    /// # Errors
    /// `Unavailable` without quorum; else as every request.
    pub async fn leases(&self) -> Result<Vec<LeaseListing>, Fault> {
        let mut leases: Vec<LeaseListing> = Vec::new();
        loop {
            let after = leases.last().map_or(0, |last| last.lease);
            let message = proto::ListLeasesRequest { after, stale: false };
            let mut client = self.node.records();
            let sent = |request| async move { client.list_leases(request).await };
            let page = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
            leases.extend(page.leases.into_iter().map(LeaseListing::from));
            if !page.more {
                return Ok(leases);
            }
        }
    }

    /// How much history there is.
    ///
    /// # Errors
    /// `Unavailable` without quorum; else as every request.
    pub async fn history(&self) -> Result<History, Fault> {
        history::read(&self.node).await
    }

    /// Gives up the history up to `revision`. Tells after which revision it begins now.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn compact(&self, revision: u64) -> Result<u64, Fault> {
        history::compact(&self.node, revision).await
    }

    /// Sets how many revisions, and how many bytes of them, are kept.
    ///
    /// # Errors
    /// Those of a write.
    pub async fn retain(&self, revisions: u64, bytes: u64) -> Result<(), Fault> {
        history::retain(&self.node, revisions, bytes).await
    }

    fn place(&self) -> Option<proto::Place> {
        let (database, table) = (self.database.clone(), self.table.clone());
        Some(proto::Place { namespace: self.node.namespace().to_string(), database, table })
    }
}
