//! The buckets of those who were here lately.

use super::rate::{Bucket, Rate};
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// How many of one kind are known at once, in about 2 MiB. Who floods from more addresses than these is not kept out by
/// counting addresses.
const KNOWN_MAX: usize = 32 << 10;

/// Buckets by who they are of. At most [`KNOWN_MAX`] are kept: of those, who was here lately.
///
/// Two generations stand in for an order of use: who is met is put among the young, and when these are half of all, the
/// old ones are forgotten and the young ones are old. So whoever goes on is never forgotten.
#[derive(Default)]
pub(super) struct Table {
    /// Nobody outside knows it, so nobody can choose to be taken for another.
    hasher: RandomState,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<u64, Bucket>,
    old: HashMap<u64, Bucket>,
}

impl Table {
    /// Takes one from the bucket of `who`.
    ///
    /// # Errors
    /// How long it takes until there is one.
    pub fn take(&self, who: impl Hash, rate: Rate, now: Duration) -> Result<(), Duration> {
        self.with(who, |bucket| bucket.take(rate, now))
    }

    /// Gives one back to the bucket of `who`.
    pub fn give_back(&self, who: impl Hash, rate: Rate) {
        self.with(who, |bucket| bucket.give_back(rate));
    }

    fn with<T>(&self, who: impl Hash, change: impl FnOnce(&mut Bucket) -> T) -> T {
        let key = self.hasher.hash_one(who);
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &mut *generations;
        if let Some(bucket) = young.get_mut(&key) {
            return change(bucket);
        }
        if young.len() >= KNOWN_MAX / 2 {
            *old = std::mem::take(young);
        }
        let known = old.remove(&key);
        change(young.entry(key).or_insert_with(|| known.unwrap_or_default()))
    }

    #[cfg(test)]
    fn known(&self) -> usize {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.len() + generations.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn who_goes_on_is_remembered_however_many_others_come() {
        let table = Table::default();
        let rate = Rate::new(NonZeroU32::MIN, 1);
        let take = |who: u32| table.take(who, rate, Duration::ZERO).is_ok();
        assert!(take(0));
        for other in 1..200_000 {
            assert!(take(other), "it is new");
            if other % 1000 == 0 {
                assert!(!take(0), "it has had its share");
            }
        }
        assert!(table.known() <= KNOWN_MAX, "{} are known", table.known());
    }
}
