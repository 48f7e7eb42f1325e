//! What is durable, and where it lies.

use super::{batch, segment::Segment};
use crate::{LogMark, log_extent::LogExtent};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::Arc,
};

/// Where the sealed form of a record lies. Small, since there is one for each record of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sequence number of its segment: 32 bits are enough for 64 PiB.
    segment: u32,
    /// From where in the file.
    offset: u32,
    /// How long it is.
    bytes: u32,
}

impl Place {
    /// The bytes in `range` of a segment.
    pub fn new(segment: u64, range: Range<u64>) -> Self {
        let small = |number| u32::try_from(number).expect("segments are bounded far below 4 GiB, and few");
        Place { segment: small(segment), offset: small(range.start), bytes: small(range.end - range.start) }
    }

    /// The sequence number of its segment.
    pub fn segment(self) -> u64 {
        self.segment.into()
    }

    /// Where it lies in the file.
    pub fn range(self) -> Range<u64> {
        let start = u64::from(self.offset);
        start..start + u64::from(self.bytes)
    }
}

/// The durable log.
#[derive(Default)]
pub struct View {
    /// The indices that it holds.
    pub extent: LogExtent,
    /// The marks.
    pub marks: BTreeMap<LogMark, Bytes>,
    /// The place of each index, from the first on. 12 bytes a record: the log is purged long before that is much.
    pub places: VecDeque<Place>,
    /// The files, oldest first. Records lie in them in the order of their indices, since what is truncated is written
    /// again behind.
    pub segments: VecDeque<Arc<Segment>>,
}

impl View {
    /// The segment with this sequence number.
    pub fn segment(&self, sequence: u64) -> Option<&Arc<Segment>> {
        let oldest = self.segments.front()?.sequence;
        self.segments.get(sequence.checked_sub(oldest)? as usize)
    }

    /// Adds to a body what a segment begins with: all that is known of the log without the segments before.
    pub fn put_checkpoint(&self, body: &mut Vec<u8>) {
        batch::put_extent(body, self.extent);
        for (mark, value) in &self.marks {
            batch::put_mark(body, *mark, value);
        }
    }

    /// Hides the records outside `extent`.
    pub fn shrink(&mut self, extent: LogExtent) {
        let end = extent.end.min(self.extent.end);
        self.places.truncate(end.saturating_sub(self.extent.first) as usize);
        let purged = extent.first.saturating_sub(self.extent.first) as usize;
        self.places.drain(..purged.min(self.places.len()));
        self.extent = LogExtent { first: extent.first, end: end.max(extent.first) };
    }

    /// The first index whose record begins within the last `bytes` of the log, whose files have `segment_bytes` each.
    pub fn tail(&self, bytes: u64, segment_bytes: u64) -> u64 {
        let at = |place: &Place, offset| place.segment() * segment_bytes + offset;
        let end = self.places.back().map_or(0, |last| at(last, last.range().end));
        let from = end.saturating_sub(bytes);
        let older = self.places.partition_point(|place| at(place, place.range().start) < from);
        self.extent.first + older as u64
    }

    /// Takes out the segments that hold no record any more. The last one stays: it is written.
    pub fn retired(&mut self) -> Vec<Arc<Segment>> {
        let last = self.segments.back().map(|segment| segment.sequence);
        let needed = self.places.front().map(|place| place.segment()).or(last);
        let count = self.segments.iter().take_while(|segment| Some(segment.sequence) < needed).count();
        self.segments.drain(..count).collect()
    }
}
