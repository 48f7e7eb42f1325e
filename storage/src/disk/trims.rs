//! Which beginnings of journals may be removed from the disk.
//!
//! They are removed as whole files, which costs nothing, and can't be taken back. So two things come first: the trim is
//! durable, or a power cut would bring back a state that still counts on them; and nobody looks any more at a moment
//! before the trim.

use crate::Family;
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

/// What was trimmed and may still be on the disk.
#[derive(Default)]
pub(super) struct Trims(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// How many batches have trimmed something: the name of the last of them.
    last: u64,
    /// By batch, what it trimmed.
    waiting: BTreeMap<u64, Vec<(Family, Bytes)>>,
    /// By the last batch that they see for sure, how many are looking.
    looking: BTreeMap<u64, usize>,
}

/// Somebody looks at a moment. It ends with the drop.
pub(super) struct Looking<'a> {
    trims: &'a Trims,
    last: u64,
}

impl Trims {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no code panics while it holds the trims")
    }

    /// Takes note of what a batch trimmed. It was written before.
    pub fn note(&self, trims: Vec<(Family, Bytes)>) {
        if trims.is_empty() {
            return;
        }
        let mut inner = self.inner();
        inner.last += 1;
        let batch = inner.last;
        inner.waiting.insert(batch, trims);
    }

    /// Begins to look. The moment is chosen afterwards.
    pub fn look(&self) -> Looking<'_> {
        let mut inner = self.inner();
        let last = inner.last;
        *inner.looking.entry(last).or_default() += 1;
        Looking { trims: self, last }
    }

    /// What may be removed once all that is written now is durable, the last of each journal.
    pub fn ready(&self) -> BTreeMap<Family, Bytes> {
        let mut inner = self.inner();
        let seen = inner.looking.keys().next().copied().unwrap_or(inner.last);
        let rest = inner.waiting.split_off(&(seen + 1));
        std::mem::replace(&mut inner.waiting, rest).into_values().flatten().collect()
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        let mut inner = self.trims.inner();
        let count = inner.looking.get_mut(&self.last).expect("it was counted when it began");
        *count -= 1;
        if *count == 0 {
            inner.looking.remove(&self.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trim(through: &'static str) -> Vec<(Family, Bytes)> {
        vec![(Family::History, Bytes::from(through))]
    }

    #[test]
    fn what_somebody_may_look_at_is_not_ready() {
        let trims = Trims::default();
        trims.note(trim("a"));
        let first = trims.look();
        trims.note(trim("b"));
        let second = trims.look();
        trims.note(trim("c"));
        let ready = |through: &'static str| trim(through).into_iter().collect::<BTreeMap<_, _>>();
        assert_eq!(trims.ready(), ready("a"));
        drop(second);
        assert_eq!(trims.ready(), BTreeMap::new());
        drop(first);
        assert_eq!(trims.ready(), ready("c"));
        assert_eq!(trims.ready(), BTreeMap::new(), "each is told once");
    }
}
