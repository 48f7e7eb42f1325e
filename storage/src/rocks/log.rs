//! The Raft log in RocksDB: what readers see. Writing is `log_writer`.

use super::{
    data_dir::{DataDir, RAFT},
    durable,
    log_writer::{LogWriter, Waiting},
    options::{self, Opening},
    wal,
};
use crate::{Completion, LogMark, LogOp, LogRecord, LogStore, StorageError, log_extent::LogExtent, sealed};
use bytes::Bytes;
use rocksdb::{Cache, ColumnFamily, DB, Direction, IteratorMode, ReadOptions};
use std::{
    collections::BTreeMap,
    ops::Range,
    path::Path,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
};

/// The Raft group that the log belongs to. In every key from the first day on, so that more can share the database.
const GROUP: u16 = 0;
/// Records, and marks.
const RECORDS: &str = "log";
const MARKS: &str = "meta";
/// How much of the log is gathered in memory: two seconds of writing at full speed.
const RECORDS_MEMTABLE_BYTES: usize = 8 << 20;
/// Marks are overwritten in place of one another; few bytes are ever alive.
const MARKS_MEMTABLE_BYTES: usize = 1 << 20;
/// What may wait for the writer. openraft bounds what is under way far below this; a queue this long means that the
/// disk has stopped.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// What an operation costs the queue beyond its bodies.
const OP_BYTES: usize = 64;

/// [`LogStore`] on RocksDB.
pub(super) struct RocksLog {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    queue: Option<Sender<Waiting>>,
    waiting_bytes: Arc<AtomicUsize>,
    writer: Option<JoinHandle<()>>,
}

/// What the readers and the writer share.
pub(super) struct Shared {
    db: DB,
    view: RwLock<View>,
    /// Keeps the lock until the database is closed.
    _directory: Arc<DataDir>,
}

/// What is durable.
#[derive(Default)]
pub(super) struct View {
    pub extent: LogExtent,
    pub marks: BTreeMap<LogMark, Bytes>,
}

impl RocksLog {
    pub fn open(directory: &Arc<DataDir>, cache: &Cache) -> Result<Self, StorageError> {
        let path = directory.path().join(RAFT);
        let db = open_database(&path, directory.fresh(), cache)?;
        let view = RwLock::default();
        let shared = Arc::new(Shared { db, view, _directory: directory.clone() });
        *shared.view_mut() = shared.recover()?;
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let writer = LogWriter {
            shared: shared.clone(),
            waiting_bytes: waiting_bytes.clone(),
            dead: None,
            scratch: Vec::new(),
        };
        let (queue, waiting) = mpsc::channel();
        let thread = thread::Builder::new().name("log-writer".to_owned());
        let writer = thread.spawn(move || writer.run(waiting))?;
        Ok(RocksLog { shared, queue: Some(queue), waiting_bytes, writer: Some(writer) })
    }
}

fn open_database(path: &Path, fresh: bool, cache: &Cache) -> Result<DB, StorageError> {
    let opening = if fresh { Opening::First } else { Opening::Again };
    let what = format!("the log in {}", path.display());
    if fresh {
        durable::create_directory(path).map_err(StorageError::from_io)?;
    } else if !path.is_dir() {
        return Err(StorageError::corrupt(what, "its directory is gone"));
    }
    wal::check(path, true)?;
    let mut options = options::database(opening);
    options.set_manual_wal_flush(true);
    let families = [
        (RECORDS, options::family(cache, RECORDS_MEMTABLE_BYTES)),
        (MARKS, options::family(cache, MARKS_MEMTABLE_BYTES)),
    ];
    DB::open_cf_with_opts(&options, path, families)
        .map_err(|error| options::open_failure(&what, opening, error))
}

impl Shared {
    /// Written when the log is closed. Not a mark: nobody reads it.
    pub const CLOSED_KEY: [u8; 3] = [0, 0, 0xff];

    pub fn db(&self) -> &DB {
        &self.db
    }

    pub fn records_family(&self) -> &ColumnFamily {
        self.db.cf_handle(RECORDS).expect("the database was opened with this family")
    }

    pub fn marks_family(&self) -> &ColumnFamily {
        self.db.cf_handle(MARKS).expect("the database was opened with this family")
    }

    pub fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn record_key(index: u64) -> [u8; 10] {
        let mut key = [0; 10];
        key[..2].copy_from_slice(&GROUP.to_be_bytes());
        key[2..].copy_from_slice(&index.to_be_bytes());
        key
    }

    pub fn mark_key(mark: LogMark) -> [u8; 3] {
        let number = match mark {
            LogMark::Vote => 1,
            LogMark::Committed => 2,
            LogMark::Purged => 3,
        };
        let [high, low] = GROUP.to_be_bytes();
        [high, low, number]
    }

    /// What the database holds.
    fn recover(&self) -> Result<View, StorageError> {
        let mut view = View::default();
        for mark in [LogMark::Vote, LogMark::Committed, LogMark::Purged] {
            let key = Self::mark_key(mark);
            let failure = |error| options::failure("the log's marks", error);
            let Some(bytes) = self.db.get_pinned_cf(self.marks_family(), key).map_err(failure)? else {
                continue;
            };
            let corrupt =
                |detail: String| StorageError::corrupt(format!("the mark {mark:?} of the log"), detail);
            let mut value = sealed::unseal(&key, &bytes).map_err(corrupt)?;
            if mark == LogMark::Purged {
                let (first, rest) =
                    value.split_first_chunk().ok_or_else(|| corrupt("it is cut short".to_owned()))?;
                view.extent.first = u64::from_le_bytes(*first);
                value = rest;
            }
            view.marks.insert(mark, Bytes::copy_from_slice(value));
        }
        let first = view.extent.first;
        view.extent.end = match self.edge(IteratorMode::Start, first)? {
            None => first,
            Some(found) if found != first => {
                return Err(StorageError::corrupt(
                    "the log",
                    format!("it begins at {found}, not at {first}"),
                ));
            }
            Some(_) => self.edge(IteratorMode::End, first)?.map_or(first, |last| last + 1),
        };
        Ok(view)
    }

    /// The first or the last index that is stored, from `first` on.
    fn edge(&self, mode: IteratorMode<'_>, first: u64) -> Result<Option<u64>, StorageError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(Self::record_key(first));
        options.set_iterate_upper_bound((GROUP + 1).to_be_bytes());
        match self.db.iterator_cf_opt(self.records_family(), options, mode).next() {
            None => Ok(None),
            Some(Ok((key, _))) => index_of(&key).map(Some),
            Some(Err(error)) => Err(options::failure("the log", error)),
        }
    }
}

fn index_of(key: &[u8]) -> Result<u64, StorageError> {
    match key.get(2..).and_then(|index| index.try_into().ok()) {
        Some(index) => Ok(u64::from_be_bytes(index)),
        None => Err(StorageError::corrupt("the log", format!("a key has {} bytes", key.len()))),
    }
}

fn bytes_of(op: &LogOp) -> usize {
    OP_BYTES
        + match op {
            LogOp::Append(records) => {
                records.iter().map(|record| record.body.len() + sealed::RECORD_HEAD_BYTES + OP_BYTES).sum()
            }
            LogOp::Purge { mark, .. } | LogOp::Mark(_, mark) => mark.len(),
            LogOp::TruncateFrom(_) => 0,
        }
}

impl LogStore for RocksLog {
    fn submit(&self, op: LogOp, done: Completion) {
        let bytes = bytes_of(&op);
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = if before > WAITING_BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let why = format!("{before} bytes wait for the log's disk already");
            Waiting {
                op: Err(std::io::Error::new(std::io::ErrorKind::WouldBlock, why).into()),
                bytes: 0,
                done,
            }
        } else {
            Waiting { op: Ok(op), bytes, done }
        };
        let queue = self.queue.as_ref().expect("the queue is there until the log is dropped");
        if let Err(mpsc::SendError(waiting)) = queue.send(waiting) {
            (waiting.done)(Err(std::io::Error::other("the log's writer has ended").into()));
        }
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, StorageError> {
        let shared = &self.shared;
        // The iterator's view of the database must be one in which all of the range is still there: it is made while
        // the writer can't change what is durable.
        let view = shared.view();
        let mut expected = view.extent.meet(&range);
        if expected.is_empty() {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(Shared::record_key(expected.end));
        let start = Shared::record_key(expected.start);
        let stored = shared.db.iterator_cf_opt(
            shared.records_family(),
            options,
            IteratorMode::From(&start, Direction::Forward),
        );
        drop(view);
        let missing =
            |index: u64| StorageError::corrupt(format!("record {index} of the log"), "it is missing");
        let (mut records, mut bytes) = (Vec::new(), 0);
        for item in stored {
            let (key, value) = item.map_err(|error| options::failure("the log", error))?;
            let index = expected.next().ok_or_else(|| missing(range.end))?;
            if index_of(&key)? != index {
                return Err(missing(index));
            }
            bytes += value.len();
            if bytes > bytes_max && !records.is_empty() {
                return Ok(records);
            }
            records.push(sealed::unseal_record(index, &value)?);
        }
        match expected.next() {
            Some(index) => Err(missing(index)),
            None => Ok(records),
        }
    }

    fn range(&self) -> Result<Range<u64>, StorageError> {
        Ok(self.shared.view().extent.range())
    }

    fn mark(&self, mark: LogMark) -> Result<Option<Bytes>, StorageError> {
        Ok(self.shared.view().marks.get(&mark).cloned())
    }
}

impl Drop for RocksLog {
    /// Waits until all that was submitted is written and synced.
    fn drop(&mut self) {
        self.queue = None;
        let Some(writer) = self.writer.take() else { return };
        // A completion may hold the last handle: then this is the writer's own thread, which ends by itself.
        if writer.thread().id() != thread::current().id() && writer.join().is_err() {
            tracing::error!("the log's writer panicked");
        }
    }
}
