//! A transaction: comparisons, and what is done if they hold, and otherwise.

use super::{
    super::{Node, call::key_bytes, node::Stake},
    Delete, DeleteRange, Get, List, Put, Record, Store,
};
use crate::{
    chance,
    proto::{self, compare::With, operation, operation_result},
    wire::{Code, Fault},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;

/// The comparisons and operations of one transaction at most, together.
pub const TRANSACTION_OPS_MAX: usize = 1024;

/// A transaction that is being made up. Await it to send it: if all comparisons hold, the operations of `then` are
/// done, else those of `otherwise`; all of them or none, as one revision. They may be in different tables.
#[derive(Debug)]
#[must_use = "a transaction is sent when it is awaited"]
pub struct Transaction {
    node: Node,
    compares: Vec<Compare>,
    then: Vec<Op>,
    otherwise: Vec<Op>,
    idempotency_key: u128,
    timeout: Duration,
}

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transacted {
    /// Whether the comparisons held.
    pub held: bool,
    /// Its revision, and so the version of what it wrote.
    pub revision: u64,
    /// What each operation of the list that was done answers.
    pub results: Vec<OpResult>,
}

/// What one operation of a transaction answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpResult {
    /// It was written.
    Written,
    /// Records were removed.
    Deleted {
        /// How many.
        count: u32,
        /// Whether there are more in the range.
        more: bool,
    },
    /// The record that was read, if there is one.
    Read(Option<Record>),
    /// The records that were listed.
    Listed {
        /// By key.
        records: Vec<Record>,
        /// Whether there are more in the range.
        more: bool,
    },
}

/// One operation of a transaction: a [`Put`], [`Delete`], [`DeleteRange`], [`Get`] or [`List`] that is not sent by
/// itself. Ranges take 1024 records at most.
#[derive(Clone, Debug)]
pub struct Op(Result<operation::Operation, Fault>);

/// A comparison with one record.
#[derive(Clone, Debug)]
pub struct Compare(proto::Compare);

/// How the record's side of a comparison has to stand to the given one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same.
    Equal,
    /// Not the same.
    NotEqual,
    /// The record's is less.
    Less,
    /// The record's is greater.
    Greater,
}

/// What a record is compared by, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparand {
    /// The revision that wrote it last; 0 if there is no record.
    Version(u64),
    /// The revision that made it; 0 if there is no record.
    Created(u64),
    /// Whether there is a record; false is less than true.
    Exists(bool),
    /// Its value, by bytes. No record is equal to, less or greater than no value.
    Value(Bytes),
    /// Its lease; 0 for none.
    Lease(u64),
}

impl Transaction {
    pub(super) fn new(node: Node) -> Transaction {
        let (timeout, idempotency_key) = (node.timeout(), chance::bits());
        Transaction { node, compares: vec![], then: vec![], otherwise: vec![], idempotency_key, timeout }
    }

    /// One more comparison that has to hold.
    pub fn when(mut self, compare: Compare) -> Transaction {
        self.compares.push(compare);
        self
    }

    /// One more operation if all comparisons hold.
    pub fn then(mut self, op: impl Into<Op>) -> Transaction {
        self.then.push(op.into());
        self
    }

    /// One more operation if not all comparisons hold.
    pub fn otherwise(mut self, op: impl Into<Op>) -> Transaction {
        self.otherwise.push(op.into());
        self
    }

    /// Repeats the transaction that was sent with `key`: what it did, it does not do again.
    pub fn idempotency_key(mut self, key: u128) -> Transaction {
        self.idempotency_key = key;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Transaction {
        self.timeout = timeout;
        self
    }

    async fn send(self) -> Result<Transacted, Fault> {
        let message = proto::TransactRequest {
            compares: self.compares.into_iter().map(|Compare(compare)| compare).collect(),
            then: messages(self.then)?,
            otherwise: messages(self.otherwise)?,
            idempotency_key: key_bytes(self.idempotency_key),
        };
        let mut client = self.node.records();
        let sent = |request| async move { client.transact(request).await };
        let stake = Stake::Write(self.idempotency_key);
        let proto::TransactResponse { revision, held, results } =
            self.node.ask(stake, self.timeout, message, sent).await?;
        let results = results.into_iter().map(OpResult::read).collect::<Result<_, _>>()?;
        Ok(Transacted { held, revision, results })
    }
}

fn messages(ops: Vec<Op>) -> Result<Vec<proto::Operation>, Fault> {
    ops.into_iter().map(|Op(op)| op.map(|op| proto::Operation { operation: Some(op) })).collect()
}

impl IntoFuture for Transaction {
    type Output = Result<Transacted, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends the transaction. That comparisons do not hold is no error. Errors: `Usage` over a limit; `NotFound` if a
    /// lease has ended; `Unavailable` without quorum; `Unknown` if it may have been done.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl Compare {
    /// The record under `key` stands in this relation to what is given.
    pub fn new(table: &Store, key: impl Into<String>, relation: Relation, with: Comparand) -> Compare {
        let relation = match relation {
            Relation::Equal => proto::Relation::Equal,
            Relation::NotEqual => proto::Relation::NotEqual,
            Relation::Less => proto::Relation::Less,
            Relation::Greater => proto::Relation::Greater,
        };
        let with = match with {
            Comparand::Version(version) => With::Version(version),
            Comparand::Created(created) => With::Created(created),
            Comparand::Exists(exists) => With::Exists(exists),
            Comparand::Value(value) => With::Value(value),
            Comparand::Lease(lease) => With::Lease(lease),
        };
        let (place, key) = (table.place(), key.into());
        Compare(proto::Compare { place, key, relation: relation.into(), with: Some(with) })
    }

    /// The record has this version; 0 for none.
    pub fn version(table: &Store, key: impl Into<String>, version: u64) -> Compare {
        Compare::new(table, key, Relation::Equal, Comparand::Version(version))
    }

    /// There is such a record.
    pub fn exists(table: &Store, key: impl Into<String>) -> Compare {
        Compare::new(table, key, Relation::Equal, Comparand::Exists(true))
    }

    /// There is no such record.
    pub fn absent(table: &Store, key: impl Into<String>) -> Compare {
        Compare::new(table, key, Relation::Equal, Comparand::Exists(false))
    }

    /// The record has this value.
    pub fn value(table: &Store, key: impl Into<String>, value: impl Into<Bytes>) -> Compare {
        Compare::new(table, key, Relation::Equal, Comparand::Value(value.into()))
    }

    /// The record is still the one that this revision made.
    pub fn created(table: &Store, key: impl Into<String>, revision: u64) -> Compare {
        Compare::new(table, key, Relation::Equal, Comparand::Created(revision))
    }
}

impl OpResult {
    fn read(result: proto::OperationResult) -> Result<OpResult, Fault> {
        use operation_result::{Deleted, Listed, Read, Result as Answer};
        Ok(match result.result {
            Some(Answer::Written(_)) => OpResult::Written,
            Some(Answer::Deleted(Deleted { count, more })) => OpResult::Deleted { count, more },
            Some(Answer::Read(Read { record })) => OpResult::Read(record.map(Record::from)),
            Some(Answer::Listed(Listed { records, more })) => {
                OpResult::Listed { records: records.into_iter().map(Record::from).collect(), more }
            }
            None => {
                let fault = Fault::new(Code::Internal, "the node answers what this client does not know");
                return Err(fault.help("client and node may be of different versions").effect_unknown());
            }
        })
    }
}

/// What can't be part of a transaction.
fn misplaced(key: &str, what: &str) -> Fault {
    Fault::new(Code::Usage, format!("{key} is used with {what} in a transaction"))
        .help("conditions and fences belong into its comparisons, and it reads what is there")
}

impl Op {
    /// The bytes that it brings along, roughly.
    pub(super) fn bytes(&self) -> usize {
        match &self.0 {
            Ok(operation::Operation::Write(write)) => {
                let metadata = write.metadata.iter().map(|(name, text)| name.len() + text.len());
                write.key.len() + write.value.len() + metadata.sum::<usize>() + 256
            }
            _ => 256,
        }
    }
}

impl From<Put> for Op {
    fn from(put: Put) -> Op {
        Op(match (&put.if_version, &put.fence) {
            (None, None) => put.operation(),
            _ => Err(misplaced(&put.key, "a condition of its own")),
        })
    }
}

impl From<Delete> for Op {
    fn from(delete: Delete) -> Op {
        Op(match (&delete.if_version, &delete.fence) {
            (None, None) => {
                let place = delete.store.place();
                Ok(operation::Operation::Delete(operation::Key { place, key: delete.key }))
            }
            _ => Err(misplaced(&delete.key, "a condition of its own")),
        })
    }
}

impl From<DeleteRange> for Op {
    fn from(delete: DeleteRange) -> Op {
        let range = Some(delete.range.of(&delete.store));
        Op(Ok(operation::Operation::DeleteRange(operation::Records { range, limit: delete.limit })))
    }
}

impl<V> From<Get<V>> for Op {
    fn from(get: Get<V>) -> Op {
        Op(match (get.stale, get.at) {
            (false, None) => {
                Ok(operation::Operation::Read(operation::Key { place: get.store.place(), key: get.key }))
            }
            _ => Err(misplaced(&get.key, "another moment")),
        })
    }
}

impl<V> From<List<V>> for Op {
    /// Prefix, bounds and limit count; the rest has no meaning in a transaction.
    fn from(list: List<V>) -> Op {
        let range = Some(list.range.of(&list.store));
        Op(Ok(operation::Operation::List(operation::Records { range, limit: list.limit })))
    }
}
