//! The records that one entry changes, with all rows that depend on them.
//!
//! However often a key is changed by an entry, it is one change of one revision: what it was before, and what it is
//! after.

use crate::store::{
    command::Put,
    key,
    lease::Lease,
    row::{Row, RowHead},
};
use bytes::Bytes;
use micro_consensus::Transaction;
use micro_storage::Family;
use std::collections::{HashMap, hash_map::Entry};

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was written.
    Put,
    /// Somebody deleted it, or revoked its lease.
    Delete,
    /// Its time was over, or that of its lease.
    Expire,
}

/// One record that an entry changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// The key of the record in the state.
    pub key: Bytes,
    pub kind: ChangeKind,
    /// The row of the record as it was before, if there was one.
    pub before: Option<Bytes>,
    /// For a deletion, the revision of the one before of the same key, as far as it is known; 0 for none.
    pub deleted_before: u64,
    /// The new row of a record that was written. Not kept in the history.
    pub row: Option<Bytes>,
}

/// The records changed by one entry so far.
pub(crate) struct Edit {
    /// The entry's index: the version of what it writes.
    pub revision: u64,
    /// The entry's time.
    pub time_ms: u64,
    changes: Vec<Change>,
    /// Where the change of a key is, once one came that is not behind all before it.
    places: HashMap<Bytes, usize>,
    /// The bytes that move into the history.
    pub moved_bytes: u64,
    /// Whether something ends at another time than before.
    pub expiries_changed: bool,
}

impl Edit {
    /// The entry at `revision` before it has changed anything.
    pub fn new(revision: u64, time_ms: u64) -> Self {
        Edit {
            revision,
            time_ms,
            changes: Vec::new(),
            places: HashMap::new(),
            moved_bytes: 0,
            expiries_changed: false,
        }
    }

    /// How many keys were touched.
    pub fn count(&self) -> usize {
        self.changes.len()
    }

    /// What has changed in the end, in the order in which it was touched first.
    pub fn into_changes(mut self) -> Vec<Change> {
        // A record that was made and deleted by the same entry never was.
        self.changes.retain(|change| change.kind == ChangeKind::Put || change.before.is_some());
        self.changes
    }

    /// The record with this key.
    pub fn get(state: &mut Transaction<'_>, key: &Bytes) -> Option<Row> {
        let row = state.get(Family::Store, key)?;
        // Nobody else writes rows, and a disk that garbles them is found out by the engine's checksums.
        Some(Row::parse(row).expect("a record's row is what was written"))
    }

    /// Writes the record under `key`, in the place of `before`.
    ///
    /// # Errors
    /// The lease, if there is none such, or it is ending. Nothing was changed then.
    pub fn put(
        &mut self,
        state: &mut Transaction<'_>,
        key: Bytes,
        put: &Put,
        before: Option<Row>,
    ) -> Result<(), u64> {
        if put.lease != 0 && !Lease::get(state, put.lease).is_some_and(|lease| lease.lives()) {
            return Err(put.lease);
        }
        let head = RowHead {
            created: before.as_ref().map_or(self.revision, |before| before.head.created),
            modified: self.revision,
            expires_ms: if put.ttl_ms == 0 { 0 } else { self.time_ms.saturating_add(put.ttl_ms) },
            lease: put.lease,
        };
        if let Some(before) = &before {
            self.untie(state, &key, &before.head);
        }
        if head.expires_ms != 0 {
            state.put(Family::Store, key::expiry(head.expires_ms, &key), Bytes::new());
            self.expiries_changed = true;
        }
        if head.lease != 0 {
            state.put(Family::Store, key::lease_key(head.lease, &key), Bytes::new());
        }
        let row = head.row(&put.metadata, &put.value.0);
        state.put(Family::Store, key.clone(), row.clone());
        let before = before.and_then(|before| self.keep(&key, before));
        self.note(Change { key, kind: ChangeKind::Put, before, deleted_before: 0, row: Some(row) });
        Ok(())
    }

    /// Removes the record `before`, which is there.
    pub fn delete(&mut self, state: &mut Transaction<'_>, key: Bytes, before: Row, kind: ChangeKind) {
        self.untie(state, &key, &before.head);
        state.delete(Family::Store, key.clone());
        let before = self.keep(&key, before);
        self.note(Change { key, kind, before, deleted_before: 0, row: None });
    }

    /// Removes the rows that say when a record ends.
    fn untie(&mut self, state: &mut Transaction<'_>, key: &Bytes, head: &RowHead) {
        if head.expires_ms != 0 {
            state.delete(Family::Store, key::expiry(head.expires_ms, key));
            self.expiries_changed = true;
        }
        if head.lease != 0 {
            state.delete(Family::Store, key::lease_key(head.lease, key));
        }
    }

    /// The row that moves into the history; none if this entry wrote it.
    fn keep(&mut self, key: &Bytes, before: Row) -> Option<Bytes> {
        if before.head.modified == self.revision {
            return None;
        }
        self.moved_bytes += (key.len() + before.bytes.len()) as u64;
        Some(before.bytes)
    }

    fn note(&mut self, change: Change) {
        if self.places.is_empty() {
            if self.changes.last().is_none_or(|last| last.key < change.key) {
                self.changes.push(change);
                return;
            }
            let keys = self.changes.iter().map(|change| change.key.clone());
            self.places = keys.zip(0..).collect();
        }
        match self.places.entry(change.key.clone()) {
            Entry::Occupied(place) => {
                let earlier = &mut self.changes[*place.get()];
                let before = earlier.before.take().or(change.before);
                *earlier = Change { before, ..change };
            }
            Entry::Vacant(place) => {
                place.insert(self.changes.len());
                self.changes.push(change);
            }
        }
    }
}
