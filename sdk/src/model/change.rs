//! The change of one record with its entries: one transaction, or nothing.

use super::{Entity, Model, index::Entry};
use crate::{
    client::{Compare, OpResult, Record},
    wire::{Code, Effect, Fault},
};
use bytes::Bytes;

/// A record as a change finds it.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Its version; 0 if there is none.
    pub version: u64,
    /// The entries that it bears.
    pub entries: Vec<Entry>,
}

/// What came of a change.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was done, as this revision.
    Done(u64),
    /// The record has another version meanwhile; nothing was done.
    Moved,
    /// An entry was in the way that no record bears. It is gone, and nothing else was done.
    Cleared,
}

impl<T: Entity> Model<T> {
    /// The entries that `value` bears.
    pub(super) fn entries_of(&self, value: &T, id: &str) -> Result<Vec<Entry>, Fault> {
        let entry =
            |(index, of): (usize, &super::Index<T>)| Ok(of.entry(value, id)?.map(|key| Entry { key, index }));
        self.indexes.iter().enumerate().map(entry).filter_map(Result::transpose).collect()
    }

    /// What a change has to know of a record. One that is no `T` bears no entries that could be known: those that it
    /// has lead nowhere, once it is replaced.
    pub(super) fn before(&self, record: &Record) -> Before {
        let entries = record.json::<T>().and_then(|value| self.entries_of(&value, &record.key));
        Before { version: record.version, entries: entries.unwrap_or_default() }
    }

    /// Makes what was `before` into `after`, or removes it.
    ///
    /// # Errors
    /// `Conflict` if another record has a value that must be unique; those of a write.
    pub(super) async fn change(
        &self,
        id: &str,
        before: &Before,
        after: Option<&T>,
    ) -> Result<Outcome, Fault> {
        let borne = after.map(|value| self.entries_of(value, id)).transpose()?.unwrap_or_default();
        let added: Vec<&Entry> = borne.iter().filter(|entry| !before.entries.contains(entry)).collect();
        let removed = before.entries.iter().filter(|entry| !borne.contains(entry));
        let unique: Vec<&Entry> =
            added.iter().filter(|entry| self.indexes[entry.index].is_unique()).copied().collect();

        let records = self.records.store();
        let mut txn = records.txn().when(Compare::version(records, id, before.version));
        txn = txn.otherwise(records.get(id));
        for entry in &unique {
            txn =
                txn.when(Compare::absent(&self.entries, &entry.key)).otherwise(self.entries.get(&entry.key));
        }
        txn = match after {
            Some(value) => txn.then(self.records.put(id, value)),
            None => txn.then(records.delete(id)),
        };
        for entry in &added {
            txn = txn.then(self.entries.put(&entry.key, Bytes::copy_from_slice(id.as_bytes())));
        }
        for entry in removed {
            txn = txn.then(self.entries.delete(&entry.key));
        }
        let done = txn.await.map_err(|fault| self.unsure(id, fault))?;
        if done.held {
            return Ok(Outcome::Done(done.revision));
        }
        let mut found = done.results.into_iter().map(|result| match result {
            OpResult::Read(record) => record,
            _ => None,
        });
        let version = found.next().flatten().map_or(0, |record| record.version);
        if version != before.version {
            return Ok(Outcome::Moved);
        }
        // All comparisons are with what was read: one of them did not hold, so one entry is there.
        let (entry, holder) = unique
            .into_iter()
            .zip(found)
            .find_map(|(entry, found)| found.map(|found| (entry, found)))
            .ok_or_else(|| Fault::new(Code::Internal, "a transaction was refused without a reason"))?;
        match self.clear(entry, &holder).await? {
            true => Ok(Outcome::Cleared),
            false => Err(self.taken(entry, &holder, after)),
        }
    }

    /// Removes an entry if the record that it leads to does not bear it. Tells whether it did not.
    pub(super) async fn clear(&self, entry: &Entry, found: &Record) -> Result<bool, Fault> {
        let (records, id) = (self.records.store(), holder(found)?);
        let record = records.get(&id).await?;
        if let Some(record) = &record {
            // What can't be read might bear it.
            let borne = self.entries_of(&record.json::<T>()?, &id)?;
            if borne.contains(entry) {
                return Ok(false);
            }
        }
        let version = record.map_or(0, |record| record.version);
        let txn = records.txn().when(Compare::version(records, &id, version));
        let txn = txn.when(Compare::version(&self.entries, &entry.key, found.version));
        txn.then(self.entries.delete(&entry.key)).await?;
        // If it was not removed, things have moved, and whoever asked looks again.
        Ok(true)
    }

    /// The refusal of a value that another record has.
    fn taken(&self, entry: &Entry, holder: &Record, wanted: Option<&T>) -> Fault {
        let index = &self.indexes[entry.index];
        let value = wanted.map(|wanted| index.shown(wanted)).unwrap_or_default();
        let holder = String::from_utf8_lossy(&holder.value);
        let message = format!(
            "{} {holder:?} has the {} {value} already, which is unique: nothing was changed",
            T::NAME,
            index.name()
        );
        Fault::new(Code::Conflict, message).help("take another value, or change that record")
    }

    /// A change of which nobody knows whether it was done can't be repeated by its key here.
    fn unsure(&self, id: &str, fault: Fault) -> Fault {
        if fault.effect == Effect::None {
            return fault;
        }
        let help =
            format!("read {} {id:?} again: it was changed with all its entries, or not at all", T::NAME);
        Fault { help: vec![help], ..fault }
    }
}

/// The id that an entry leads to.
pub(super) fn holder(entry: &Record) -> Result<String, Fault> {
    String::from_utf8(entry.value.to_vec()).map_err(|_| {
        let message = format!("the index entry {:?} holds no id", entry.key);
        Fault::new(Code::Failed, message).help("something else has written it: delete it, and reindex")
    })
}
