//! What is durable, and where it lies.

use super::{batch, segment::Segment};
use crate::{LogMark, log_extent::LogExtent};
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// Where the sealed form of a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The sequence number of its segment.
    pub segment: u64,
    /// From where in the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: u32,
}

/// The durable log.
#[derive(Default)]
pub struct View {
    /// The indices that it holds.
    pub extent: LogExtent,
    /// The marks.
    pub marks: BTreeMap<LogMark, Bytes>,
    /// The place of each index, from the first on. 24 bytes a record: the log is purged long before that is much.
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

    /// The beginning of a segment: all that is known of the log without the segments before.
    pub fn checkpoint(&self) -> Vec<u8> {
        let mut body = Vec::new();
        batch::put_extent(&mut body, self.extent);
        for (mark, value) in &self.marks {
            batch::put_mark(&mut body, *mark, value);
        }
        body
    }

    /// Hides the records outside `extent`.
    pub fn shrink(&mut self, extent: LogExtent) {
        let end = extent.end.min(self.extent.end);
        self.places.truncate(end.saturating_sub(self.extent.first) as usize);
        let purged = extent.first.saturating_sub(self.extent.first) as usize;
        self.places.drain(..purged.min(self.places.len()));
        self.extent = LogExtent { first: extent.first, end: end.max(extent.first) };
    }

    /// Takes out the segments that hold no record any more. The last one stays: it is written.
    pub fn retired(&mut self) -> Vec<Arc<Segment>> {
        let last = self.segments.back().map(|segment| segment.sequence);
        let needed = self.places.front().map(|place| place.segment).or(last);
        let count = self.segments.iter().take_while(|segment| Some(segment.sequence) < needed).count();
        self.segments.drain(..count).collect()
    }
}
