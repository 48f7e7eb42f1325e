//! What the files of the log say when it is opened.
//!
//! Batches are synced one after another. So of all that was written, only the last batch can be torn; and a batch that
//! can't be read although a later one can was synced, and is damaged now. The first is cut off, the second is refused:
//! nothing that was acknowledged is given up by guessing. (R. Alagappan et al.: Protocol-Aware Recovery for
//! Consensus-Based Storage, FAST 2018, tell the two apart in the same way.)
//!
//! The very last batch has none behind it. Where it lies in the sectors of its own head, it is damage all the same,
//! since a disk writes a sector as a whole, and so does a page cache. A longer one may be torn: it is cut off, and that
//! is said. To keep it out of this doubt, an empty batch is added behind it: by a clean end, by each start, once it has
//! seen to it that the last one is on the disk, and by a log that has nothing else to write. So only what was written
//! within the last second before a kill is in doubt, until the start after it.

use super::{
    batch::{ALIGNMENT, BATCH_HEAD_BYTES, BatchHead, Operation, operations},
    frame::Frame,
    segment::{SEGMENT_HEAD_BYTES, Segment, SegmentHead, file_name, sequence_of},
    view::{Place, View},
};
use crate::{LogMark, StorageError, disk::durable, log_extent::LogExtent};
use std::{collections::VecDeque, ops::Range, path::Path, sync::Arc};

/// The least that disks write as a whole. Those that write more at once do so in multiples of it.
pub const SECTOR_BYTES: usize = 512;

/// A log that was opened again.
pub struct Recovered {
    /// What it holds.
    pub view: View,
    /// The head of the last segment.
    pub head: SegmentHead,
    /// Where the next batch goes in it.
    pub position: u64,
    /// Up to where it is filled.
    pub room: u64,
    /// The number of the next batch.
    pub next_batch: u64,
}

/// Reads all segments in `directory`. None if there are none, or only one that had not begun.
///
/// # Errors
/// [`StorageError::Corrupt`] with file and offset. Nothing is changed then.
pub fn recover(directory: &Path) -> Result<Option<Recovered>, StorageError> {
    let names = durable::names(directory)?;
    let sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
    let mut replay = Replay::default();
    let (mut end, mut unbegun) = (None, None);
    for (position, sequence) in sequences.iter().enumerate() {
        let segment = Arc::new(Segment::open(directory, *sequence)?);
        let bytes = segment.bytes()?;
        let is_last = position + 1 == sequences.len();
        let Some(head) = begun(&segment, &bytes, is_last, replay.next_head())? else {
            unbegun = Some(segment);
            break;
        };
        replay.begin(&segment, head)?;
        replay.segment(&segment, head, &bytes)?;
        let at = replay.last.end;
        if later_batch(&bytes, at, head.salt, replay.next_batch) {
            return Err(segment.corrupt(at, "a synced batch can't be read, though a later one can"));
        }
        torn(&segment, &bytes, at, head.salt, replay.next_batch)?;
        end = Some((segment, bytes));
    }
    let Some((segment, bytes)) = end else { return Ok(None) };
    let (last, room) = (replay.last.clone(), bytes.len() as u64);
    let mut recovered = replay.finish(room)?;
    if let Some(unbegun) = unbegun {
        discard(&unbegun, directory)?;
    }
    settle(&segment, &bytes, last, &mut recovered)?;
    Ok(Some(recovered))
}

/// Writes the last batch again, and an empty one behind it, and syncs.
///
/// What was read there may not be on the disk: a process that was killed between a write and its sync leaves it in the
/// page cache, and after a sync that failed the kernel takes such pages for clean, so that another sync alone would do
/// nothing. Nobody may count on it before: the next power cut would take a vote back. Whatever is before the last
/// batch was synced before that one was written.
///
/// The empty batch takes the place of a torn one: what is left of that has lost its head for good, and can't be
/// completed by the remains of a later tear.
fn settle(
    segment: &Segment,
    bytes: &[u8],
    last: Range<usize>,
    recovered: &mut Recovered,
) -> Result<(), StorageError> {
    // The segment's head was written together with the first batch.
    let from = if last.start == SEGMENT_HEAD_BYTES { 0 } else { last.start };
    let mut again = bytes[from..last.end.min(bytes.len())].to_vec();
    again.resize(last.end - from, 0);
    let mut frame = Frame::default();
    frame.begin(again.len());
    let written = frame.close(&again, recovered.head.salt, recovered.next_batch);
    segment.write(from as u64, written)?;
    recovered.position = (from + written.len()) as u64;
    recovered.next_batch += 1;
    Ok(())
}

/// The head of a segment, or none if the last one had not begun when the power went: its head or its first batch, which
/// are written together, did not reach the disk. `expected` is the head that it should have, if one is before it.
fn begun(
    segment: &Segment,
    bytes: &[u8],
    is_last: bool,
    expected: Option<SegmentHead>,
) -> Result<Option<SegmentHead>, StorageError> {
    let untouched = bytes.iter().take(SEGMENT_HEAD_BYTES).all(|byte| *byte == 0);
    // A file that was another segment's keeps that one's head until it gets its own.
    let head = match SegmentHead::decode(bytes) {
        Ok(head) if head.sequence == segment.sequence => head,
        Ok(head) if is_last && head.sequence < segment.sequence => {
            return not_begun(segment, bytes, expected);
        }
        Ok(head) => return Err(segment.corrupt(0, format!("it is segment {:016x}", head.sequence))),
        Err(_) if is_last && untouched => return not_begun(segment, bytes, expected),
        Err(damage) => return Err(segment.corrupt(0, damage)),
    };
    let (salt, number) = (head.salt, head.first_batch);
    match batch(bytes, SEGMENT_HEAD_BYTES, salt, number) {
        Some(_) => Ok(Some(head)),
        None if is_last && !later_batch(bytes, SEGMENT_HEAD_BYTES, salt, number) => {
            torn(segment, bytes, SEGMENT_HEAD_BYTES, salt, number)?;
            Ok(None)
        }
        None => Err(segment.corrupt(SEGMENT_HEAD_BYTES, "its first batch can't be read")),
    }
}

/// None, unless the segment has lost a head that it had: the batches behind the first tell, by their salt.
fn not_begun(
    segment: &Segment,
    bytes: &[u8],
    expected: Option<SegmentHead>,
) -> Result<Option<SegmentHead>, StorageError> {
    match expected {
        Some(head) if later_batch(bytes, SEGMENT_HEAD_BYTES, head.salt, head.first_batch) => {
            Err(segment.corrupt(0, "its head is gone, though batches are there"))
        }
        _ => Ok(None),
    }
}

/// Synced, since the segment of this number that comes next has the same salt.
fn discard(segment: &Segment, directory: &Path) -> Result<(), StorageError> {
    tracing::info!(file = %segment.path.display(), "a file of the log had not begun when the power went");
    durable::remove(&segment.path)?;
    durable::sync_directory(directory)
}

/// The body of the batch at `at`, if it is whole and has this number.
fn batch(bytes: &[u8], at: usize, salt: u64, number: u64) -> Option<(BatchHead, &[u8])> {
    let rest = bytes.get(at..)?;
    let head = BatchHead::decode(rest, salt).filter(|head| head.number == number)?;
    let body = rest.get(BATCH_HEAD_BYTES..)?.get(..head.body_bytes as usize)?;
    (crc32c::crc32c(body) == head.body_crc).then_some((head, body))
}

/// Looks at the batch behind the last that can be read, if one was begun there: what is lost of it may never have been
/// written, unless it lies in sectors of which the rest is there.
fn torn(segment: &Segment, bytes: &[u8], at: usize, salt: u64, number: u64) -> Result<(), StorageError> {
    let begun = bytes.get(at..).and_then(|rest| BatchHead::decode(rest, salt));
    let Some(head) = begun.filter(|head| head.number == number) else { return Ok(()) };
    let bytes = head.batch_bytes();
    if at + bytes <= (at + BATCH_HEAD_BYTES).next_multiple_of(SECTOR_BYTES) {
        return Err(
            segment.corrupt(at, "a batch can't be read, though its head can, which was written with it")
        );
    }
    let file = segment.path.display();
    tracing::warn!(
        %file,
        offset = at,
        bytes,
        "the last batch of the log is not whole: it was being written when the node was killed, or it is damaged; \
         it is given up here, and what others have of it comes from them"
    );
    Ok(())
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
    /// The head of the last segment.
    head: Option<SegmentHead>,
    /// Where the last batch lies in it.
    last: Range<usize>,
    next_batch: u64,
}

impl Replay {
    /// The head of a segment that follows here.
    fn next_head(&self) -> Option<SegmentHead> {
        self.head.map(|head| head.next(self.next_batch))
    }

    fn begin(&mut self, segment: &Arc<Segment>, head: SegmentHead) -> Result<(), StorageError> {
        if let Some(before) = self.view.segments.back() {
            if before.sequence + 1 != segment.sequence {
                let missing = file_name(before.sequence + 1);
                return Err(StorageError::corrupt(missing, "this file of the log is gone"));
            }
            if self.next_batch != head.first_batch {
                let (found, wanted) = (self.next_batch, head.first_batch);
                let detail = format!("its batches end at {found}, though {wanted} comes next");
                return Err(before.corrupt(self.last.end, detail));
            }
        }
        self.head = Some(head);
        self.last = SEGMENT_HEAD_BYTES..SEGMENT_HEAD_BYTES;
        self.next_batch = head.first_batch;
        self.view.segments.push_back(segment.clone());
        Ok(())
    }

    /// Takes in the batches of a segment.
    fn segment(&mut self, segment: &Segment, head: SegmentHead, bytes: &[u8]) -> Result<(), StorageError> {
        let mut at = SEGMENT_HEAD_BYTES;
        while let Some((batch, body)) = batch(bytes, at, head.salt, self.next_batch) {
            let unknown = || segment.corrupt(at, "a batch holds what this build does not know");
            for operation in operations(body).ok_or_else(unknown)? {
                self.operation(segment, at + BATCH_HEAD_BYTES, operation)
                    .map_err(|detail| segment.corrupt(at, detail))?;
            }
            self.next_batch += 1;
            self.last = at..at + batch.batch_bytes();
            at = self.last.end;
        }
        Ok(())
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
                let range = (body_at + sealed.start) as u64..(body_at + sealed.end) as u64;
                self.places.push_back(Some(Place::new(segment.sequence, range)));
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

    fn finish(mut self, room: u64) -> Result<Recovered, StorageError> {
        let first = self.view.extent.first;
        let lost = self.places.iter().position(Option::is_none);
        if let Some(lost) = lost {
            let what = format!("record {} of the log", first + lost as u64);
            return Err(StorageError::corrupt(what, "the file that held it is gone"));
        }
        self.view.places = self.places.into_iter().flatten().collect();
        Ok(Recovered {
            view: self.view,
            head: self.head.expect("a segment has begun"),
            position: self.last.end as u64,
            room,
            next_batch: self.next_batch,
        })
    }
}
