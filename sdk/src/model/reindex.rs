//! Builds indexes over records that are there already.
//!
//! ```text
//!   records, a batch after another, by id ──► entries that are missing: made, if no record of the batch has changed
//!     └─ the end ──► the indexes are built ──► entries, one after another ──► those that no record bears: removed
//! ```
//!
//! How far it has come is written along with each batch, so that one that is cut off goes on there. Two at once do no
//! harm: each makes only what is missing, and only what is true at that moment.

use super::{Entity, Index, Model, attempts::Attempts, change::holder, index::Entry};
use crate::{
    client::{Compare, Record, TRANSACTION_OPS_MAX},
    wire::{Code, Fault},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The records of a batch at most: one of small records is read and written in some milliseconds, and a writer in its
/// midst costs as much again.
const BATCH_MAX: usize = 100;
/// How many entries are looked at together.
const AT_ONCE: usize = 32;
/// The key of the record that says how far it has come. Those of entries have a slash.
const KEY: &str = "reindexing";

/// What a [reindexing](Model::reindex) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reindexed {
    /// How many records it looked at.
    pub records: u64,
    /// How many entries it made.
    pub added: u64,
    /// How many entries it removed.
    pub removed: u64,
}

/// How far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// The indexes that are being built, by label.
    labels: BTreeSet<String>,
    /// The id of the last record that is done.
    after: String,
}

/// What was made of a batch.
enum Batch {
    /// All entries are there: so many were made.
    Done(u64),
    /// A record has changed, or an entry was in the way that is gone now. Nothing was made.
    Moved,
}

pub(super) async fn reindex<T: Entity>(model: &Model<T>) -> Result<Reindexed, Fault> {
    let mut done = Reindexed::default();
    let labels: BTreeSet<String> = model.indexes.iter().map(Index::label).collect();
    let progress = model.entries.typed::<Progress>().get(KEY).await?.map(|record| record.value);
    let mut progress = progress
        .filter(|progress| progress.labels == labels)
        .unwrap_or_else(|| Progress { labels: labels.clone(), after: String::new() });
    // Each record with all its entries: a comparison with it, and with each entry, and a write of each.
    let batch_max = (TRANSACTION_OPS_MAX / (2 * model.indexes.len() + 2)).clamp(1, BATCH_MAX);
    let mut size = batch_max;
    let mut attempts = Attempts::default();
    loop {
        let limit = u32::try_from(size).unwrap_or(u32::MAX);
        let page = model.records.store().list("").after(&progress.after).limit(limit).await?;
        let Some(last) = page.records.last() else { break };
        let next = Progress { after: last.key.clone(), ..progress.clone() };
        match model.build(&page.records, &next).await? {
            Batch::Done(added) => {
                done.records += page.records.len() as u64;
                done.added += added;
                (progress, size, attempts) = (next, batch_max, Attempts::default());
            }
            // A smaller one is changed by others less often.
            Batch::Moved => {
                attempts.pause(|| format!("{} behind {:?}", T::NAME, progress.after)).await?;
                size = (size / 2).max(1);
            }
        }
    }
    let built = |readiness: &mut super::readiness::Readiness| readiness.built.extend(labels.iter().cloned());
    model.declare(built, |txn| txn.then(model.entries.delete(KEY))).await?;
    done.removed = model.sweep().await?;
    Ok(done)
}

impl<T: Entity> Model<T> {
    /// Makes the entries of these records that are missing.
    async fn build(&self, records: &[Record], next: &Progress) -> Result<Batch, Fault> {
        let mut wanted: Vec<(&Record, Entry)> = Vec::new();
        let mut bearers: BTreeMap<String, &Record> = BTreeMap::new();
        for record in records {
            for entry in self.entries_of(&record.json::<T>()?, &record.key)? {
                if let Some(other) = bearers.insert(entry.key.clone(), record) {
                    return Err(self.shared(&entry, &other.key, &record.key));
                }
                wanted.push((record, entry));
            }
        }
        let reads: Vec<_> =
            wanted.iter().map(|(_, entry)| self.entries.get(&entry.key).into_future()).collect();
        let found: Vec<Option<Record>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;

        let mut txn = self.entries.txn().then(self.entries.typed().put(KEY, next));
        for record in records {
            txn = txn.when(Compare::version(self.records.store(), &record.key, record.version));
        }
        let mut added = 0;
        for ((record, entry), found) in wanted.iter().zip(found) {
            match found {
                Some(found) if found.value == record.key.as_bytes() => {}
                Some(found) => {
                    if !self.clear(entry, &found).await? {
                        return Err(self.shared(entry, &holder(&found)?, &record.key));
                    }
                    return Ok(Batch::Moved);
                }
                None => {
                    txn = txn.when(Compare::absent(&self.entries, &entry.key));
                    txn = txn.then(self.entries.put(&entry.key, record.key.clone()));
                    added += 1;
                }
            }
        }
        Ok(if txn.await?.held { Batch::Done(added) } else { Batch::Moved })
    }

    /// Removes the entries that no record bears. Tells how many.
    async fn sweep(&self) -> Result<u64, Fault> {
        let mut removed = 0;
        for (number, index) in self.indexes.iter().enumerate() {
            let entries = self.entries.scan(&format!("{}/", index.label()));
            let cleared = entries.map(|found| async move {
                let found = found?;
                let entry = Entry { key: found.key.clone(), index: number };
                // Most are borne: that is seen without a write.
                self.clear(&entry, &found).await
            });
            let cleared = cleared.buffer_unordered(AT_ONCE);
            removed +=
                cleared.try_fold(0, |sum, cleared| async move { Ok(sum + u64::from(cleared)) }).await?;
        }
        Ok(removed)
    }

    /// The refusal to build a unique index over records that share a value.
    fn shared(&self, entry: &Entry, one: &str, other: &str) -> Fault {
        let index = self.indexes[entry.index].name();
        let message =
            format!("{} {one:?} and {other:?} have the same {index}, which is to be unique", T::NAME);
        Fault::new(Code::Conflict, message)
            .help("change one of them, and reindex again: it goes on from there")
    }
}
