//! What the files of the log say when it is opened.
//!
//! Batches are synced one after another. So of all that was written, only the last batch can be torn; and a batch that
//! can't be read although a later one can was synced, and is damaged now. The first is cut off, the second is refused:
//! nothing that was acknowledged is given up by guessing. (R. Alagappan et al.: Protocol-Aware Recovery for
//! Consensus-Based Storage, FAST 2018, tell the two apart in the same way.)
//!
//! What this can't see is damage to the very last batch: it looks like a torn one. A clean end adds an empty batch
//! behind it for this reason, so only a node that was killed has such a tail.

use super::{
    batch::{ALIGNMENT, BATCH_HEAD_BYTES, BatchHead, Operation, operations},
    segment::{SEGMENT_HEAD_BYTES, Segment, SegmentHead, failure, file_name, sequence_of},
    view::{Place, View},
};
use crate::{LogMark, StorageError, disk::durable, log_extent::LogExtent};
use std::{collections::VecDeque, fs, path::Path, sync::Arc};

/// A log that was opened again.
pub struct Recovered {
    /// What it holds.
    pub view: View,
    /// The head of the last segment.
    pub head: SegmentHead,
    /// Where the next batch goes in it.
    pub position: u64,
    /// The number of the next batch.
    pub next_batch: u64,
}

/// Reads all segments in `directory`. None if there are none.
///
/// # Errors
/// [`StorageError::Corrupt`] with file and offset. Nothing is changed then.
pub fn recover(directory: &Path) -> Result<Option<Recovered>, StorageError> {
    let names = durable::names(directory)?;
    let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    let mut replay = Replay::default();
    let mut end = None;
    for (position, sequence) in sequences.iter().enumerate() {
        let segment = Arc::new(Segment::open(directory, *sequence)?);
        let bytes = segment.bytes()?;
        let Some(head) = begun(&segment, &bytes, position + 1 == sequences.len())? else {
            discard(&segment)?;
            break;
        };
        replay.begin(&segment, head)?;
        let at = replay.segment(&segment, head, &bytes)?;
        if later_batch(&bytes, at, head.salt, replay.next_batch) {
            return Err(segment.corrupt(at, "a synced batch can't be read, though a later one can"));
        }
        end = Some((head, at as u64));
    }
    let Some((head, position)) = end else { return Ok(None) };
    let (view, next_batch) = replay.finish()?;
    Ok(Some(Recovered { view, head, position, next_batch }))
}

/// The head of a segment, or none if the last one had not begun when the power went: its head or its first batch, which
/// are written together, did not reach the disk.
fn begun(segment: &Segment, bytes: &[u8], is_last: bool) -> Result<Option<SegmentHead>, StorageError> {
    let untouched = bytes.iter().take(SEGMENT_HEAD_BYTES).all(|byte| *byte == 0);
    let head = match SegmentHead::decode(bytes) {
        Ok(head) => head,
        Err(_) if is_last && untouched => return Ok(None),
        Err(damage) => return Err(segment.corrupt(0, damage)),
    };
    // A file that was another segment's keeps that one's head until it gets its own.
    if head.sequence != segment.sequence {
        return match is_last && head.sequence < segment.sequence {
            true => Ok(None),
            false => Err(segment.corrupt(0, format!("it is segment {:016x}", head.sequence))),
        };
    }
    let first = batch(bytes, SEGMENT_HEAD_BYTES, head.salt, head.first_batch);
    let torn = first.is_none() && !later_batch(bytes, SEGMENT_HEAD_BYTES, head.salt, head.first_batch);
    Ok((!(is_last && torn)).then_some(head))
}

fn discard(segment: &Segment) -> Result<(), StorageError> {
    tracing::info!(file = %segment.path.display(), "a file of the log had not begun when the power went");
    fs::remove_file(&segment.path).map_err(|error| failure(&segment.path, error))
}

/// The body of the batch at `at`, if it is whole and has this number.
fn batch(bytes: &[u8], at: usize, salt: u64, number: u64) -> Option<(BatchHead, &[u8])> {
    let rest = bytes.get(at..)?;
    let head = BatchHead::decode(rest, salt).filter(|head| head.number == number)?;
    let body = rest.get(BATCH_HEAD_BYTES..)?.get(..head.body_bytes as usize)?;
    (crc32c::crc32c(body) == head.body_crc).then_some((head, body))
}

/// Whether a batch that was written after the one at `offset` can be read: then that one had been synced.
fn later_batch(bytes: &[u8], offset: usize, salt: u64, number: u64) -> bool {
    let mut at = offset.next_multiple_of(ALIGNMENT);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if BatchHead::decode(rest, salt).is_some_and(|head| head.number > number) {
            return true;
        }
        at += ALIGNMENT;
    }
    false
}

/// The log as far as it has been read.
#[derive(Default)]
struct Replay {
    view: View,
    /// Where each record lies; none for one that the segments before the first have held.
    places: VecDeque<Option<Place>>,
    next_batch: u64,
}

impl Replay {
    fn begin(&mut self, segment: &Arc<Segment>, head: SegmentHead) -> Result<(), StorageError> {
        if let Some(before) = self.view.segments.back() {
            if before.sequence + 1 != segment.sequence {
                let missing = file_name(before.sequence + 1);
                return Err(StorageError::corrupt(missing, "this file of the log is gone"));
            }
            if self.next_batch != head.first_batch {
                let (found, wanted) = (self.next_batch, head.first_batch);
                let detail = format!("its batches end at {found}, though {wanted} comes next");
                return Err(StorageError::corrupt(before.path.display().to_string(), detail));
            }
        }
        self.next_batch = head.first_batch;
        self.view.segments.push_back(segment.clone());
        Ok(())
    }

    /// Takes in the batches of a segment, and returns where they end.
    fn segment(&mut self, segment: &Segment, head: SegmentHead, bytes: &[u8]) -> Result<usize, StorageError> {
        let mut at = SEGMENT_HEAD_BYTES;
        while let Some((batch, body)) = batch(bytes, at, head.salt, self.next_batch) {
            let unknown = || segment.corrupt(at, "a batch holds what this build does not know");
            for operation in operations(body).ok_or_else(unknown)? {
                self.operation(segment, at + BATCH_HEAD_BYTES, operation)
                    .map_err(|detail| segment.corrupt(at, detail))?;
            }
            self.next_batch += 1;
            at += batch.batch_bytes();
        }
        Ok(at)
    }

    fn operation(&mut self, segment: &Segment, body_at: usize, operation: Operation) -> Result<(), String> {
        let extent = &mut self.view.extent;
        match operation {
            Operation::Extent(found) if self.view.segments.len() == 1 => {
                *extent = found;
                self.places = (found.first..found.end).map(|_| None).collect();
            }
            Operation::Extent(found) if found == *extent => {}
            Operation::Extent(found) => {
                return Err(format!(
                    "the log held records {} to {} when it began, not {} to {} (the last not included)",
                    found.first, found.end, extent.first, extent.end
                ));
            }
            Operation::Record { index, sealed } if index == extent.end => {
                extent.end += 1;
                let offset = (body_at + sealed.start) as u64;
                let place = Place { segment: segment.sequence, offset, bytes: sealed.len() as u32 };
                self.places.push_back(Some(place));
            }
            Operation::Record { index, .. } => {
                return Err(format!("record {index} follows, where {} is next", extent.end));
            }
            Operation::Truncate { from } => {
                extent.truncate_from(from);
                self.places.truncate((extent.end - extent.first) as usize);
            }
            Operation::Purge { first, mark } => {
                let gone = first.saturating_sub(extent.first).min(self.places.len() as u64);
                self.places.drain(..gone as usize);
                *extent = LogExtent { first, end: extent.end.max(first) };
                self.view.marks.insert(LogMark::Purged, mark);
            }
            Operation::Mark { mark, value } => {
                self.view.marks.insert(mark, value);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(View, u64), StorageError> {
        let first = self.view.extent.first;
        let lost = self.places.iter().position(Option::is_none);
        if let Some(lost) = lost {
            let what = format!("record {} of the log", first + lost as u64);
            return Err(StorageError::corrupt(what, "the file that held it is gone"));
        }
        self.view.places = self.places.into_iter().flatten().collect();
        Ok((self.view, self.next_batch))
    }
}
