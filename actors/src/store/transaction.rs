//! Transactions as they are asked for, and how they become what the machine carries out.

use crate::store::{
    Comparand, Record, RecordRange, Relation, TRANSACTION_OPS_MAX, TablePath, WriteRequest,
    command::{Branches, Compare, Done, Op, Put},
    record::{check_key, check_write},
    row::Row,
    view::garbled,
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use micro_sdk::wire::{Code, Fault};

/// Endpoint `transact`: if all comparisons hold, one list of operations is done, else the other; all of it or nothing,
/// as one revision. A list sees what it has done itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TransactRequest {
    /// What has to hold.
    pub compares: Vec<RecordCompare>,
    /// What to do then.
    pub then: Vec<RecordOp>,
    /// What to do otherwise.
    pub otherwise: Vec<RecordOp>,
}

/// A comparison with one record.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecordCompare {
    /// The table.
    pub table: TablePath,
    /// The key.
    pub key: String,
    /// How the record's side has to stand to the given one.
    pub relation: Relation,
    /// The given side.
    pub with: Comparand,
}

impl RecordCompare {
    /// The record has this version; 0 for none.
    pub fn version(table: TablePath, key: impl Into<String>, version: u64) -> Self {
        let with = Comparand::Version(version);
        RecordCompare { table, key: key.into(), relation: Relation::Equal, with }
    }

    /// There is such a record, or there is none.
    pub fn exists(table: TablePath, key: impl Into<String>, exists: bool) -> Self {
        let with = Comparand::Exists(exists);
        RecordCompare { table, key: key.into(), relation: Relation::Equal, with }
    }

    /// A fence: the lock in this record is still the one whose holder was given `token`, the revision that made it. One
    /// who lost the lock and does not know it yet changes nothing, since whoever has it now made it anew.
    pub fn held(table: TablePath, key: impl Into<String>, token: u64) -> Self {
        let with = Comparand::Created(token);
        RecordCompare { table, key: key.into(), relation: Relation::Equal, with }
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecordOp {
    /// Sets a record. Conditions belong into the comparisons.
    Write(WriteRequest),
    /// Removes a record.
    Delete {
        /// The table.
        table: TablePath,
        /// The key.
        key: String,
    },
    /// Removes the first records of a range.
    DeleteRange {
        /// Which records.
        range: RecordRange,
        /// At most this many; 0 for 1024, which is also the most.
        limit: u32,
    },
    /// Reads a record.
    Read {
        /// The table.
        table: TablePath,
        /// The key.
        key: String,
    },
    /// Reads the first records of a range.
    List {
        /// Which records.
        range: RecordRange,
        /// At most this many; 0 for 1024, which is also the most.
        limit: u32,
    },
}

/// The answer of `transact`.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TransactReply {
    /// Its revision, and so the version of what it wrote.
    pub revision: u64,
    /// Whether the comparisons held.
    pub held: bool,
    /// What each operation of the list that was done answers.
    pub results: Vec<RecordResult>,
}

/// What one operation answers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RecordResult {
    /// It was written.
    Written,
    /// What was removed.
    Deleted {
        /// How many.
        count: u32,
        /// Whether there are more in the range.
        more: bool,
    },
    /// The record, if there is one.
    Read(Option<Record>),
    /// The records.
    Listed {
        /// By key.
        records: Vec<Record>,
        /// Whether there are more in the range.
        more: bool,
    },
}

impl TransactRequest {
    /// Refuses more comparisons and operations than `most`.
    ///
    /// # Errors
    /// [`Code::Usage`] if there are more.
    pub(crate) fn check_count(&self, most: usize) -> Result<(), Fault> {
        let count = self.compares.len() + self.then.len() + self.otherwise.len();
        if count <= most {
            return Ok(());
        }
        let message = format!("{count} comparisons and operations are more than the limit of {most}");
        let fault = Fault::new(Code::Usage, message).help("split it over several transactions");
        Err(match most < TRANSACTION_OPS_MAX {
            true => fault.help(format!(
                "or have the node take more: micro-node start --transaction-operations, up to {TRANSACTION_OPS_MAX}"
            )),
            false => fault,
        })
    }

    /// What the machine carries out.
    ///
    /// # Errors
    /// [`Code::Usage`] beyond the limits.
    pub(crate) fn branches(&self) -> Result<Branches, Fault> {
        let ops = |ops: &[RecordOp]| ops.iter().map(RecordOp::op).collect::<Result<_, _>>();
        Ok(Branches {
            compares: self.compares.iter().map(RecordCompare::compare).collect::<Result<_, _>>()?,
            then: ops(&self.then)?,
            otherwise: ops(&self.otherwise)?,
        })
    }

    /// What is answered for what was `done`.
    pub(crate) fn reply(&self, revision: u64, held: bool, done: Vec<Done>) -> Result<TransactReply, Fault> {
        let ops = if held { &self.then } else { &self.otherwise };
        if ops.len() != done.len() {
            let message = "the outcome is that of another transaction with the same idempotency key";
            return Err(Fault::new(Code::Usage, message).help("use each idempotency key for one request"));
        }
        let results = ops.iter().zip(done).map(|(op, done)| op.result(done));
        Ok(TransactReply { revision, held, results: results.collect::<Result<_, _>>()? })
    }
}

impl RecordCompare {
    fn compare(&self) -> Result<Compare, Fault> {
        check_key(&self.key)?;
        Ok(Compare { key: self.table.state_key(&self.key), relation: self.relation, with: self.with.clone() })
    }
}

/// The record of a write as the machine takes it.
pub(crate) fn put(write: &WriteRequest) -> Result<Put, Fault> {
    check_write(write)?;
    Ok(Put {
        key: write.table.state_key(&write.key),
        value: write.value.clone(),
        ttl_ms: write.ttl_ms,
        lease: write.lease,
        metadata: write.metadata.clone(),
    })
}

impl RecordOp {
    fn op(&self) -> Result<Op, Fault> {
        Ok(match self {
            RecordOp::Write(write) => {
                if write.if_version.is_some() {
                    let message =
                        format!("the write of {} has a condition of its own in a transaction", write.key);
                    return Err(Fault::new(Code::Usage, message).help("make it one of the comparisons"));
                }
                Op::Put(put(write)?)
            }
            RecordOp::Delete { table, key } => {
                check_key(key)?;
                Op::Delete(table.state_key(key))
            }
            RecordOp::DeleteRange { range, limit } => {
                let keys = range.state_range();
                Op::DeleteRange { from: keys.start.to_vec(), to: keys.end.to_vec(), limit: *limit }
            }
            RecordOp::Read { table, key } => {
                check_key(key)?;
                Op::Get(table.state_key(key))
            }
            RecordOp::List { range, limit } => {
                let keys = range.state_range();
                Op::Range { from: keys.start.to_vec(), to: keys.end.to_vec(), limit: *limit }
            }
        })
    }

    fn result(&self, done: Done) -> Result<RecordResult, Fault> {
        let row = |row: Bytes| Row::parse(row).ok_or_else(|| garbled("a record"));
        Ok(match (self, done) {
            (RecordOp::Write(_), Done::Put) => RecordResult::Written,
            (RecordOp::Delete { .. } | RecordOp::DeleteRange { .. }, Done::Deleted { count, more }) => {
                RecordResult::Deleted { count, more }
            }
            (RecordOp::Read { key, .. }, Done::Got(got)) => {
                let record = got.map(|got| Record::of(key.clone(), row(got.0)?)).transpose()?;
                RecordResult::Read(record)
            }
            (RecordOp::List { range, .. }, Done::Range { rows, more }) => {
                let records = rows.into_iter().map(|(key, bytes)| range.table.record(&key, row(bytes.0)?));
                RecordResult::Listed { records: records.collect::<Result<_, _>>()?, more }
            }
            _ => {
                let message = "the outcome is that of another transaction with the same idempotency key";
                return Err(Fault::new(Code::Usage, message).help("use each idempotency key for one request"));
            }
        })
    }
}
