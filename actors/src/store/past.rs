//! Records as they were at a revision that is not compacted.
//!
//! The entry that wrote a record has the row that it replaced, and so on back in time, until a row was there at the
//! revision asked for, or the record was made after it. What was there before that, if anything, was deleted: the key's
//! last deletion is known, and each deletion knows the one before.
//!
//! ```text
//!   now: a row ──► the entry that wrote it ──► the row before ──► ... ──► the entry that made the record
//!        the last deletion ─────────────────────────────────────────────► the row that it removed ──► ...
//! ```

use crate::store::{
    edit::Change,
    history::EntryRow,
    key,
    row::Row,
    view::{broken, garbled},
};
use bytes::Bytes;
use micro_sdk::wire::{Code, Fault};
use micro_storage::{Family, StateView};
use tokio::time::Instant;

/// How many steps back are made between two looks at the clock.
const CLOCK_EVERY: u64 = 1024;

/// The past of one view.
pub(crate) struct Past<'a> {
    view: &'a dyn StateView,
    /// The revision that is asked for.
    at: u64,
    deadline: Option<Instant>,
    steps: u64,
    /// The entry that was looked at last: large ones are looked at for one record after another.
    entry: Option<(u64, EntryRow)>,
}

impl<'a> Past<'a> {
    /// How it was at revision `at`, as far as that can be said before the deadline.
    pub fn new(view: &'a dyn StateView, at: u64, deadline: Option<Instant>) -> Self {
        Past { view, at, deadline, steps: 0, entry: None }
    }

    /// The record with this key.
    ///
    /// # Errors
    /// If the state can't be read, or the deadline passed.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<Row>, Fault> {
        let newest = self.view.get(Family::Store, key).map_err(broken)?;
        let newest = newest.map(Row::read).transpose().map_err(broken)?;
        if newest.as_ref().is_some_and(|row| row.head.modified <= self.at) {
            return Ok(newest);
        }
        let deletion = self.view.get(Family::Store, &key::deletion(key)).map_err(broken)?;
        self.walk(key, newest, deletion)
    }

    /// The same for one whose row, and the row of its last deletion, are known.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn walk(
        &mut self,
        key: &[u8],
        mut row: Option<Row>,
        deletion: Option<Bytes>,
    ) -> Result<Option<Row>, Fault> {
        let deletion = deletion.map(|row| key::revision_in(&row).ok_or_else(|| garbled("a deletion")));
        let mut deleted = deletion.transpose()?.unwrap_or(0);
        loop {
            let change = match row {
                Some(row) if row.head.modified <= self.at => return Ok(Some(row)),
                Some(row) => self.change(row.head.modified, key)?,
                None if deleted <= self.at => return Ok(None),
                None => {
                    let change = self.change(deleted, key)?;
                    deleted = change.deleted_before;
                    change
                }
            };
            row = change.before.map(Row::read).transpose().map_err(broken)?;
        }
    }

    /// What the entry at `revision` changed about a key.
    fn change(&mut self, revision: u64, key: &[u8]) -> Result<Change, Fault> {
        self.steps += 1;
        let late = || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if self.steps.is_multiple_of(CLOCK_EVERY) && late() {
            let message = format!("the deadline passed after {} steps back in time", self.steps);
            return Err(
                Fault::new(Code::Timeout, message).help("read a later revision, or with a longer timeout")
            );
        }
        if self.entry.as_ref().is_none_or(|(last, _)| *last != revision) {
            let row = self.view.get(Family::History, &key::revision(revision)).map_err(broken)?;
            let entry = row.and_then(EntryRow::parse).ok_or_else(|| garbled("the history"))?;
            self.entry = Some((revision, entry));
        }
        let changes = self.entry.iter().flat_map(|(_, entry)| &entry.changes);
        changes.into_iter().find(|change| change.key == key).cloned().ok_or_else(|| garbled("the history"))
    }
}
