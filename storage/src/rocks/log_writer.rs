//! The one thread that writes the log: drain the queue, one batch, one sync, completions in order.

use super::{log::Shared, options};
use crate::{Completion, LogMark, LogOp, StorageError, log_extent::LogExtent, sealed};
use bytes::Bytes;
use rocksdb::{WriteBatch, WriteOptions};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::Receiver,
    },
};

/// The most that one sync waits for: what a disk of 100 MB/s writes in 40 ms. The first operation goes in whatever its
/// size.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// The most operations of one group. More than openraft keeps under way.
const GROUP_OPS_MAX: usize = 4096;
/// Removals up to this many are written one by one: a range costs every later read a look.
const REMOVALS_MAX: u64 = 128;

/// An operation on its way.
pub(super) struct Waiting {
    /// What to do, or why nothing is to be done: refusals keep their turn too.
    pub op: Result<LogOp, StorageError>,
    pub bytes: usize,
    pub done: Completion,
}

pub(super) struct LogWriter {
    pub shared: Arc<Shared>,
    /// The bytes in the queue.
    pub waiting_bytes: Arc<AtomicUsize>,
    /// Why nothing is written any more.
    pub dead: Option<StorageError>,
    /// The stored form of the record at hand.
    pub scratch: Vec<u8>,
}

/// What a group does to the log.
struct Group {
    batch: WriteBatch,
    /// The log after the group.
    extent: LogExtent,
    /// The lowest end on the way there: below it, the group touches nothing but what it purges.
    end_min: u64,
    marks: BTreeMap<LogMark, Bytes>,
    /// Up to where something was purged, exclusive.
    purged: Option<u64>,
}

impl LogWriter {
    /// Works until the queue's other end is dropped and all of it is written.
    pub fn run(mut self, queue: Receiver<Waiting>) {
        let mut group = Vec::new();
        while let Ok(first) = queue.recv() {
            let mut bytes = first.bytes;
            group.push(first);
            while bytes < GROUP_BYTES_MAX
                && group.len() < GROUP_OPS_MAX
                && let Ok(next) = queue.try_recv()
            {
                bytes += next.bytes;
                group.push(next);
            }
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.commit(&mut group);
        }
        self.close();
    }

    fn commit(&mut self, waiting: &mut Vec<Waiting>) {
        let mut results = Vec::with_capacity(waiting.len());
        if self.dead.is_none() {
            let bytes = waiting.iter().map(|waiting| waiting.bytes).sum();
            let mut group = self.shared.group(bytes);
            for waiting in waiting.iter_mut() {
                let op = std::mem::replace(&mut waiting.op, Err(StorageError::refused(String::new())));
                results.push(op.and_then(|op| self.shared.add(&mut group, op, &mut self.scratch)));
            }
            self.dead = self.shared.write(group).err();
        }
        if let Some(cause) = &self.dead {
            tracing::error!(error = %cause, operations = waiting.len(), "the log takes no more writes");
            results.clear();
            results.extend(waiting.iter().map(|_| Err(cause.again())));
        }
        for (waiting, result) in waiting.drain(..).zip(results) {
            (waiting.done)(result);
        }
    }

    /// Adds one group behind the last, which proves that the last was synced (see `wal`).
    fn close(&mut self) {
        if self.dead.is_none() {
            let mut group = self.shared.group(64);
            group.batch.put_cf(self.shared.marks_family(), Shared::CLOSED_KEY, b"");
            if let Err(error) = self.shared.write(group) {
                tracing::warn!(%error, "the end of the log could not be noted");
            }
        }
    }
}

/// The half that reads and writes the database; only the writer's thread calls it.
impl Shared {
    fn group(&self, bytes: usize) -> Group {
        let extent = self.view().extent;
        Group {
            batch: WriteBatch::with_capacity_bytes(bytes + 64),
            extent,
            end_min: extent.end,
            marks: BTreeMap::new(),
            purged: None,
        }
    }

    fn add(&self, group: &mut Group, op: LogOp, scratch: &mut Vec<u8>) -> Result<(), StorageError> {
        match op {
            LogOp::Append(records) => {
                group.extent.append(&records)?;
                for record in records {
                    sealed::seal_record(&record, scratch);
                    group.batch.put_cf(self.records_family(), Self::record_key(record.index), &scratch);
                }
            }
            LogOp::TruncateFrom(index) => {
                let dropped = group.extent.truncate_from(index);
                group.end_min = group.end_min.min(dropped.start);
                if dropped.end - dropped.start <= REMOVALS_MAX {
                    for index in dropped {
                        group.batch.delete_cf(self.records_family(), Self::record_key(index));
                    }
                } else {
                    let (from, to) = (Self::record_key(dropped.start), Self::record_key(dropped.end));
                    group.batch.delete_range_cf(self.records_family(), from, to);
                }
            }
            LogOp::Purge { through, mark } => {
                if group.extent.purge(through) {
                    let first = group.extent.first;
                    // From 0 on, so that nothing below can ever come back when files are dropped.
                    let (from, to) = (Self::record_key(0), Self::record_key(first));
                    group.batch.delete_range_cf(self.records_family(), from, to);
                    self.put_mark(group, LogMark::Purged, mark, &first.to_le_bytes(), scratch);
                    group.purged = Some(first);
                }
            }
            LogOp::Mark(LogMark::Purged, _) => {
                return Err(StorageError::refused("the mark of what is purged is set by a purge".to_owned()));
            }
            LogOp::Mark(mark, value) => self.put_mark(group, mark, value, &[], scratch),
        }
        Ok(())
    }

    fn put_mark(&self, group: &mut Group, mark: LogMark, value: Bytes, head: &[u8], scratch: &mut Vec<u8>) {
        let key = Self::mark_key(mark);
        sealed::seal(&key, &[head, &value], scratch);
        group.batch.put_cf(self.marks_family(), key, &scratch);
        group.marks.insert(mark, value);
    }

    /// Writes and syncs. Readers see what the group removes as removed before it is written, and what it adds once it
    /// is synced.
    fn write(&self, group: Group) -> Result<(), StorageError> {
        if group.batch.is_empty() {
            return Ok(());
        }
        {
            let mut view = self.view_mut();
            let end = group.end_min.max(group.extent.first);
            view.extent = LogExtent { first: group.extent.first, end };
        }
        let failure = |error| options::failure("the log", error);
        self.db().write_opt(group.batch, &WriteOptions::default()).map_err(failure)?;
        self.db().flush_wal(true).map_err(failure)?;
        {
            let mut view = self.view_mut();
            view.extent = group.extent;
            view.marks.extend(group.marks);
        }
        if let Some(first) = group.purged {
            // Whole files go at once, without waiting for a compaction. Not a promise: failing costs room only.
            let (from, to) = (Self::record_key(0), Self::record_key(first));
            if let Err(error) = self.db().delete_file_in_range_cf(self.records_family(), from, to) {
                tracing::warn!(%error, "purged log files could not be dropped yet");
            }
        }
        Ok(())
    }
}
