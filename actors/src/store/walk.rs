//! Goes through records in order, as they are or as they were.

use crate::store::{
    key,
    past::Past,
    row::Row,
    view::{broken, garbled},
};
use bytes::Bytes;
use micro_sdk::wire::Fault;
use micro_storage::{Family, Order, ScanRange, StateView};
use std::{collections::VecDeque, ops::Range};

/// The keys and values read in one go.
const CHUNK_ROWS: usize = 256;
/// The bytes of such a portion: more is held in memory for nothing.
const CHUNK_BYTES: usize = 1 << 20;

/// The rows of a range, read portion by portion.
struct Rows<'a> {
    view: &'a dyn StateView,
    /// What was not read yet.
    range: Range<Bytes>,
    order: Order,
    read: VecDeque<(Bytes, Bytes)>,
}

impl Rows<'_> {
    fn peek(&mut self) -> Result<Option<&Bytes>, Fault> {
        if self.read.is_empty() && self.range.start < self.range.end {
            let range = ScanRange::between(self.range.start.clone(), self.range.end.clone());
            let rows = self.view.scan(Family::Store, range, self.order, CHUNK_ROWS, CHUNK_BYTES);
            self.read = rows.map_err(broken)?.into();
            match (self.read.back(), self.order) {
                (None, _) => self.range.start = self.range.end.clone(),
                (Some((last, _)), Order::Ascending) => self.range.start = [last, &[0][..]].concat().into(),
                (Some((last, _)), Order::Descending) => self.range.end = last.clone(),
            }
        }
        Ok(self.read.front().map(|(key, _)| key))
    }

    fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, Fault> {
        self.peek()?;
        Ok(self.read.pop_front())
    }
}

/// The records of a range, in order.
pub(crate) struct Walk<'a> {
    current: Rows<'a>,
    /// What was deleted, for records as they were at a revision.
    past: Option<(Rows<'a>, Past<'a>)>,
}

impl<'a> Walk<'a> {
    /// The records in `range`, as they are, or as they were.
    pub fn new(view: &'a dyn StateView, range: Range<Bytes>, order: Order, past: Option<Past<'a>>) -> Self {
        let rows = |range| Rows { view, range, order, read: VecDeque::new() };
        let past = past.map(|past| (rows(key::deletions(&range)), past));
        Walk { current: rows(range), past }
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Option<(Bytes, Row)>, Fault> {
        let Some((deletions, past)) = &mut self.past else {
            let Some((key, row)) = self.current.next()? else { return Ok(None) };
            return Ok(Some((key, Row::read(row).map_err(broken)?)));
        };
        loop {
            let current = self.current.peek()?.cloned();
            let deleted = deletions.peek()?;
            let deleted = deleted.map(|key| key::deleted_record(key).ok_or_else(|| garbled("a deletion")));
            let deleted = deleted.transpose()?;
            let key = match (&current, &deleted) {
                (None, None) => return Ok(None),
                (Some(key), None) | (None, Some(key)) => key.clone(),
                (Some(one), Some(other)) => match self.current.order {
                    Order::Ascending => one.min(other).clone(),
                    Order::Descending => one.max(other).clone(),
                },
            };
            let row = if current.as_ref() == Some(&key) { self.current.next()? } else { None };
            let row = row.map(|(_, row)| Row::read(row)).transpose().map_err(broken)?;
            let deletion = if deleted.as_ref() == Some(&key) { deletions.next()? } else { None };
            if let Some(row) = past.walk(&key, row, deletion.map(|(_, row)| row))? {
                return Ok(Some((key, row)));
            }
        }
    }
}
