//! What keeps those from writing who have lost a lock and don't know it yet.

use super::{Compare, OpResult, Store, Transacted, Transaction};
use crate::{
    client::Node,
    wire::{COORDINATION, Code, Fault},
};

/// The table of the locks that are held.
pub(crate) const LOCKS: &str = "locks";
/// The table of those who lead.
pub(crate) const ELECTIONS: &str = "elections";

/// A lock that was given to somebody, or an election that somebody won: its name, and the token, which is the revision
/// that gave it. A write with a fence is done only while that lock is held, or that lead, under that token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    table: &'static str,
    name: String,
    token: u64,
}

impl Fence {
    /// The fence of the lock with this name.
    pub fn new(lock: impl Into<String>, token: u64) -> Fence {
        Fence::of(LOCKS, lock, token)
    }

    /// The fence of the lead in the election with this name.
    pub fn lead(election: impl Into<String>, token: u64) -> Fence {
        Fence::of(ELECTIONS, election, token)
    }

    pub(crate) fn of(table: &'static str, name: impl Into<String>, token: u64) -> Fence {
        Fence { table, name: name.into(), token }
    }

    /// The token: it grows each time that the lock is given to somebody.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// As a comparison of a transaction: that the lock is still held under this token.
    pub fn compare(&self, node: &Node) -> Compare {
        Compare::created(&self.store(node), &self.name, self.token)
    }

    fn store(&self, node: &Node) -> Store {
        node.store().database(COORDINATION).table(self.table)
    }
}

/// A change with a fence, should it be refused.
pub(super) struct Refused<'a> {
    pub fence: &'a Fence,
    pub key: &'a str,
    pub version: Option<u64>,
}

impl Refused<'_> {
    /// `txn` under the conditions of the change, so that its answer tells which of them did not hold.
    pub fn conditional(&self, store: &Store, mut txn: Transaction) -> Transaction {
        txn = txn.when(self.fence.compare(&store.node));
        if let Some(version) = self.version {
            txn = txn.when(Compare::version(store, self.key, version));
        }
        txn.otherwise(self.fence.store(&store.node).get(&self.fence.name)).otherwise(store.get(self.key))
    }

    /// Why it was refused.
    pub fn why(&self, done: Transacted) -> Fault {
        let Refused { fence, key, version } = self;
        let mut found = done.results.into_iter().map(|result| match result {
            OpResult::Read(record) => record,
            _ => None,
        });
        let (lock, record) = (found.next().flatten(), found.next().flatten());
        if lock.is_none_or(|lock| lock.created != fence.token) {
            let Fence { name, token, .. } = fence;
            let message = format!("{name:?} is not held under token {token} any more: nothing was changed");
            return Fault::new(Code::Conflict, message).help("acquire it again, and decide anew");
        }
        let found =
            record.map_or("does not exist".to_owned(), |record| format!("is at version {}", record.version));
        let message = format!("{key} {found}, not at version {}", version.unwrap_or_default());
        Fault::new(Code::Conflict, message).help("read it again and decide anew")
    }
}
