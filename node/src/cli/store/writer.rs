//! Many changes of a database, written as they come: as many at once as an entry of the log takes.

use super::{database::Placed, item::left, output::Output};
use micro_sdk::{
    client::{BatchError, Op, Record, Store, TRANSACTION_OPS_MAX},
    wire::{Code, Fault},
};

/// The bytes that are collected before they are sent: an entry or two. What is replaced and deleted counts too, since
/// an entry moves it into the history, and moves no more than some of the largest records.
const CHUNK_BYTES: usize = 2 << 20;
/// How many changes there are between two words of progress.
const PROGRESS_EVERY: u64 = 10_000;

/// A change of one record.
pub(super) enum Change {
    /// It is written, and replaces one of so many bytes.
    Put { placed: Placed, replaced: usize },
    /// It is deleted.
    Delete(Placed),
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Change::Put { placed, replaced } => size(&placed.record) + replaced,
            Change::Delete(placed) => size(&placed.record),
        }
    }

    /// As part of a batch; none if the record has expired meanwhile.
    fn op(self, database: &Store) -> Option<Op> {
        match self {
            Change::Put { placed: Placed { table, record }, .. } => {
                let Record { key, value, expires, metadata, .. } = record;
                let mut put = database.clone().table(table).put(key, value);
                if let Some(expires) = expires {
                    let left = left(expires);
                    if left.is_zero() {
                        return None;
                    }
                    put = put.ttl(left);
                }
                Some(metadata.into_iter().fold(put, |put, (name, text)| put.metadata(name, text)).into())
            }
            Change::Delete(Placed { table, record }) => {
                Some(database.clone().table(table).delete(record.key).into())
            }
        }
    }
}

/// The bytes of a record, roughly.
pub(super) fn size(record: &Record) -> usize {
    let metadata = record.metadata.iter().map(|(name, text)| name.len() + text.len());
    record.key.len() + record.value.len() + metadata.sum::<usize>()
}

/// How many changes to send at once after an entry of so many was refused: what it would replace may be too much for
/// the history of one entry, and how much that is, only the store knows. None if fewer are of no help.
fn fewer(failed: usize, fault: &Fault) -> Option<usize> {
    (fault.code == Code::Usage && failed > 1).then_some(failed / 2)
}

/// Changes that could not be written, by where the first and the last of them come from. All before them are done.
#[derive(Debug)]
pub(super) struct Unwritten<O> {
    pub(super) first: O,
    pub(super) last: O,
    pub(super) fault: Fault,
}

/// Writes changes; each is told along with where it comes from.
pub(super) struct Writer<'a, O> {
    database: Store,
    output: &'a Output,
    pending: Vec<(O, Change)>,
    /// The bytes of what is pending.
    bytes: usize,
    /// How many records were written.
    pub(super) written: u64,
    /// How many were deleted.
    pub(super) deleted: u64,
    /// How many were not written because they had expired.
    pub(super) expired: u64,
}

impl<'a, O: Clone> Writer<'a, O> {
    pub(super) fn new(database: Store, output: &'a Output) -> Writer<'a, O> {
        Writer { database, output, pending: Vec::new(), bytes: 0, written: 0, deleted: 0, expired: 0 }
    }

    /// Takes one more change, and sends what there is once it is enough.
    ///
    /// # Errors
    /// Those of a write.
    pub(super) async fn push(&mut self, origin: O, change: Change) -> Result<(), Unwritten<O>> {
        self.bytes += change.bytes();
        self.pending.push((origin, change));
        if self.pending.len() < TRANSACTION_OPS_MAX && self.bytes < CHUNK_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    /// Whether all that it has taken is written.
    pub(super) fn is_flushed(&self) -> bool {
        self.pending.is_empty()
    }

    /// Sends what there is.
    ///
    /// # Errors
    /// Those of a write.
    pub(super) async fn flush(&mut self) -> Result<(), Unwritten<O>> {
        self.bytes = 0;
        let mut waiting = Vec::new();
        for (origin, change) in self.pending.drain(..) {
            let deletes = matches!(change, Change::Delete(_));
            match change.op(&self.database) {
                Some(op) => waiting.push((origin, deletes, op)),
                None => self.expired += 1,
            }
        }
        let mut at_once = waiting.len();
        while !waiting.is_empty() {
            let mut batch = self.database.batch();
            waiting.iter().take(at_once).for_each(|(.., op)| batch.push(op.clone()));
            let sent = batch.len();
            let outcome = batch.await;
            let done = outcome.as_ref().map_or_else(|error| error.done.changes, |_| sent);
            self.count(waiting.drain(..done).filter(|(_, deletes, _)| *deletes).count(), done);
            let Err(BatchError { failed, fault, .. }) = outcome else { continue };
            let Some(fewer) = fewer(failed, &fault) else {
                let origin = |at: usize| waiting[at].0.clone();
                return Err(Unwritten { first: origin(0), last: origin(failed - 1), fault });
            };
            at_once = fewer;
        }
        Ok(())
    }

    /// Takes note of changes that are done, of which so many delete.
    fn count(&mut self, deleted: usize, done: usize) {
        let before = self.written + self.deleted;
        self.deleted += deleted as u64;
        self.written += (done - deleted) as u64;
        let after = self.written + self.deleted;
        if before / PROGRESS_EVERY != after / PROGRESS_EVERY {
            self.output.remark(&format!("{after} records so far"));
        }
    }
}
