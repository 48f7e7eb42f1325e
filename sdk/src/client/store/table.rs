//! A table whose values are JSON of one type.

use super::{Delete, DeleteRange, Get, List, Put, Record, Store, Transaction, WatchRange, range::Range};
use crate::wire::{Code, Fault};
use bytes::Bytes;
use futures::Stream;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, marker::PhantomData};

/// A table whose values are JSON of a `T`. Cloning is cheap.
pub struct Table<T> {
    store: Store,
    of: PhantomData<fn() -> T>,
}

impl<T> Table<T> {
    /// The same table, with values as bytes: for comparisons, too.
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    pub(super) fn new(store: Store) -> Table<T> {
        Table { store, of: PhantomData }
    }

    /// Writes `value` under `key`. Acknowledged once a quorum has it on disk; `Usage` if it can't be JSON.
    pub fn put(&self, key: impl Into<String>, value: &T) -> Put {
        let value = serde_json::to_vec(value).map(Bytes::from);
        let value =
            value.map_err(|error| Fault::new(Code::Usage, format!("the value can't be JSON: {error}")));
        Put::new(self.store.clone(), key.into(), value)
    }

    /// Reads the record under `key`.
    pub fn get(&self, key: impl Into<String>) -> Get<T> {
        Get::new(self.store.clone(), key.into(), Record::typed)
    }

    /// Deletes the record under `key`.
    pub fn delete(&self, key: impl Into<String>) -> Delete {
        self.store.delete(key)
    }

    /// Deletes the records whose keys start with `prefix`.
    pub fn delete_range(&self, prefix: impl Into<String>) -> DeleteRange {
        self.store.delete_range(prefix)
    }

    /// Lists the records whose keys start with `prefix`, a page at a time.
    pub fn list(&self, prefix: impl Into<String>) -> List<T> {
        List::new(self.store.clone(), prefix.into(), Record::typed)
    }

    /// All records whose keys start with `prefix`, as of one moment.
    pub fn scan(&self, prefix: &str) -> impl Stream<Item = Result<Record<T>, Fault>> + Send + use<T>
    where
        T: Send + 'static,
    {
        self.list(prefix).scan()
    }

    /// Watches the records whose keys start with `prefix`. A value that is no `T` ends it.
    pub fn watch(&self, prefix: impl Into<String>) -> WatchRange<T> {
        WatchRange::new(self.store.clone(), Range::prefix(prefix), Record::typed)
    }

    /// Watches the record under `key`.
    pub fn watch_key(&self, key: impl Into<String>) -> WatchRange<T> {
        WatchRange::new(self.store.clone(), Range::key(key), Record::typed)
    }

    /// A transaction, which may reach into other tables, too.
    pub fn txn(&self) -> Transaction {
        self.store.txn()
    }
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Table { store: self.store.clone(), of: PhantomData }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Table").field(&self.store).finish()
    }
}
