//! The figures of the whole store: one row, written along with every batch that changes them.

use crate::store::key;
use bytes::{Buf, BufMut, Bytes};
use micro_consensus::Transaction;
use micro_storage::{Family, StateView, StorageError};

/// How many revisions are kept unless told otherwise. A watcher that was away, or a reader of the past, has this many
/// entries of time: some seconds at full speed, months at a human pace.
pub(crate) const REVISIONS_KEPT: u64 = 200_000;
/// The bytes of history kept at most unless told otherwise: a state and its copies in snapshots must not grow without
/// bound because values are large.
pub(crate) const HISTORY_BYTES_MAX: u64 = 1 << 30;

/// The layout of the row.
const LAYOUT: u8 = 1;
const NUMBERS: usize = 13;

/// What the machine knows of the store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The last revision that changed a record or answered an idempotency key.
    pub revision: u64,
    /// The time of that revision.
    pub time_ms: u64,
    /// What happened up to this revision can't be looked up any more. Never goes back.
    pub compacted: u64,
    /// The chunks of the history up to here are gone. Never more than `compacted`.
    pub swept: u64,
    /// The chunks that are gone, but were not trimmed yet.
    pub untrimmed_chunks: u64,
    /// Up to here the idempotency keys are forgotten.
    pub forgotten: u64,
    /// The bytes of the history behind `swept`.
    pub history_bytes: u64,
    /// The entries of the chunk that is not complete yet.
    pub chunk_entries: u64,
    /// Its bytes.
    pub chunk_bytes: u64,
    /// The deletions in it.
    pub chunk_deletions: u64,
    /// All that was to end before this moment has ended.
    pub expired_ms: u64,
    /// How many revisions are kept.
    pub revisions_max: u64,
    /// How many bytes of history are kept.
    pub bytes_max: u64,
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger {
            revision: 0,
            time_ms: 0,
            compacted: 0,
            swept: 0,
            untrimmed_chunks: 0,
            forgotten: 0,
            history_bytes: 0,
            chunk_entries: 0,
            chunk_bytes: 0,
            chunk_deletions: 0,
            expired_ms: 0,
            revisions_max: REVISIONS_KEPT,
            bytes_max: HISTORY_BYTES_MAX,
        }
    }
}

impl Ledger {
    /// The ledger as it is after the batches so far.
    pub fn of(state: &mut Transaction<'_>) -> Self {
        let row = state.get(Family::Books, &key::ledger());
        // It is written by nobody else, and a disk that garbles rows is found out by the engine's checksums.
        row.map_or_else(Ledger::default, |row| Ledger::parse(row).expect("the ledger is what was written"))
    }

    /// The ledger at a moment.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn at(view: &dyn StateView) -> Result<Self, StorageError> {
        let Some(row) = view.get(Family::Books, &key::ledger())? else { return Ok(Ledger::default()) };
        Ledger::parse(row).ok_or_else(|| StorageError::Corrupt {
            what: "the ledger of the store".to_owned(),
            detail: "it is cut short, or of a newer build".to_owned(),
        })
    }

    /// Writes it.
    pub fn put(&self, state: &mut Transaction<'_>) {
        state.put(Family::Books, key::ledger(), self.row());
    }

    fn row(&self) -> Bytes {
        let numbers = [
            self.revision,
            self.time_ms,
            self.compacted,
            self.swept,
            self.untrimmed_chunks,
            self.forgotten,
            self.history_bytes,
            self.chunk_entries,
            self.chunk_bytes,
            self.chunk_deletions,
            self.expired_ms,
            self.revisions_max,
            self.bytes_max,
        ];
        let mut row = Vec::with_capacity(1 + NUMBERS * 8);
        row.push(LAYOUT);
        numbers.into_iter().for_each(|number| row.put_u64(number));
        row.into()
    }

    fn parse(mut row: Bytes) -> Option<Self> {
        if row.len() != 1 + NUMBERS * 8 || row.get_u8() != LAYOUT {
            return None;
        }
        Some(Ledger {
            revision: row.get_u64(),
            time_ms: row.get_u64(),
            compacted: row.get_u64(),
            swept: row.get_u64(),
            untrimmed_chunks: row.get_u64(),
            forgotten: row.get_u64(),
            history_bytes: row.get_u64(),
            chunk_entries: row.get_u64(),
            chunk_bytes: row.get_u64(),
            chunk_deletions: row.get_u64(),
            expired_ms: row.get_u64(),
            revisions_max: row.get_u64(),
            bytes_max: row.get_u64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let ledger = Ledger {
            revision: 1,
            time_ms: 2,
            compacted: 3,
            swept: 4,
            untrimmed_chunks: 5,
            forgotten: 6,
            history_bytes: 7,
            chunk_entries: 8,
            chunk_bytes: 9,
            chunk_deletions: 10,
            expired_ms: 11,
            revisions_max: 12,
            bytes_max: 13,
        };
        let mut golden = vec![1];
        (1..=13_u64).for_each(|number| golden.put_u64(number));
        assert_eq!(ledger.row(), golden);
        assert_eq!(Ledger::parse(ledger.row()), Some(ledger));
    }
}
