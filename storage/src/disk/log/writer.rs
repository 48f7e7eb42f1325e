//! What writes the log: drain the queue, one batch, one sync, completions in order. It has a thread of its own; only an
//! operation that nothing else is in front of may be done on its caller's.

use super::{
    Shared, Waiting,
    batch::{self, BATCH_HEAD_BYTES},
    frame::Frame,
    recovery::Recovered,
    segment::{SEGMENT_HEAD_BYTES, Segment, SegmentHead},
    spare::Spares,
    view::Place,
};
use crate::{LogMark, LogOp, LogRecord, StorageError, log_extent::LogExtent};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

/// The most that one sync waits for: what a disk of 100 MB/s writes in 40 ms. The first operation goes in whatever its
/// size.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// The most operations of one group. More than openraft keeps under way.
const GROUP_OPS_MAX: usize = 4096;
/// A disk that takes less for a write with its sync is quick: to wake the writer's thread, and then that of the caller,
/// takes a tenth to a quarter of it, and a thread of callers that is held up this long does not hold up anybody who
/// would notice.
const QUICK: Duration = Duration::from_micros(400);

/// How long the log has nothing to write before the last batch is put beyond doubt (see `recovery`). It costs one write
/// and one sync behind each burst, at a time at which nobody waits for either.
const REST: Duration = Duration::from_secs(1);

pub(super) struct LogWriter {
    shared: Arc<Shared>,
    /// The bytes in the queue.
    waiting_bytes: Arc<AtomicUsize>,
    spares: Spares,
    segment_bytes: u64,
    /// The segment that is written.
    segment: Arc<Segment>,
    head: SegmentHead,
    /// Where the next batch goes in it.
    position: u64,
    /// Up to where it is filled: what would go beyond begins the next one.
    room: u64,
    next_batch: u64,
    /// The number of the next batch when the last one was beyond doubt.
    proven: u64,
    /// How long a write with its sync takes, averaged over about the last eight.
    pace: Duration,
    /// Why nothing is written any more.
    dead: Option<StorageError>,
    /// The batch at hand.
    frame: Frame,
}

/// What a group does to the log.
struct Group {
    /// Whether it begins a segment.
    rotates: bool,
    /// The length of the frame when nothing of the group was in it.
    empty: usize,
    /// The log after the group.
    extent: LogExtent,
    /// The lowest end on the way there: below it, the group touches nothing but what it purges.
    end_min: u64,
    /// The records of the group from `end_min` on, as they lie in the frame.
    added: Vec<Range<usize>>,
    marks: BTreeMap<LogMark, Bytes>,
    purged: bool,
}

impl LogWriter {
    pub fn new(
        shared: Arc<Shared>,
        waiting_bytes: Arc<AtomicUsize>,
        spares: Spares,
        segment_bytes: u64,
        recovered: Recovered,
    ) -> Self {
        let Recovered { view, head, position, room, next_batch } = recovered;
        let segment = view.segments.back().expect("a recovered log has a segment").clone();
        *shared.view_mut() = view;
        if position > room / 2 {
            spares.prepare();
        }
        LogWriter {
            shared,
            waiting_bytes,
            spares,
            segment_bytes,
            segment,
            head,
            position,
            room,
            next_batch,
            proven: next_batch,
            // Not quick until it is known to be.
            pace: QUICK * 8,
            dead: None,
            frame: Frame::default(),
        }
    }

    /// Works until the queue's other end is dropped and all of it is written.
    pub fn run(this: &Mutex<Self>, queue: &Receiver<Waiting>) {
        let lock = || this.lock().unwrap_or_else(PoisonError::into_inner);
        let mut group = Vec::new();
        // What is written on callers' threads does not come by the queue, so that it has to be looked for.
        let mut seen = 0;
        loop {
            let first = match queue.recv_timeout(REST) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    lock().rest(&mut seen);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut bytes = first.bytes;
            group.push(first);
            while bytes < GROUP_BYTES_MAX
                && group.len() < GROUP_OPS_MAX
                && let Ok(next) = queue.try_recv()
            {
                bytes += next.bytes;
                group.push(next);
            }
            lock().commit(&mut group);
        }
        lock().close();
    }

    /// Whether a caller had better wait on its own thread than be told.
    pub fn is_quick(&self) -> bool {
        self.pace < QUICK
    }

    /// Writes a group as one batch, and tells all who wait for it. From then on it is not under way any more.
    pub fn commit(&mut self, waiting: &mut Vec<Waiting>) {
        let bytes: usize = waiting.iter().map(|waiting| waiting.bytes).sum();
        let mut results = Vec::with_capacity(waiting.len());
        if self.dead.is_none() {
            let mut group = self.group(bytes);
            for waiting in waiting.iter_mut() {
                let op = std::mem::replace(&mut waiting.op, Err(StorageError::refused(String::new())));
                results.push(op.and_then(|op| self.add(&mut group, op)));
            }
            if self.frame.len() > group.empty {
                self.dead = self.write(group).err();
            }
        }
        if let Some(cause) = &self.dead {
            tracing::error!(error = %cause, operations = waiting.len(), "the log takes no more writes");
            results.clear();
            results.extend(waiting.iter().map(|_| Err(cause.again())));
        }
        for (waiting, result) in waiting.drain(..).zip(results) {
            (waiting.done)(result);
        }
        // Last, so that what a completion submits goes into the queue and not into this group.
        self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Puts the last batch beyond doubt if nothing was written since the last look, when `seen` was the next one. No
    /// file is begun for it: where this one is full, the next burst begins one, with a batch that is behind the last.
    fn rest(&mut self, seen: &mut u64) {
        let rests = std::mem::replace(seen, self.next_batch) == self.next_batch;
        let fits = self.position + BATCH_HEAD_BYTES as u64 <= self.room;
        if rests && fits && self.dead.is_none() && self.proven != self.next_batch {
            let group = self.group(0);
            self.dead = self.write(group).err();
            (self.proven, *seen) = (self.next_batch, self.next_batch);
        }
    }

    /// Adds an empty batch behind the last, which proves that the last was synced (see `recovery`).
    fn close(&mut self) {
        if self.dead.is_none() {
            let group = self.group(0);
            if let Err(error) = self.write(group) {
                tracing::warn!(%error, "the end of the log could not be noted");
            }
        }
    }

    /// Begins a group whose operations take no more than `bytes`.
    fn group(&mut self, bytes: usize) -> Group {
        let rotates = self.position + (BATCH_HEAD_BYTES + bytes) as u64 > self.room;
        self.frame.begin(if rotates { SEGMENT_HEAD_BYTES } else { 0 });
        let view = self.shared.view();
        if rotates {
            view.put_checkpoint(self.frame.body());
        }
        let extent = view.extent;
        Group {
            rotates,
            empty: self.frame.len(),
            extent,
            end_min: extent.end,
            added: Vec::new(),
            marks: BTreeMap::new(),
            purged: false,
        }
    }

    fn add(&mut self, group: &mut Group, op: LogOp) -> Result<(), StorageError> {
        match op {
            LogOp::Append(records) => return self.append(group, records),
            LogOp::TruncateFrom(index) => {
                let dropped = group.extent.truncate_from(index);
                if !dropped.is_empty() {
                    batch::put_truncate(self.frame.body(), dropped.start);
                    group.added.truncate(dropped.start.saturating_sub(group.end_min) as usize);
                    group.end_min = group.end_min.min(dropped.start);
                }
            }
            LogOp::Purge { through, mark } => {
                if group.extent.purge(through) {
                    batch::put_purge(self.frame.body(), group.extent.first, &mark);
                    group.marks.insert(LogMark::Purged, mark);
                    group.purged = true;
                }
            }
            LogOp::Mark(LogMark::Purged, _) => {
                return Err(StorageError::refused("the mark of what is purged is set by a purge".to_owned()));
            }
            LogOp::Mark(mark, value) => {
                batch::put_mark(self.frame.body(), mark, &value);
                group.marks.insert(mark, value);
            }
        }
        Ok(())
    }

    fn append(&mut self, group: &mut Group, records: Vec<LogRecord>) -> Result<(), StorageError> {
        if group.extent.first > group.end_min && group.extent.first == group.extent.end {
            // A purge moved the empty log ahead: what is added lies behind the gap.
            (group.end_min, group.added) = (group.extent.first, Vec::new());
        }
        group.extent.append(&records)?;
        for record in records {
            group.added.push(batch::put_record(self.frame.body(), &record));
        }
        Ok(())
    }

    /// Writes and syncs. Readers see what the group removes as removed before it is written, and what it adds once it
    /// is synced.
    fn write(&mut self, group: Group) -> Result<(), StorageError> {
        let Group { extent, end_min, added, marks, purged, rotates, .. } = group;
        self.shared.view_mut().shrink(LogExtent { first: extent.first, end: end_min });
        let at = self.write_frame(rotates)?;

        let mut view = self.shared.view_mut();
        if rotates {
            view.segments.push_back(self.segment.clone());
        }
        let segment = self.segment.sequence;
        // What a purge in the same group has overtaken is not added.
        let overtaken = extent.first.saturating_sub(end_min) as usize;
        let added = added.into_iter().skip(overtaken);
        view.places.extend(
            added.map(|sealed| Place::new(segment, at + sealed.start as u64..at + sealed.end as u64)),
        );
        view.extent = extent;
        view.marks.extend(marks);
        let retired = if purged || rotates { view.retired() } else { Vec::new() };
        drop(view);
        for segment in retired {
            self.spares.retire(segment);
        }
        Ok(())
    }

    /// Writes the frame behind the last batch, or to the next segment, and syncs. Returns where it lies in the file.
    fn write_frame(&mut self, rotates: bool) -> Result<u64, StorageError> {
        let mut lead = Vec::new();
        if rotates {
            self.rotate()?;
            lead.extend(self.head.encode());
        }
        let at = self.position;
        let bytes = self.frame.close(&lead, self.head.salt, self.next_batch);
        let begun = Instant::now();
        self.segment.write(at, bytes)?;
        self.pace = (self.pace * 7 + begun.elapsed()) / 8;
        self.position += bytes.len() as u64;
        self.next_batch += 1;
        let half = self.room / 2;
        if at <= half && self.position > half {
            self.spares.prepare();
        }
        Ok(at)
    }

    /// Goes on to the next segment, of which nothing is written yet.
    fn rotate(&mut self) -> Result<(), StorageError> {
        self.head = self.head.next(self.next_batch);
        let sequence = self.head.sequence;
        let segment = match self.spares.take(sequence)? {
            Some(segment) => segment,
            None => Segment::create(self.shared.directory(), sequence, 0)?,
        };
        (self.segment, self.position, self.room) = (Arc::new(segment), 0, self.segment_bytes);
        Ok(())
    }
}
