//! The state as a command sees it: what was applied before, and the changes of the batch so far.

use bytes::Bytes;
use micro_storage::{Batch, Change, Family, ScanRange, StateStore, StorageError};
use std::collections::BTreeMap;

/// Reads see every earlier command, also those of the same batch that are not written yet.
///
/// A storage failure while applying has no good answer: the caller stops the replica, since going on would make it
/// differ from the others. So reads return [`StorageError`], and [`Transaction::fail`] keeps the first one.
pub struct Transaction<'a> {
    store: &'a dyn StateStore,
    changes: BTreeMap<(Family, Bytes), Change>,
    bytes: usize,
    failure: Option<StorageError>,
}

impl<'a> Transaction<'a> {
    /// An empty batch over `store`.
    pub fn new(store: &'a dyn StateStore) -> Self {
        Transaction { store, changes: BTreeMap::new(), bytes: 0, failure: None }
    }

    /// The value of a key.
    pub fn get(&mut self, family: Family, key: &Bytes) -> Option<Bytes> {
        match self.changes.get(&(family, key.clone())) {
            Some(Change::Put(value)) => return Some(value.clone()),
            Some(Change::Delete) => return None,
            None => {}
        }
        match self.store.get(family, key) {
            Ok(value) => value,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// The first `limit` keys and values that begin with `prefix`, in order.
    pub fn scan_prefix(&mut self, family: Family, prefix: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        // A change of the batch can hide at most as many stored keys as there are changes.
        let hidden = self.changes.len();
        let stored = self.store.scan(family, ScanRange::prefix(prefix), limit + hidden, usize::MAX);
        let mut merged: BTreeMap<Bytes, Bytes> = match stored {
            Ok(pairs) => pairs.into_iter().collect(),
            Err(error) => {
                self.fail(error);
                return Vec::new();
            }
        };
        let from = (family, Bytes::copy_from_slice(prefix));
        for ((of, key), change) in self.changes.range(from..) {
            if *of != family || !key.starts_with(prefix) {
                break;
            }
            match change {
                Change::Put(value) => merged.insert(key.clone(), value.clone()),
                Change::Delete => merged.remove(key),
            };
        }
        merged.into_iter().take(limit).collect()
    }

    /// Sets a key.
    pub fn put(&mut self, family: Family, key: Bytes, value: Bytes) {
        self.bytes += key.len() + value.len();
        self.changes.insert((family, key), Change::Put(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: Bytes) {
        self.bytes += key.len();
        self.changes.insert((family, key), Change::Delete);
    }

    /// The bytes of the changes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that the storage failed.
    fn fail(&mut self, error: StorageError) {
        self.failure.get_or_insert(error);
    }

    /// The changes as one batch, or the failure that was met.
    pub(crate) fn finish(self) -> Result<Batch, StorageError> {
        match self.failure {
            Some(error) => Err(error),
            None => {
                let changes = self.changes.into_iter();
                Ok(Batch { changes: changes.map(|((family, key), change)| (family, key, change)).collect() })
            }
        }
    }
}
