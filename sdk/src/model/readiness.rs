//! Which indexes are built: those that an answer may rely on.
//!
//! An index that is declared where records are already has no entries of theirs, and would leave them out in silence.
//! So the record `indexes` of the table of entries names those that are complete, and a query by another one is
//! refused. A table without records has all of them.

use super::{Entity, Model};
use crate::{
    client::{Compare, Transaction},
    wire::{Code, Fault},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The key of the record that names the indexes that are built. Those of entries have a slash.
const KEY: &str = "indexes";
/// How often it is written anew after others have written it: programs that start at once, with an index each.
const ATTEMPTS_MAX: u32 = 16;

/// Which indexes are built, by label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Readiness {
    /// Their labels.
    pub built: BTreeSet<String>,
}

impl<T: Entity> Model<T> {
    /// Learns which indexes are built; in a table without records, all of them are from now on.
    pub(super) async fn prepare(&self) -> Result<(), Fault> {
        // In this order: whoever made the first record has said before that all indexes were built.
        let first = self.records.store().list("").limit(1).keys_only().await?;
        let (_, readiness) = self.readiness().await?;
        let all: BTreeSet<String> = self.indexes.iter().map(super::Index::label).collect();
        if first.records.is_empty() && !all.is_subset(&readiness.built) {
            self.declare(|readiness| readiness.built.extend(all.iter().cloned()), |txn| txn).await?;
        }
        Ok(())
    }

    /// Which indexes are built, and the version of the record that says so. What it says is kept for the queries to
    /// come.
    pub(super) async fn readiness(&self) -> Result<(u64, Readiness), Fault> {
        let record = self.entries.typed::<Readiness>().get(KEY).await?;
        let (version, readiness) =
            record.map_or_else(Default::default, |record| (record.version, record.value));
        self.built.lock().expect("nobody panics with it").clone_from(&readiness.built);
        Ok((version, readiness))
    }

    /// Says anew which indexes are built, in a transaction with what `with` adds to it.
    pub(super) async fn declare(
        &self,
        change: impl Fn(&mut Readiness),
        with: impl Fn(Transaction) -> Transaction,
    ) -> Result<(), Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let (version, mut readiness) = self.readiness().await?;
            change(&mut readiness);
            let txn = with(self.entries.txn().when(Compare::version(&self.entries, KEY, version)));
            if txn.then(self.entries.typed().put(KEY, &readiness)).await?.held {
                self.built.lock().expect("nobody panics with it").clone_from(&readiness.built);
                return Ok(());
            }
        }
        let message = format!(
            "what is said of the indexes of {} was changed by others each of {ATTEMPTS_MAX} times",
            T::NAME
        );
        Err(Fault::new(Code::Conflict, message).help("try again"))
    }

    /// Refuses an index that is not built.
    pub(super) async fn require(&self, label: &str) -> Result<(), Fault> {
        if self.knows(label) {
            return Ok(());
        }
        // It may have been built since.
        self.readiness().await?;
        if self.knows(label) {
            return Ok(());
        }
        let message =
            format!("the index {label} of {} is not built yet: it would leave records out", T::NAME);
        Err(Fault::new(Code::Unavailable, message)
            .help("let the model reindex() once all programs that don't know the index have ended"))
    }

    fn knows(&self, label: &str) -> bool {
        self.built.lock().expect("nobody panics with it").contains(label)
    }
}
