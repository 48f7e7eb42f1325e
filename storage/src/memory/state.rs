//! The applied state: writes are visible at once, and can be undone back to the last flush.

use super::disk::{Disk, Handle};
use crate::{Batch, Change, Family, Order, ScanRange, StateStore, StateView, StorageError};
use bytes::Bytes;
use rand::{Rng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    ops::Bound,
    sync::MutexGuard,
};

/// Families with their keys and values.
pub(super) type Families = BTreeMap<Family, BTreeMap<Bytes, Bytes>>;

/// How many writes a crash can take back. Beyond it the oldest become durable by themselves, as a kernel writes back
/// old pages.
const UNFLUSHED_COUNT_MAX: usize = 1024;

/// The state on the disk.
#[derive(Default)]
pub(super) struct StatePlatter {
    families: Families,
    /// For each write since the last flush, oldest first: what its keys held before.
    before: VecDeque<Vec<Before>>,
    /// The keys whose values are not what was written.
    rotten: BTreeSet<(Family, Bytes)>,
}

/// What a key held before a write.
struct Before {
    family: Family,
    key: Bytes,
    value: Option<Bytes>,
    /// Whether that was not what was written.
    rotten: bool,
}

impl StatePlatter {
    /// All of it, for a copy.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if any of it is damaged.
    pub fn whole(&self) -> Result<&Families, StorageError> {
        match self.rotten.first() {
            Some((family, key)) => Err(rotten(*family, key)),
            None => Ok(&self.families),
        }
    }

    /// Takes the place of all, durably.
    pub fn replace(&mut self, families: Families) {
        self.families = families;
        self.before.clear();
        self.rotten.clear();
    }

    /// Flips one bit of one value: of one that is on the disk, if there is any, so that a crash does not undo it.
    /// Whoever reads it notices, if it is to be `seen`.
    pub fn rot(&mut self, rng: &mut SmallRng, seen: bool) -> Option<(Family, Bytes)> {
        let unflushed: BTreeSet<(Family, &Bytes)> =
            self.before.iter().flatten().map(|before| (before.family, &before.key)).collect();
        let values = self.families.iter().flat_map(|(family, keys)| keys.iter().map(move |of| (*family, of)));
        let values = values.filter(|(_, (_, value))| !value.is_empty());
        let (in_memory, on_disk): (Vec<_>, Vec<_>) =
            values.partition(|(family, (key, _))| unflushed.contains(&(*family, *key)));
        let values = if on_disk.is_empty() { in_memory } else { on_disk };
        let (family, (key, value)) = *values.get(rng.random_range(0..values.len().max(1)))?;
        let (key, mut changed) = (key.clone(), value.to_vec());
        let bit = rng.random_range(0..changed.len() * 8);
        changed[bit / 8] ^= 1 << (bit % 8);
        self.set(family, key.clone(), Some(changed.into()));
        if seen {
            self.rotten.insert((family, key.clone()));
        }
        Some((family, key))
    }

    pub fn unflushed_count(&self) -> usize {
        self.before.len()
    }

    /// Takes back the last `count` writes. What remains is on the disk.
    pub fn undo(&mut self, count: usize) {
        for _ in 0..count {
            for Before { family, key, value, rotten } in self.before.pop_back().into_iter().flatten().rev() {
                self.set(family, key.clone(), value);
                if rotten {
                    self.rotten.insert((family, key));
                }
            }
        }
        self.before.clear();
    }

    fn set(&mut self, family: Family, key: Bytes, value: Option<Bytes>) -> Before {
        let rotten = self.rotten.remove(&(family, key.clone()));
        let keys = self.families.entry(family).or_default();
        let value = match value {
            Some(value) => keys.insert(key.clone(), value),
            None => keys.remove(&key),
        };
        Before { family, key, value, rotten }
    }

    fn write(&mut self, batch: Batch) {
        let mut before = Vec::with_capacity(batch.changes.len());
        for (family, key, change) in batch.changes {
            let value = match change {
                Change::Put(value) => Some(value),
                Change::Delete => None,
            };
            before.push(self.set(family, key, value));
        }
        for (journal, through) in batch.trims {
            let keys = self.families.entry(journal).or_default();
            let gone: Vec<Bytes> = keys.range(..=through).map(|(key, _)| key.clone()).collect();
            for key in gone {
                before.push(self.set(journal, key, None));
            }
        }
        self.before.push_back(before);
        if self.before.len() > UNFLUSHED_COUNT_MAX {
            self.before.pop_front();
        }
    }
}

fn rotten(family: Family, key: &[u8]) -> StorageError {
    let what = format!("the state's family {}", family.name());
    StorageError::corrupt(what, format!("the checksum of the value of {key:?} does not hold"))
}

/// Whoever looks holds the disk, so that nothing is written meanwhile.
impl StateView for StatePlatter {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let found = self.families.get(&family).and_then(|keys| keys.get_key_value(key));
        let Some((key, value)) = found else { return Ok(None) };
        if self.rotten.contains(&(family, key.clone())) {
            return Err(rotten(family, key));
        }
        Ok(Some(value.clone()))
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        let Some((start, end)) = range.half_open() else { return Ok(Vec::new()) };
        let Some(keys) = self.families.get(&family) else { return Ok(Vec::new()) };
        let end = end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut within = keys.range((Bound::Included(start), end));
        let (mut found, mut bytes) = (Vec::new(), 0);
        while found.len() < limit && bytes < bytes_max {
            let next = match order {
                Order::Ascending => within.next(),
                Order::Descending => within.next_back(),
            };
            let Some((key, value)) = next else { break };
            if self.rotten.contains(&(family, key.clone())) {
                return Err(rotten(family, key));
            }
            bytes += key.len() + value.len();
            found.push((key.clone(), value.clone()));
        }
        Ok(found)
    }
}

impl Handle {
    /// The disk, to write to the state.
    fn sound(&self) -> Result<MutexGuard<'_, Disk>, StorageError> {
        let disk = self.lock_to_write()?;
        match disk.faults.state_fails {
            true => Err(io::Error::other("a sync of the state has failed").into()),
            false => Ok(disk),
        }
    }
}

impl StateStore for Handle {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.lock()?.state.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        self.lock()?.state.scan(family, range, Order::Ascending, limit, bytes_max)
    }

    fn view(&self, look: &mut dyn FnMut(&dyn StateView)) -> Result<(), StorageError> {
        look(&self.lock()?.state);
        Ok(())
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.sound()?.state.write(batch);
        Ok(())
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.sound()?.state.before.clear();
        Ok(())
    }

    fn probe(&self) -> Result<(), StorageError> {
        self.sound().map(drop)
    }
}
