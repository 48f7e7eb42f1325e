//! The one thread that writes the log: drain the queue, one batch, one sync, completions in order.

use super::{
    Shared, Waiting,
    batch::{self, BATCH_HEAD_BYTES, BatchHead},
    recovery::Recovered,
    segment::{self, SEGMENT_HEAD_BYTES, Segment, SegmentHead},
    spare::Spares,
    view::Place,
};
use crate::{LogMark, LogOp, LogRecord, StorageError, log_extent::LogExtent, sealed};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    ops::Range,
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
    next_batch: u64,
    /// Why nothing is written any more.
    dead: Option<StorageError>,
    /// The body of the batch at hand, the batch itself, and the stored form of the record at hand.
    body: Vec<u8>,
    frame: Vec<u8>,
    scratch: Vec<u8>,
}

/// What a group does to the log.
struct Group {
    /// The log after the group.
    extent: LogExtent,
    /// The lowest end on the way there: below it, the group touches nothing but what it purges.
    end_min: u64,
    /// The records of the group from `end_min` on, as they lie in the body.
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
        let Recovered { view, head, position, next_batch } = recovered;
        let segment = view.segments.back().expect("a recovered log has a segment").clone();
        *shared.view_mut() = view;
        LogWriter {
            shared,
            waiting_bytes,
            spares,
            segment_bytes,
            segment,
            head,
            position,
            next_batch,
            dead: None,
            body: Vec::new(),
            frame: Vec::new(),
            scratch: Vec::new(),
        }
    }

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
            let mut group = self.group();
            for waiting in waiting.iter_mut() {
                let op = std::mem::replace(&mut waiting.op, Err(StorageError::refused(String::new())));
                results.push(op.and_then(|op| self.add(&mut group, op)));
            }
            if !self.body.is_empty() {
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
    }

    /// Adds an empty batch behind the last, which proves that the last was synced (see `recovery`).
    fn close(&mut self) {
        if self.dead.is_none() {
            let group = self.group();
            if let Err(error) = self.write(group) {
                tracing::warn!(%error, "the end of the log could not be noted");
            }
        }
    }

    fn group(&mut self) -> Group {
        self.body.clear();
        let extent = self.shared.view().extent;
        Group { extent, end_min: extent.end, added: Vec::new(), marks: BTreeMap::new(), purged: false }
    }

    fn add(&mut self, group: &mut Group, op: LogOp) -> Result<(), StorageError> {
        match op {
            LogOp::Append(records) => return self.append(group, records),
            LogOp::TruncateFrom(index) => {
                let dropped = group.extent.truncate_from(index);
                if !dropped.is_empty() {
                    batch::put_truncate(&mut self.body, dropped.start);
                    group.added.truncate(dropped.start.saturating_sub(group.end_min) as usize);
                    group.end_min = group.end_min.min(dropped.start);
                }
            }
            LogOp::Purge { through, mark } => {
                if group.extent.purge(through) {
                    batch::put_purge(&mut self.body, group.extent.first, &mark);
                    group.marks.insert(LogMark::Purged, mark);
                    group.purged = true;
                }
            }
            LogOp::Mark(LogMark::Purged, _) => {
                return Err(StorageError::refused("the mark of what is purged is set by a purge".to_owned()));
            }
            LogOp::Mark(mark, value) => {
                batch::put_mark(&mut self.body, mark, &value);
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
            sealed::seal_record(&record, &mut self.scratch);
            group.added.push(batch::put_record(&mut self.body, record.index, &self.scratch));
        }
        Ok(())
    }

    /// Writes and syncs. Readers see what the group removes as removed before it is written, and what it adds once it
    /// is synced.
    fn write(&mut self, group: Group) -> Result<(), StorageError> {
        let Group { extent, end_min, added, marks, purged } = group;
        let whole = (BATCH_HEAD_BYTES + self.body.len()) as u64;
        let rotated = self.position + whole > self.segment_bytes;
        let checkpoint = rotated.then(|| self.shared.view().checkpoint());
        self.shared.view_mut().shrink(LogExtent { first: extent.first, end: end_min });
        let body_at = match checkpoint {
            Some(checkpoint) => self.write_to_next(checkpoint)?,
            None => self.write_behind()?,
        };

        let mut view = self.shared.view_mut();
        if rotated {
            view.segments.push_back(self.segment.clone());
        }
        let segment = self.segment.sequence;
        // What a purge in the same group has overtaken is not added.
        let overtaken = extent.first.saturating_sub(end_min) as usize;
        view.places.extend(added.into_iter().skip(overtaken).map(|sealed| Place {
            segment,
            offset: body_at + sealed.start as u64,
            bytes: sealed.len() as u32,
        }));
        view.extent = extent;
        view.marks.extend(marks);
        let retired = if purged || rotated { view.retired() } else { Vec::new() };
        drop(view);
        for segment in retired {
            self.spares.retire(segment);
        }
        Ok(())
    }

    /// Writes the body behind the last batch, and returns where it lies.
    fn write_behind(&mut self) -> Result<u64, StorageError> {
        self.frame.clear();
        let at = self.position;
        let head = self.put_batch();
        self.segment.write(at, &self.frame)?;
        self.position = at + head.batch_bytes() as u64;
        self.next_batch += 1;
        Ok(at + BATCH_HEAD_BYTES as u64)
    }

    /// Begins the next segment with `body`, which says what the log held before the group, then the group's body, and
    /// returns where that lies.
    fn write_to_next(&mut self, mut body: Vec<u8>) -> Result<u64, StorageError> {
        let sequence = self.head.sequence + 1;
        let head = SegmentHead { sequence, salt: segment::salt()?, first_batch: self.next_batch };
        let segment = match self.spares.take(sequence)? {
            Some(segment) => segment,
            None => Segment::create(self.shared.directory(), sequence, 0)?,
        };
        let shift = body.len();
        body.append(&mut self.body);
        self.body = body;
        (self.head, self.segment) = (head, Arc::new(segment));

        self.frame.clear();
        self.frame.extend_from_slice(&head.encode());
        let batch = self.put_batch();
        self.segment.write(0, &self.frame)?;
        self.position = (SEGMENT_HEAD_BYTES + batch.batch_bytes()) as u64;
        self.next_batch += 1;
        Ok((SEGMENT_HEAD_BYTES + BATCH_HEAD_BYTES + shift) as u64)
    }

    /// Adds the batch of the body to the frame.
    fn put_batch(&mut self) -> BatchHead {
        let head = BatchHead::of(self.head.salt, self.next_batch, &self.body);
        let end = self.frame.len() + head.batch_bytes();
        self.frame.extend_from_slice(&head.encode());
        self.frame.extend_from_slice(&self.body);
        self.frame.resize(end, 0);
        head
    }
}
