//! Goes through records in order, as they are or as they were.

use crate::store::{
    key,
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
    /// The versions that were replaced, for records as they were at a revision.
    past: Option<(Rows<'a>, u64)>,
}

impl<'a> Walk<'a> {
    /// The records in `range`, as they are, or as they were at a revision that is not compacted.
    pub fn new(view: &'a dyn StateView, range: Range<Bytes>, order: Order, at: Option<u64>) -> Self {
        let rows = |range| Rows { view, range, order, read: VecDeque::new() };
        let past = at.map(|revision| (rows(key::old_within(&range)), revision));
        Walk { current: rows(range), past }
    }

    /// The next record.
    pub fn next(&mut self) -> Result<Option<(Bytes, Row)>, Fault> {
        let Some((past, at)) = &mut self.past else {
            let Some((key, row)) = self.current.next()? else { return Ok(None) };
            return Ok(Some((key, Row::read(row).map_err(broken)?)));
        };
        loop {
            let current = self.current.peek()?.cloned();
            let older = past.peek()?.cloned();
            let older = older.map(|key| key::old_parts(&key).ok_or_else(|| garbled("the history")));
            let older = older.transpose()?.map(|(key, _)| key);
            let key = match (&current, &older) {
                (None, None) => return Ok(None),
                (Some(key), None) | (None, Some(key)) => key.clone(),
                (Some(one), Some(other)) => match self.current.order {
                    Order::Ascending => one.min(other).clone(),
                    Order::Descending => one.max(other).clone(),
                },
            };
            let newest = match current.is_some_and(|current| current == key) {
                true => self.current.next()?.map(|(_, row)| Row::read(row)).transpose().map_err(broken)?,
                false => None,
            };
            let replaced = replaced_after(past, &key, *at)?;
            let row = newest.filter(|row| row.head.modified <= *at).or(replaced);
            if let Some(row) = row.filter(|row| row.head.modified <= *at) {
                return Ok(Some((key, row)));
            }
        }
    }
}

/// Takes all versions of `key` off the front, and gives the first that was replaced after `revision`.
fn replaced_after(past: &mut Rows<'_>, key: &Bytes, revision: u64) -> Result<Option<Row>, Fault> {
    let mut first: Option<(u64, Bytes)> = None;
    while let Some(next) = past.peek()? {
        let (of, at) = key::old_parts(next).ok_or_else(|| garbled("the history"))?;
        if of != *key {
            break;
        }
        let (_, row) = past.next()?.expect("it was looked at");
        if at > revision && first.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
            first = Some((at, row));
        }
    }
    first.map(|(_, row)| Row::read(row)).transpose().map_err(broken)
}
