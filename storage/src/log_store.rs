//! The Raft log: records by index, and a few marks beside them.

use crate::StorageError;
use bytes::Bytes;
use std::ops::Range;

/// One record of the log. `term` and `leader` say which leader of which term wrote it; `kind` and `body` belong to
/// whoever writes the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its position.
    pub index: u64,
    /// The term it was written in.
    pub term: u64,
    /// The leader that wrote it.
    pub leader: u64,
    /// What the body is.
    pub kind: u8,
    /// The body.
    pub body: Bytes,
}

/// A value kept beside the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogMark {
    /// The last vote. Durable before its completion is called.
    Vote,
    /// The id of the last record known to be committed. May lag.
    Committed,
    /// The id of the last record purged. Set by [`LogOp::Purge`] only.
    Purged,
}

/// One change of the log.
#[derive(Clone, Debug)]
pub enum LogOp {
    /// Adds records with rising indices without a gap, right behind the last one (behind the purged ones when the log
    /// is empty).
    Append(Vec<LogRecord>),
    /// Removes all records from this index on.
    TruncateFrom(u64),
    /// Removes all records up to and including `through` and keeps `mark` as [`LogMark::Purged`].
    Purge {
        /// The last index to go. May lie beyond the last record, when a snapshot took the place of the whole log.
        through: u64,
        /// The id of that record, as the writer encodes it.
        mark: Bytes,
    },
    /// Replaces a mark.
    Mark(LogMark, Bytes),
}

/// Called once an operation is durable, or has failed.
pub type Completion = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// The Raft log on its medium.
///
/// Operations take effect in the order of submission, and their completions are called in that order. Operations that
/// wait together are made durable by one sync. After a power cut the log holds a prefix of the operations submitted
/// that includes every one whose completion was called with success.
///
/// An operation that does not fit the log (an append that leaves a gap, a purge of what is purged already) changes
/// nothing: the append is refused, the purge and a truncation behind the end succeed. The store goes on.
///
/// A failed write or sync ends the store: the page cache may have dropped what was to be written ("fsyncgate"), so
/// every later operation fails too, and only a new start, which reads what really is there, goes on.
pub trait LogStore: Send + Sync + 'static {
    /// Queues `op` and returns at once. `done` is called from the writer's thread, and must not block it. If the
    /// writer is far too slow and its queue is full, the operation fails, in its turn, and nothing of it is done.
    fn submit(&self, op: LogOp, done: Completion);

    /// The same, for a caller that could do nothing better than wait. If nothing else is under way and the disk has
    /// been quick, the store may do it at once, and call `done`, on the caller's own thread: handing it to the writer
    /// and the news back takes as long as such a disk.
    fn submit_alone(&self, op: LogOp, done: Completion) {
        self.submit(op, done);
    }

    /// The durable records in `range`, in order, as many as fit `bytes_max` but at least one if there is one.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if a record is not what was written, or one between the first and the last is missing.
    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, StorageError>;

    /// The range of indices of the durable records: from the first up to, but not including, one past the last. Empty
    /// at `purged + 1` (0 in a new log) when there is none.
    fn range(&self) -> Result<Range<u64>, StorageError>;

    /// From which index on the durable records take no more than the last `bytes` of the log on its medium: the first
    /// if all do, and one past the last if not even that one does. What does not fit is old enough to be given up.
    ///
    /// # Errors
    /// If the medium can't be read.
    fn tail(&self, bytes: u64) -> Result<u64, StorageError>;

    /// A mark, if it was ever set.
    fn mark(&self, mark: LogMark) -> Result<Option<Bytes>, StorageError>;
}
