//! Tells that records of certain tables have changed: for what a node keeps in memory of them. What changed, the disk
//! says.
//!
//! It costs those who write next to nothing, where a watcher, that is there for ever, would have every write noted and
//! handed about.

use crate::store::{RecordRange, TablePath};
use bytes::Bytes;
use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::watch;

/// The bells of one node. They are hung once, before anything is told.
#[derive(Default)]
pub(super) struct Bells(OnceLock<Vec<Bell>>);

struct Bell {
    /// The state keys of its table begin so.
    prefix: Bytes,
    /// Whether it is to ring once what was noted is visible.
    noted: AtomicBool,
    sender: watch::Sender<u64>,
}

impl Bells {
    /// Hangs one for each table. Each counts how often it rang.
    pub fn hang(&self, tables: impl IntoIterator<Item = TablePath>) -> Vec<watch::Receiver<u64>> {
        let bell = |table| Bell {
            prefix: RecordRange::table(table).state_range().start,
            noted: AtomicBool::new(false),
            sender: watch::channel(0).0,
        };
        let bells = self.0.get_or_init(|| tables.into_iter().map(bell).collect());
        bells.iter().map(|bell| bell.sender.subscribe()).collect()
    }

    /// Takes note of a changed key. It is not visible yet.
    pub fn note(&self, key: &[u8]) {
        for bell in self.0.get().into_iter().flatten().filter(|bell| key.starts_with(&bell.prefix)) {
            bell.noted.store(true, Ordering::Release);
        }
    }

    /// All that was replaced: everything may have changed.
    pub fn note_all(&self) {
        self.0.get().into_iter().flatten().for_each(|bell| bell.noted.store(true, Ordering::Release));
    }

    /// What was noted is visible now.
    pub fn ring(&self) {
        for bell in self.0.get().into_iter().flatten() {
            if bell.noted.load(Ordering::Acquire) && bell.noted.swap(false, Ordering::AcqRel) {
                bell.sender.send_modify(|count| *count += 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::wire::Namespace;

    #[test]
    fn a_bell_rings_for_its_own_table_once_that_is_visible() {
        let table = |name: &'static str| TablePath::reserved(Namespace::default(), name);
        let bells = Bells::default();
        bells.note(&table("a").state_key("x"));
        let mut rung = bells.hang([table("a"), table("b")]);
        let mut heard = || rung.iter_mut().map(|bell| *bell.borrow_and_update()).collect::<Vec<_>>();
        bells.note(&table("a").state_key("x"));
        bells.note(&table("ab").state_key("x"));
        assert_eq!(heard(), [0, 0]);
        bells.ring();
        bells.ring();
        assert_eq!(heard(), [1, 0]);
        bells.note_all();
        bells.ring();
        assert_eq!(heard(), [2, 1]);
    }
}
