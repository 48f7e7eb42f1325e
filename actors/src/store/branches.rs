//! Carries out a transaction: compares, then does one branch or the other, all of it or nothing.

use crate::store::{
    Value,
    command::{Branches, Comparand, Compare, Done, Op, Put, Relation, StoreCommand, StoreOutcome},
    edit::{ChangeKind, Edit},
    row::Row,
};
use bytes::Bytes;
use micro_consensus::Transaction;
use micro_storage::Family;
use std::{cmp::Ordering, mem::take, ops::Range};

/// The comparisons and operations of one transaction at most, whatever a node is told: as many as one entry may change.
/// Each is a look at the state, and the next entry waits for all of them.
pub const TRANSACTION_OPS_MAX: usize = CHANGES_MAX;
/// The same of callers, where a node is told nothing: each batch of the SDK has as many.
pub const TRANSACTION_OPS_USUAL: usize = 1024;
/// The records that one operation reads or removes at most.
pub(crate) const OP_RECORDS_MAX: u32 = 1024;
/// The records that one entry changes at most.
pub(crate) const CHANGES_MAX: usize = 4096;
/// The bytes that one entry moves into the history at most, or not much more: they are held in memory, and are one
/// batch of the state.
pub(crate) const MOVED_BYTES_MAX: u64 = 16 << 20;
/// The bytes that a transaction reads at most: its outcome travels as one frame.
pub(crate) const READ_BYTES_MAX: usize = 2 << 20;
/// The same for one with an idempotency key: its outcome is stored for as long as the key is remembered.
pub(crate) const OUTCOME_BYTES_KEPT: usize = 64 << 10;
/// The operations whose records are read at once: many enough that records which lie together are found together, and
/// few enough that the largest records are no more than one entry may move.
const FORESIGHT: usize = 32;
/// What a record costs in an outcome beside key and row.
const RECORD_BYTES: usize = 16;

impl Branches {
    /// Carries it out. Its outcome may have to be `kept`: that of a branch that only reads is read again instead.
    pub fn perform(self, state: &mut Transaction<'_>, edit: Edit, kept: bool) -> (Edit, StoreOutcome) {
        if self.count() > TRANSACTION_OPS_MAX {
            let why = format!("{} operations are more than the limit of {TRANSACTION_OPS_MAX}", self.count());
            return (edit, StoreOutcome::Refused { why });
        }
        let held = self.compares.iter().all(|compare| compare.holds(state));
        self.branch(state, edit, held, kept)
    }

    /// Carries out one of its branches.
    fn branch(self, state: &mut Transaction<'_>, edit: Edit, held: bool, kept: bool) -> (Edit, StoreOutcome) {
        let (revision, time_ms) = (edit.revision, edit.time_ms);
        let ops = if held { self.then } else { self.otherwise };
        let read_max = match kept && ops.iter().any(Op::changes) {
            true => OUTCOME_BYTES_KEPT,
            false => READ_BYTES_MAX,
        };
        let mut branch = Branch { edit, read: 0, read_max };
        let done = state.attempt(|state| {
            let (mut done, mut ops) = (Vec::with_capacity(ops.len()), ops.into_iter());
            while let ahead = ops.as_slice()
                && !ahead.is_empty()
            {
                state.foresee(Family::Store, ahead.iter().take(FORESIGHT).filter_map(Op::key));
                for op in ops.by_ref().take(FORESIGHT) {
                    done.push(branch.step(state, op)?);
                }
            }
            Ok((branch.edit, done))
        });
        match done {
            Ok((edit, done)) => (edit, StoreOutcome::Transacted { revision, held, done }),
            Err(refusal) => (Edit::new(revision, time_ms), refusal),
        }
    }
}

impl Compare {
    fn holds(&self, state: &mut Transaction<'_>) -> bool {
        let row = Edit::get(state, &Bytes::copy_from_slice(&self.key));
        let head = row.as_ref().map(|row| row.head.clone()).unwrap_or_default();
        let found = match &self.with {
            Comparand::Version(version) => head.modified.cmp(version),
            Comparand::Created(created) => head.created.cmp(created),
            Comparand::Exists(exists) => row.is_some().cmp(exists),
            Comparand::Lease(lease) => head.lease.cmp(lease),
            Comparand::Value(value) => match row {
                Some(row) => row.value[..].cmp(value),
                None => return self.relation == Relation::NotEqual,
            },
        };
        match self.relation {
            Relation::Equal => found == Ordering::Equal,
            Relation::NotEqual => found != Ordering::Equal,
            Relation::Less => found == Ordering::Less,
            Relation::Greater => found == Ordering::Greater,
        }
    }
}

/// The branch that is being done.
struct Branch {
    edit: Edit,
    /// The bytes read so far.
    read: usize,
    read_max: usize,
}

/// Which branches of a transaction change nothing, whatever there is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    then: bool,
    otherwise: bool,
}

impl Reads {
    /// Whether the branch only reads that is done if the comparisons are `held`.
    pub fn only(self, held: bool) -> bool {
        if held { self.then } else { self.otherwise }
    }
}

impl StoreCommand {
    /// Which of its branches change nothing; none, if it has no branches.
    pub fn reads(&self) -> Reads {
        let StoreCommand::Transact { transaction, .. } = self else { return Reads::default() };
        let only = |ops: &[Op]| !ops.iter().any(Op::changes);
        Reads { then: only(&transaction.then), otherwise: only(&transaction.otherwise) }
    }

    /// Does a branch again that only reads: what it is answered is what is there now.
    pub fn read_again(self, state: &mut Transaction<'_>, edit: Edit, held: bool) -> StoreOutcome {
        match self {
            StoreCommand::Transact { transaction, .. } => transaction.branch(state, edit, held, false).1,
            _ => refused("only transactions are read again".to_owned()),
        }
    }
}

impl Op {
    /// Whether it may change something.
    fn changes(&self) -> bool {
        match self {
            Op::Put(_) | Op::Delete(_) | Op::DeleteRange { .. } => true,
            Op::Get(_) | Op::Range { .. } => false,
        }
    }

    /// The key of the one record that it is about, if it is about one.
    fn key(&self) -> Option<Bytes> {
        match self {
            Op::Put(put) => Some(Bytes::copy_from_slice(&put.key)),
            Op::Delete(key) | Op::Get(key) => Some(Bytes::copy_from_slice(key)),
            Op::DeleteRange { .. } | Op::Range { .. } => None,
        }
    }
}

fn refused(why: String) -> StoreOutcome {
    StoreOutcome::Refused { why }
}

impl Branch {
    fn step(&mut self, state: &mut Transaction<'_>, op: Op) -> Result<Done, StoreOutcome> {
        let done = match op {
            Op::Put(put) => self.put(state, put)?,
            Op::Delete(key) => {
                let key = Bytes::from(key);
                let before = Edit::get(state, &key);
                let count = u32::from(before.is_some());
                if let Some(before) = before {
                    self.edit.delete(state, key, before, ChangeKind::Delete);
                }
                Done::Deleted { count, more: false }
            }
            Op::DeleteRange { from, to, limit } => self.delete_range(state, from.into()..to.into(), limit),
            Op::Get(key) => {
                let row = Edit::get(state, &key.into());
                self.count_read(row.as_ref().map_or(0, |row| row.bytes.len()))?;
                Done::Got(row.map(|row| Value(row.bytes)))
            }
            Op::Range { from, to, limit } => self.range(state, from.into()..to.into(), limit)?,
        };
        if self.edit.count() > CHANGES_MAX {
            let why = format!("more than {CHANGES_MAX} records are too many for one transaction");
            return Err(refused(why));
        }
        if self.edit.moved_bytes > 2 * MOVED_BYTES_MAX {
            let why =
                format!("records of more than {MOVED_BYTES_MAX} bytes are too many for one transaction");
            return Err(refused(why));
        }
        Ok(done)
    }

    fn put(&mut self, state: &mut Transaction<'_>, mut put: Put) -> Result<Done, StoreOutcome> {
        let key = Bytes::from(take(&mut put.key));
        let before = Edit::get(state, &key);
        match self.edit.put(state, key, &put, before) {
            Ok(()) => Ok(Done::Put),
            Err(lease) => Err(StoreOutcome::NoLease { lease }),
        }
    }

    /// Removes the first records of a range, until one entry has moved enough.
    fn delete_range(&mut self, state: &mut Transaction<'_>, range: Range<Bytes>, limit: u32) -> Done {
        let limit = if limit == 0 { OP_RECORDS_MAX } else { limit.min(OP_RECORDS_MAX) } as usize;
        let left = MOVED_BYTES_MAX.saturating_sub(self.edit.moved_bytes);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let found = state.scan(Family::Store, range, limit + 1, left);
        let full = found.iter().map(|(key, row)| key.len() + row.len()).sum::<usize>() >= left;
        let more = found.len() > limit || full;
        let mut count = 0;
        for (key, row) in found.into_iter().take(limit) {
            let row = Row::parse(row).expect("a record's row is what was written");
            self.edit.delete(state, key, row, ChangeKind::Delete);
            count += 1;
        }
        Done::Deleted { count, more }
    }

    fn range(
        &mut self,
        state: &mut Transaction<'_>,
        range: Range<Bytes>,
        limit: u32,
    ) -> Result<Done, StoreOutcome> {
        let limit = if limit == 0 { OP_RECORDS_MAX } else { limit.min(OP_RECORDS_MAX) } as usize;
        let found = state.scan(Family::Store, range, limit + 1, self.read_max);
        let more = found.len() > limit;
        let mut rows = Vec::new();
        for (key, row) in found.into_iter().take(limit) {
            self.count_read(key.len() + row.len())?;
            rows.push((key.to_vec(), Value(row)));
        }
        Ok(Done::Range { rows, more })
    }

    fn count_read(&mut self, bytes: usize) -> Result<(), StoreOutcome> {
        self.read += bytes + RECORD_BYTES;
        if self.read > self.read_max {
            let why = format!("the transaction reads more than {} bytes", self.read_max);
            return Err(refused(why));
        }
        Ok(())
    }
}
