//! The state as a command sees it: what was applied before, and the changes of the batch so far.

use bytes::Bytes;
use micro_storage::{Batch, Change, Family, ScanRange, StateStore, StorageError};
use std::{collections::BTreeMap, ops::Range};

/// Reads see every earlier command, also those of the same batch that are not written yet.
///
/// A storage failure while applying has no good answer: the caller stops the replica, since going on would make it
/// differ from the others. So reads return [`StorageError`], and [`Transaction::fail`] keeps the first one.
pub struct Transaction<'a> {
    store: &'a dyn StateStore,
    /// By the number of the family.
    changes: [Changes; Family::ALL.len()],
    /// Journals, and the last key of each that is given up.
    trims: BTreeMap<Family, Bytes>,
    bytes: usize,
    failure: Option<StorageError>,
    /// What was read ahead of a family, by key.
    foreseen: (Family, Vec<(Bytes, Option<Bytes>)>),
    /// While something is attempted: what its changes replaced, in order.
    replaced: Option<Vec<Replaced>>,
}

/// A key, and the change that it had before.
type Replaced = (Family, Bytes, Option<Change>);

/// The changes of one family.
#[derive(Default)]
struct Changes {
    /// Keys that each came behind all before them, as those of a journal do, and of records that are loaded in order:
    /// nothing has to be sorted.
    appended: Vec<(Bytes, Change)>,
    /// All others. What is here is newer than what is appended.
    by_key: BTreeMap<Bytes, Change>,
}

impl Changes {
    fn get(&self, key: &Bytes) -> Option<&Change> {
        self.by_key.get(key).or_else(|| self.appended(key))
    }

    fn appended(&self, key: &Bytes) -> Option<&Change> {
        let place = self.appended.binary_search_by(|(appended, _)| appended.cmp(key)).ok()?;
        Some(&self.appended[place].1)
    }

    /// Changes a key, at little cost one behind all others. Returns the change that it had before.
    fn set(&mut self, key: Bytes, change: Change) -> Option<Change> {
        let follows = |last: &(Bytes, Change)| last.0 < key;
        if self.by_key.is_empty() && self.appended.last().is_none_or(follows) {
            self.appended.push((key, change));
            return None;
        }
        let appended = match self.appended.is_empty() {
            true => None,
            false => self.get(&key).cloned(),
        };
        self.by_key.insert(key, change).or(appended)
    }

    /// Takes the last change of a key back, which had `before` until then.
    fn take_back(&mut self, key: Bytes, before: Option<Change>) {
        if let Some(change) = before {
            // What is appended is there still.
            match self.appended(&key) == Some(&change) {
                true => self.by_key.remove(&key),
                false => self.by_key.insert(key, change),
            };
            return;
        }
        self.by_key.remove(&key);
        // What was appended after it is taken back already.
        self.appended.pop_if(|(last, _)| *last == key);
    }

    /// The changes in `range`, an older one of the same key first.
    fn within(&self, range: &Range<Bytes>) -> impl Iterator<Item = (&Bytes, &Change)> {
        let appended = self.appended.iter().map(|(key, change)| (key, change));
        let by_key = self.by_key.range(range.start.clone()..range.end.clone());
        appended.filter(|(key, _)| range.contains(*key)).chain(by_key)
    }
}

/// The keys that the first look at the store reads at most while scanning: a scan that ends early has not read much
/// more than it returns. Each further look reads up to four times as many.
const CHUNK_KEYS: usize = 64;
/// The keys that any look reads at most.
const CHUNK_KEYS_MAX: usize = 4096;
/// The bytes of such a look.
const CHUNK_BYTES: usize = 1 << 20;

impl<'a> Transaction<'a> {
    /// An empty batch over `store`.
    pub fn new(store: &'a dyn StateStore) -> Self {
        let (changes, trims, foreseen) = (Default::default(), BTreeMap::new(), (Family::Store, Vec::new()));
        Transaction { store, changes, trims, bytes: 0, failure: None, foreseen, replaced: None }
    }

    /// The value of a key.
    pub fn get(&mut self, family: Family, key: &Bytes) -> Option<Bytes> {
        match self.changes[family as usize].get(key) {
            Some(Change::Put(value)) => return Some(value.clone()),
            Some(Change::Delete) => return None,
            None => {}
        }
        if let Some(value) = self.foreseen_value(family, key) {
            return value;
        }
        match self.store.get(family, key) {
            Ok(value) => value,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Reads what is stored of these keys, all at once: to get one of them is cheap then, until others are foreseen.
    /// Their values are held meanwhile, so there should not be many.
    pub fn foresee(&mut self, family: Family, keys: impl Iterator<Item = Bytes>) {
        let mut keys: Vec<Bytes> = keys.collect();
        keys.sort_unstable();
        keys.dedup();
        self.foreseen = (family, Vec::new());
        if keys.len() < 2 {
            return;
        }
        match self.store.get_sorted(family, &keys) {
            Ok(values) => self.foreseen.1 = keys.into_iter().zip(values).collect(),
            Err(error) => self.fail(error),
        }
    }

    fn foreseen_value(&self, family: Family, key: &Bytes) -> Option<Option<Bytes>> {
        let (of, values) = &self.foreseen;
        if *of != family || values.is_empty() {
            return None;
        }
        let place = values.binary_search_by(|(foreseen, _)| foreseen.cmp(key)).ok()?;
        Some(values[place].1.clone())
    }

    /// The keys and values in `range` (its end excluded), in order, at most `limit` and not much more than `bytes_max`.
    pub fn scan(
        &mut self,
        family: Family,
        range: Range<Bytes>,
        limit: usize,
        bytes_max: usize,
    ) -> Vec<(Bytes, Bytes)> {
        let Range { mut start, end } = range;
        let (mut found, mut bytes, mut chunk_keys) = (Vec::new(), 0, CHUNK_KEYS);
        while start < end {
            let keys = limit.clamp(1, chunk_keys);
            chunk_keys = CHUNK_KEYS_MAX.min(chunk_keys * 4);
            let piece = ScanRange::between(start.clone(), end.clone());
            let stored = match self.store.scan(family, piece, keys, CHUNK_BYTES) {
                Ok(stored) => stored,
                Err(error) => {
                    self.fail(error);
                    return Vec::new();
                }
            };
            let size: usize = stored.iter().map(|(key, value)| key.len() + value.len()).sum();
            let piece_end = match stored.last() {
                Some((last, _)) if stored.len() == keys || size >= CHUNK_BYTES => behind(last),
                _ => end.clone(),
            };
            for (key, value) in self.merged(family, stored, start..piece_end.clone()) {
                if found.len() >= limit || bytes >= bytes_max {
                    return found;
                }
                bytes += key.len() + value.len();
                found.push((key, value));
            }
            start = piece_end;
        }
        found
    }

    /// What was stored in `range`, with the changes of the batch.
    fn merged(
        &self,
        family: Family,
        stored: Vec<(Bytes, Bytes)>,
        range: Range<Bytes>,
    ) -> BTreeMap<Bytes, Bytes> {
        let mut merged: BTreeMap<Bytes, Bytes> = stored.into_iter().collect();
        for (key, change) in self.changes[family as usize].within(&range) {
            match change {
                Change::Put(value) => merged.insert(key.clone(), value.clone()),
                Change::Delete => merged.remove(key),
            };
        }
        merged
    }

    /// The first `limit` keys and values that begin with `prefix`, in order.
    pub fn scan_prefix(
        &mut self,
        family: Family,
        prefix: &'static [u8],
        limit: usize,
    ) -> Vec<(Bytes, Bytes)> {
        let mut end = prefix.to_vec();
        *end.last_mut().expect("a prefix names something") += 1;
        self.scan(family, Bytes::from_static(prefix)..end.into(), limit, usize::MAX)
    }

    /// Sets a key.
    pub fn put(&mut self, family: Family, key: Bytes, value: Bytes) {
        self.bytes += key.len() + value.len();
        self.change(family, key, Change::Put(value));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: Bytes) {
        self.bytes += key.len();
        self.change(family, key, Change::Delete);
    }

    /// Gives up the beginning of a journal, up to and including `through`: see [`Batch::trim`]. Each time further than
    /// before, and never while something is attempted.
    pub fn trim(&mut self, journal: Family, through: Bytes) {
        assert!(self.replaced.is_none(), "what is given up can't be taken back");
        self.trims.insert(journal, through);
    }

    fn change(&mut self, family: Family, key: Bytes, change: Change) {
        let changes = &mut self.changes[family as usize];
        match &mut self.replaced {
            Some(replaced) => {
                let before = changes.set(key.clone(), change);
                replaced.push((family, key, before));
            }
            None => drop(changes.set(key, change)),
        }
    }

    /// Does `work`; if it gives up, none of its changes were made. Attempts don't nest.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn attempt<T, E>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        assert!(self.replaced.is_none(), "an attempt within an attempt could not be taken back alone");
        self.replaced = Some(Vec::new());
        let done = work(self);
        let replaced = self.replaced.take().unwrap_or_default();
        if done.is_err() {
            for (family, key, before) in replaced.into_iter().rev() {
                self.changes[family as usize].take_back(key, before);
            }
        }
        done
    }

    /// The bytes of the changes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that the storage failed.
    fn fail(&mut self, error: StorageError) {
        self.failure.get_or_insert(error);
    }

    /// The changes as one batch.
    ///
    /// # Errors
    /// The first failure that was met.
    pub fn finish(self) -> Result<Batch, StorageError> {
        match self.failure {
            Some(error) => Err(error),
            None => {
                let count = self.changes.iter().map(|of| of.appended.len() + of.by_key.len()).sum();
                let mut changes = Vec::with_capacity(count);
                for (family, of) in Family::ALL.into_iter().zip(self.changes) {
                    let all = of.appended.into_iter().chain(of.by_key);
                    changes.extend(all.map(|(key, change)| (family, key, change)));
                }
                Ok(Batch { changes, trims: self.trims.into_iter().collect() })
            }
        }
    }
}

/// The key right behind another.
fn behind(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_storage::memory::{self, MemoryDisk};
    use std::sync::Arc;

    struct Never;

    impl micro_sdk::wire::Timer for Never {
        fn after(&self, _: std::time::Duration, _: micro_sdk::wire::Job) {}
    }

    fn key(number: u32) -> Bytes {
        format!("k{number:03}").into()
    }

    fn numbers(found: Vec<(Bytes, Bytes)>) -> Vec<u32> {
        let number = |key: Bytes| String::from_utf8_lossy(&key[1..]).parse().expect("keys are numbers");
        found.into_iter().map(|(key, _)| number(key)).collect()
    }

    #[test]
    fn a_scan_shows_the_store_and_the_batch_as_one() {
        let storage = memory::open(&MemoryDisk::new(), Arc::new(Never)).expect("an empty disk opens");
        let mut stored = Batch::default();
        for number in (0..400).filter(|number| number % 2 == 0) {
            stored.put(Family::Store, key(number), "s");
        }
        storage.state.write(stored).expect("a healthy disk takes it");
        let mut changes = Transaction::new(&*storage.state);
        for number in (0..400).filter(|number| number % 3 == 0) {
            match number % 2 {
                0 => changes.delete(Family::Store, key(number)),
                _ => changes.put(Family::Store, key(number), "c".into()),
            }
        }
        let expected: Vec<u32> = (10..390).filter(|number| (number % 2 == 0) != (number % 3 == 0)).collect();
        let mut scan = |limit, bytes| numbers(changes.scan(Family::Store, key(10)..key(390), limit, bytes));
        assert_eq!(scan(usize::MAX, usize::MAX), expected);
        assert_eq!(scan(100, usize::MAX), expected[..100]);
        assert_eq!(scan(1, usize::MAX), expected[..1]);
        assert_eq!(scan(usize::MAX, 11), expected[..3]);
        assert!(scan(0, usize::MAX).is_empty());
    }

    #[test]
    fn what_was_foreseen_is_what_is_there() {
        let storage = memory::open(&MemoryDisk::new(), Arc::new(Never)).expect("an empty disk opens");
        let mut stored = Batch::default();
        for number in [1, 3, 5] {
            stored.put(Family::Store, key(number), format!("s{number}"));
        }
        storage.state.write(stored).expect("a healthy disk takes it");
        let mut changes = Transaction::new(&*storage.state);
        changes.put(Family::Store, key(3), "c3".into());
        changes.foresee(Family::Store, [5, 4, 3, 5, 1].map(key).into_iter());
        changes.delete(Family::Store, key(1));
        let found = [1, 2, 3, 4, 5].map(|number| changes.get(Family::Store, &key(number)));
        assert_eq!(found, [None, None, Some("c3".into()), None, Some("s5".into())]);
        assert_eq!(changes.get(Family::History, &key(5)), None, "another family");
    }

    #[test]
    fn a_journal_shows_what_was_appended_and_what_was_changed_after() {
        let storage = memory::open(&MemoryDisk::new(), Arc::new(Never)).expect("an empty disk opens");
        let mut changes = Transaction::new(&*storage.state);
        for number in [2, 4, 6] {
            changes.put(Family::History, key(number), "appended".into());
        }
        changes.put(Family::History, key(3), "between".into());
        changes.put(Family::History, key(4), "again".into());
        changes.put(Family::History, key(8), "appended".into());
        changes.delete(Family::History, key(6));
        assert_eq!(changes.get(Family::History, &key(2)), Some("appended".into()));
        assert_eq!(changes.get(Family::History, &key(4)), Some("again".into()));
        assert_eq!(changes.get(Family::History, &key(6)), None);
        let found = changes.scan(Family::History, key(3)..key(9), usize::MAX, usize::MAX);
        assert_eq!(numbers(found), [3, 4, 8]);
        storage.state.write(changes.finish().expect("nothing failed")).expect("a healthy disk takes it");
        assert_eq!(storage.state.get(Family::History, &key(4)).expect("it reads"), Some("again".into()));
        assert_eq!(storage.state.get(Family::History, &key(6)).expect("it reads"), None);
    }

    #[test]
    fn an_attempt_that_gives_up_leaves_nothing() {
        let storage = memory::open(&MemoryDisk::new(), Arc::new(Never)).expect("an empty disk opens");
        let mut changes = Transaction::new(&*storage.state);
        changes.put(Family::Store, key(1), "before".into());
        let given_up: Result<(), ()> = changes.attempt(|changes| {
            changes.put(Family::Store, key(1), "one".into());
            changes.put(Family::Store, key(1), "two".into());
            changes.delete(Family::Store, key(2));
            Err(())
        });
        assert!(given_up.is_err());
        assert_eq!(changes.get(Family::Store, &key(1)), Some("before".into()));
        let done: Result<(), ()> = changes.attempt(|changes| {
            changes.put(Family::Store, key(3), "kept".into());
            Ok(())
        });
        assert!(done.is_ok());
        let given_up: Result<(), ()> = changes.attempt(|changes| {
            changes.put(Family::History, key(6), "given up".into());
            changes.put(Family::History, key(6), "again".into());
            Err(())
        });
        assert!(given_up.is_err() && changes.get(Family::History, &key(6)).is_none());
        changes.trim(Family::History, key(4));
        changes.trim(Family::History, key(5));
        let batch = changes.finish().expect("nothing failed");
        assert_eq!(batch.changes.len(), 2);
        assert_eq!(batch.trims, [(Family::History, key(5))]);
    }
}
