//! The Raft log in files of its own: what readers see, and the queue of the writer.
//!
//! ```text
//! raft/<sequence, 16 hex digits>.log      segments, oldest first; the last one is written
//! raft/spare.0                            files of the next segments
//! ```
//!
//! A log that lives on appends, syncs and drops of its beginning has no use for an ordered, compacted store: each
//! record would be written twice, and each sync would also change the length of a file. So a segment is a file of fixed
//! length, filled beforehand, to which batches of operations are added; it begins with all that must be known of the
//! segments before it, and goes, or is written anew, once its last record is purged. The index is in memory, and made
//! from the files at a start.

mod batch;
mod frame;
mod recovery;
mod segment;
mod spare;
#[cfg(test)]
mod tests;
mod view;
mod writer;

use super::{
    data_dir::{DataDir, RAFT},
    durable,
};
use crate::{Completion, LogMark, LogOp, LogRecord, LogStore, StorageError, sealed};
use bytes::Bytes;
use frame::Frame;
use recovery::{Recovered, recover};
use segment::{SEGMENT_HEAD_BYTES, Segment, SegmentHead};
use spare::Spares;
use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Sender},
    },
    thread::{self, JoinHandle},
};
use view::{Place, View};
use writer::LogWriter;

/// The length of a segment: a second of writing at full speed on two cores. Longer ones make a start longer, which
/// reads all of them, and idle nodes larger; shorter ones rotate, at two directory syncs each, more often.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// The length of a log's first segment. A node with little to do stays as small as this, and its first start does not
/// wait until 16 MiB are on the disk; one with much to do has moved on to a longer one within a second.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;
/// What may wait for the writer. openraft bounds what is under way far below this; a queue this long means that the
/// disk has stopped.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// What an operation costs the queue beyond its bodies.
const OP_BYTES: usize = 64;
/// What one read of a file fetches at most, unless one record is longer.
const RUN_BYTES_MAX: u64 = 256 << 10;

/// [`LogStore`] on segment files.
pub(super) struct SegmentLog {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    queue: Option<Sender<Waiting>>,
    /// The bytes that are under way. None are when this is 0, since an operation has some.
    waiting_bytes: Arc<AtomicUsize>,
    writer: Arc<Mutex<LogWriter>>,
    segment_bytes: u64,
    /// The thread of the writer.
    thread: Option<JoinHandle<()>>,
}

/// An operation on its way.
struct Waiting {
    /// What to do, or why nothing is to be done: refusals keep their turn too.
    op: Result<LogOp, StorageError>,
    bytes: usize,
    done: Completion,
}

/// What the readers and the writer share.
struct Shared {
    directory: PathBuf,
    view: RwLock<View>,
    /// Keeps the lock until the writer has ended.
    _data_dir: Arc<DataDir>,
}

impl SegmentLog {
    /// Opens the log in `data_dir`, or begins one in a directory that no start has come through yet.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if files are missing or not what was written.
    pub fn open(data_dir: &Arc<DataDir>, segment_bytes: u64) -> Result<Self, StorageError> {
        let directory = data_dir.path().join(RAFT);
        let gone =
            || StorageError::corrupt(format!("the log in {}", directory.display()), "its files are gone");
        if data_dir.fresh() {
            durable::create_directory(&directory).map_err(StorageError::from_io)?;
        } else if !directory.is_dir() {
            return Err(gone());
        }
        let recovered = match recover(&directory)? {
            Some(recovered) => recovered,
            None if data_dir.fresh() => begin(&directory, segment_bytes)?,
            None => return Err(gone()),
        };
        let spares = Spares::start(&directory, segment_bytes, data_dir)?;
        let shared = Arc::new(Shared { directory, view: RwLock::default(), _data_dir: data_dir.clone() });
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let writer = LogWriter::new(shared.clone(), waiting_bytes.clone(), spares, segment_bytes, recovered);
        let writer = Arc::new(Mutex::new(writer));
        let (queue, waiting) = mpsc::channel();
        let (thread, at_work) = (thread::Builder::new().name("log-writer".to_owned()), writer.clone());
        let thread = thread.spawn(move || LogWriter::run(&at_work, &waiting))?;
        let (queue, thread) = (Some(queue), Some(thread));
        Ok(SegmentLog { shared, queue, waiting_bytes, writer, segment_bytes, thread })
    }
}

/// The first segment of a new log.
fn begin(directory: &Path, segment_bytes: u64) -> Result<Recovered, StorageError> {
    let room = segment_bytes.min(FIRST_SEGMENT_BYTES);
    let segment = Segment::create(directory, 1, room)?;
    let head = SegmentHead { sequence: 1, salt: segment::salt()?, first_batch: 1 };
    let mut view = View::default();
    let mut frame = Frame::default();
    frame.begin(SEGMENT_HEAD_BYTES);
    view.put_checkpoint(frame.body());
    let bytes = frame.close(&head.encode(), head.salt, head.first_batch);
    segment.write(0, bytes)?;
    view.segments.push_back(Arc::new(segment));
    Ok(Recovered { view, head, position: bytes.len() as u64, room, next_batch: 2 })
}

impl Shared {
    fn directory(&self) -> &Path {
        &self.directory
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn view_mut(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records that lie in one piece of one file.
struct Run {
    segment: Arc<Segment>,
    first: u64,
    places: Vec<Place>,
}

impl View {
    /// The records in `range`, as many as fit `bytes_max` but at least one if there is one, as runs.
    fn runs(&self, range: &Range<u64>, bytes_max: usize) -> Vec<Run> {
        let (mut runs, mut bytes) = (Vec::<Run>::new(), 0);
        for index in self.extent.meet(range) {
            let place = self.places[(index - self.extent.first) as usize];
            let Range { start, end } = place.range();
            bytes += (end - start) as usize;
            if bytes > bytes_max && !runs.is_empty() {
                break;
            }
            let fits = |run: &&mut Run| {
                let begins = run.places[0].range().start;
                run.segment.sequence == place.segment() && end - begins <= RUN_BYTES_MAX
            };
            match runs.last_mut().filter(fits) {
                Some(run) => run.places.push(place),
                None => {
                    let segment = self.segment(place.segment());
                    let segment = segment.expect("a record's segment is in the view").clone();
                    runs.push(Run { segment, first: index, places: vec![place] });
                }
            }
        }
        runs
    }
}

impl Run {
    fn read(&self, records: &mut Vec<LogRecord>) -> Result<(), StorageError> {
        let begins = self.places[0].range().start;
        let ends = self.places[self.places.len() - 1].range().end;
        let bytes = self.segment.read(begins, (ends - begins) as usize)?;
        for (index, place) in (self.first..).zip(&self.places) {
            let Range { start, end } = place.range();
            let sealed = &bytes[(start - begins) as usize..(end - begins) as usize];
            records.push(sealed::unseal_record(index, sealed).map_err(|error| match error {
                StorageError::Corrupt { what, detail } => {
                    let file = self.segment.path.display();
                    StorageError::corrupt(format!("{what}, in {file} at byte {start}"), detail)
                }
                other => other,
            })?);
        }
        Ok(())
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

impl LogStore for SegmentLog {
    fn submit(&self, op: LogOp, done: Completion) {
        let bytes = bytes_of(&op);
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
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

    fn submit_alone(&self, op: LogOp, done: Completion) {
        let bytes = bytes_of(&op);
        // Whoever finds nothing under way has claimed the turn with that: all later ones queue behind it.
        let alone =
            self.waiting_bytes.compare_exchange(0, bytes, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if !alone {
            return self.submit(op, done);
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_quick() {
            return writer.commit(&mut vec![Waiting { op: Ok(op), bytes, done }]);
        }
        drop(writer);
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.submit(op, done);
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, StorageError> {
        // The files that the runs hold on to are not written again before they let go.
        let runs = self.shared.view().runs(&range, bytes_max);
        let mut records = Vec::new();
        for run in runs {
            run.read(&mut records)?;
        }
        Ok(records)
    }

    fn range(&self) -> Result<Range<u64>, StorageError> {
        Ok(self.shared.view().extent.range())
    }

    fn tail(&self, bytes: u64) -> Result<u64, StorageError> {
        Ok(self.shared.view().tail(bytes, self.segment_bytes))
    }

    fn mark(&self, mark: LogMark) -> Result<Option<Bytes>, StorageError> {
        Ok(self.shared.view().marks.get(&mark).cloned())
    }
}

impl Drop for SegmentLog {
    /// Waits until all that was submitted is written and synced.
    fn drop(&mut self) {
        self.queue = None;
        let Some(thread) = self.thread.take() else { return };
        // A completion may hold the last handle: then this is the writer's own thread, which ends by itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the log's writer panicked");
        }
    }
}
