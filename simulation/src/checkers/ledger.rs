//! All entries ever known to be committed.

use crate::sighting::{Line, NodeSight, Sighting};
use std::collections::BTreeMap;

/// An entry that is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The entry.
    pub line: Line,
    /// A term by which it was committed: that of the node which said so first.
    pub by_term: u64,
}

/// An entry that a node says is committed.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Who says so.
    pub node: String,
    /// Where it lies.
    pub index: u64,
    /// The entry there.
    pub line: Line,
    /// What was known of this index before, if anything was.
    pub known: Option<Committed>,
}

/// All entries ever known to be committed, and how far each node's have been read.
#[derive(Default)]
pub struct Ledger {
    /// By index.
    pub entries: BTreeMap<u64, Committed>,
    read: BTreeMap<String, u64>,
}

impl Ledger {
    /// Takes in what the nodes say and returns it. Entries that disagree with what is known change nothing.
    ///
    /// A node says that an index and its term are committed, but its durable log may lag behind what it has
    /// in memory and hold an old tail still. So its entries are taken only if the one at the committed
    /// index is there with that term: those before it are then the right ones too.
    pub fn learn(&mut self, sighting: &Sighting) -> Vec<Learned> {
        let mut learned = Vec::new();
        for (name, node, progress) in sighting.running() {
            let Some(committed) = progress.committed else { continue };
            if node.log.get(&committed.index).is_some_and(|line| line.term == committed.term) {
                self.read_through(name, node, committed.index, progress.term, &mut learned);
            }
        }
        learned
    }

    fn read_through(
        &mut self,
        name: &str,
        node: &NodeSight,
        through: u64,
        by_term: u64,
        learned: &mut Vec<Learned>,
    ) {
        let read = self.read.entry(name.to_owned()).or_default();
        let from = node.fresh_from.map_or(*read + 1, |fresh| fresh.min(*read + 1));
        *read = through.max(*read);
        if from > through {
            return;
        }
        for (index, line) in node.log.range(from..=through) {
            let known = self.entries.get(index).copied();
            if known.is_none() {
                self.entries.insert(*index, Committed { line: *line, by_term });
            }
            learned.push(Learned { node: name.to_owned(), index: *index, line: *line, known });
        }
    }
}
