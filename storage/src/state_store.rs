//! The state that the log has been applied to: ordered keys in families.

use crate::StorageError;
use bytes::Bytes;
use std::ops::Bound;

/// A key space of its own. Grows at its end only: its number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// The consensus layer's own: how far the log has been applied, membership.
    Raft,
    /// Records of the store.
    Store,
    /// Node admission: the sealed authority, token hashes, nodes.
    Auth,
    /// What entries of the log replaced in the store. A journal: see [`Family::is_journal`].
    History,
    /// What repeated changes of the store are answered. A journal.
    Outcomes,
    /// The figures of the store and of its history, rewritten with nearly every batch. Apart from the records: a file
    /// that holds both spans keys from one end to the other, so that each new file of records that were written in
    /// their order would be merged with all that are there, rather than put behind them.
    Books,
}

impl Family {
    /// All families.
    pub const ALL: [Family; 6] =
        [Family::Raft, Family::Store, Family::Auth, Family::History, Family::Outcomes, Family::Books];

    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Family::Raft => "raft",
            Family::Store => "store",
            Family::Auth => "auth",
            Family::History => "history",
            Family::Outcomes => "outcomes",
            Family::Books => "books",
        }
    }

    /// Whether each new key comes after all that are there, and what goes is always the beginning. An engine keeps such
    /// a family at the cost of writing it down once.
    pub fn is_journal(self) -> bool {
        matches!(self, Family::History | Family::Outcomes)
    }
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key has this value now.
    Put(Bytes),
    /// The key is gone.
    Delete,
}

/// Changes that take effect together or not at all. A later change of a key replaces an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The changes, in the order in which they were made.
    pub changes: Vec<(Family, Bytes, Change)>,
    /// Journals, and the last key of each that is given up. They come after the changes.
    pub trims: Vec<(Family, Bytes)>,
}

impl Batch {
    /// Adds a put.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push((family, key.into(), Change::Put(value.into())));
    }

    /// Adds a delete.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        self.changes.push((family, key.into(), Change::Delete));
    }

    /// Gives up the beginning of a journal, up to and including `through`. Whoever writes knows where it begins from
    /// then on, and reads nothing before: the engine may still show some of it, until it is worth the while to remove
    /// it.
    pub fn trim(&mut self, journal: Family, through: impl Into<Bytes>) {
        self.trims.push((journal, through.into()));
    }
}

/// Which keys a scan visits.
#[derive(Clone, Debug)]
pub struct ScanRange {
    /// Where it starts.
    pub start: Bound<Bytes>,
    /// Where it ends.
    pub end: Bound<Bytes>,
}

impl ScanRange {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        let end = match end.last_mut() {
            Some(last) => {
                *last += 1;
                Bound::Excluded(Bytes::from(end))
            }
            None => Bound::Unbounded,
        };
        ScanRange { start: Bound::Included(Bytes::copy_from_slice(prefix)), end }
    }

    /// The keys from `start` to before `end`.
    pub fn between(start: Bytes, end: Bytes) -> Self {
        ScanRange { start: Bound::Included(start), end: Bound::Excluded(end) }
    }

    /// The same range, but only the keys after `key`.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        self.start = Bound::Excluded(Bytes::copy_from_slice(key));
        self
    }

    /// The same range as its first key, inclusive, and its end, exclusive (none: open). The key behind another is that
    /// key with a zero byte added. None if no key can lie in the range.
    pub(crate) fn half_open(self) -> Option<(Bytes, Option<Bytes>)> {
        let behind = |key: Bytes| Bytes::from([&key[..], &[0]].concat());
        let start = match self.start {
            Bound::Included(key) => key,
            Bound::Excluded(key) => behind(key),
            Bound::Unbounded => Bytes::new(),
        };
        let end = match self.end {
            Bound::Included(key) => Some(behind(key)),
            Bound::Excluded(key) => Some(key),
            Bound::Unbounded => None,
        };
        if end.as_ref().is_some_and(|end| *end <= start) {
            return None;
        }
        Some((start, end))
    }
}

/// In which order a scan visits keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From the first.
    #[default]
    Ascending,
    /// From the last.
    Descending,
}

/// The state at one moment, whatever is written meanwhile.
pub trait StateView {
    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// As [`StateStore::scan`], from either end.
    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError>;
}

/// The applied state on its medium.
///
/// A write is visible once it returns and durable by the next [`flush`](StateStore::flush). After a power cut the state
/// is that after some write not older than the last flush: never part of a batch, never a later write without an
/// earlier one.
pub trait StateStore: Send + Sync + 'static {
    /// The value of a key. May be called on the runtime's thread.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError>;

    /// The values of `keys`, which are in ascending order, as [`get`](Self::get) gives each. An engine that keeps keys
    /// together which lie together reads them together. May be called on the runtime's thread, with a few keys.
    fn get_sorted(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, StorageError> {
        keys.iter().map(|key| self.get(family, key)).collect()
    }

    /// The keys and values in `range`, in the order of their bytes, at most `limit` and not much more than `bytes_max`.
    /// Blocks: not for the runtime's thread when `limit` is large.
    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError>;

    /// Shows `look` the state at one moment. The view must not be held for long: what it shows can't be given up, and a
    /// snapshot can't be taken in. May be called on the runtime's thread if `look` reads a few keys.
    fn view(&self, look: &mut dyn FnMut(&dyn StateView)) -> Result<(), StorageError>;

    /// Applies `batch` as a whole. May be called on the runtime's thread.
    fn write(&self, batch: Batch) -> Result<(), StorageError>;

    /// Makes durable all that was written before, and gives back the space of what was trimmed. Blocks.
    fn flush(&self) -> Result<(), StorageError>;

    /// Whether a write would be taken: an engine that makes things durable on its own account may have failed at it
    /// since, when nobody was asking. Blocks.
    ///
    /// # Errors
    /// With what has failed. What was written and not flushed may be gone then.
    fn probe(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
