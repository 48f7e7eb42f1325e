//! Typed records with indexes, on the mesh's store.
//!
//! ```no_run
//! # async fn example() -> Result<(), micro_sdk::wire::Fault> {
//! use micro_sdk::{Node, model::{Entity, Index, Model}};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct User {
//!     id: String,
//!     email: String,
//!     city: String,
//!     age: u8,
//! }
//!
//! impl Entity for User {
//!     const NAME: &'static str = "users";
//!
//!     fn id(&self) -> String {
//!         self.id.clone()
//!     }
//!
//!     fn indexes() -> Vec<Index<User>> {
//!         vec![
//!             Index::unique("email", |user: &User| user.email.clone()),
//!             Index::ordered("city", |user: &User| (user.city.clone(), user.age)),
//!         ]
//!     }
//! }
//!
//! let node = Node::connect().await?;
//! let users = Model::<User>::open(&node.store()).await?;
//! let jane = User { id: "id1".into(), email: "jane@example.org".into(), city: "Paris".into(), age: 41 };
//! users.create(&jane).await?;
//! users.update("id1", |jane| { jane.age += 1; Ok(()) }).await?;
//!
//! let jane = users.by("email").equals("jane@example.org").one().await?.expect("she was created");
//! assert_eq!(jane.value.age, 42);
//! let adults = users.by("city").equals("Paris").range(18..).descending().limit(20).await?;
//! assert_eq!(adults.records.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! Records lie as JSON under their ids in the table that is named after the entity, where everything else that reads
//! the store finds them; the entries of their indexes lie in the table `NAME-index`, and hold ids:
//!
//! ```text
//!   users         id1                                 {"id":"id1","email":"jane@example.org",…}
//!   users-index   unique/email/jane@example.org··     id1
//!                 ordered/city/Paris··8…2aid1         id1
//!                 indexes                             which of them are built
//! ```
//!
//! A record and all its entries change in one transaction of the store, which compares the record's version: so they
//! are never apart, whatever dies meanwhile, and of two writers one decides anew. A query reads entries and then
//! records as of the same revision, and leaves out an entry that its record does not bear: one that was made by a
//! program with other indexes, or whose record was changed past the model. [`Model::reindex`] mends these.

mod attempts;
mod change;
mod entity;
mod index;
mod query;
mod readiness;
mod reindex;
mod scope;
mod value;

pub use entity::Entity;
pub use index::Index;
pub use query::Query;
pub use reindex::Reindexed;
pub use value::IndexValue;

use crate::{
    client::{Record, Store, Table},
    wire::{Code, Fault},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex},
};
use {
    attempts::Attempts,
    change::{Before, Outcome},
    index::label,
    readiness::Readiness,
};

/// Records of one type in the mesh's store, by id and by index. Cloning is cheap.
pub struct Model<T> {
    records: Table<T>,
    entries: Store,
    indexes: Arc<[Index<T>]>,
    /// The labels of the indexes that are known to be built.
    built: Arc<Mutex<BTreeSet<String>>>,
}

impl<T: Entity> Model<T> {
    /// The model in the tables `NAME` and `NAME-index` of the database of `store`. Where there are no records yet, all
    /// indexes are built by that; else see [`Model::unbuilt`].
    ///
    /// # Errors
    /// `Usage` if two indexes have one name, or the entity's is no name; else those of a write.
    pub async fn open(store: &Store) -> Result<Model<T>, Fault> {
        let indexes = T::indexes();
        let mut names = BTreeSet::new();
        if let Some(twice) = indexes.iter().find(|index| !names.insert(index.name())) {
            let message = format!("{} has two indexes with the name {:?}", T::NAME, twice.name());
            return Err(Fault::new(Code::Usage, message));
        }
        if let Some(slashed) = names.iter().find(|name| name.is_empty() || name.contains('/')) {
            let message = format!("{slashed:?} is no name for an index of {}", T::NAME);
            return Err(Fault::new(Code::Usage, message).help("it takes some letters, and no slash"));
        }
        let model = Model {
            records: store.clone().table(T::NAME).typed(),
            entries: store.clone().table(format!("{}-index", T::NAME)),
            indexes: indexes.into(),
            built: Arc::default(),
        };
        model.prepare().await?;
        Ok(model)
    }

    /// The records by themselves, to be watched or read at another moment. What is written past the model changes no
    /// index.
    pub fn records(&self) -> &Table<T> {
        &self.records
    }

    /// Makes a record. Tells its version.
    ///
    /// # Errors
    /// `Conflict` if there is one with this id, or another record has a value that must be unique; those of a write.
    pub async fn create(&self, value: &T) -> Result<u64, Fault> {
        let id = value.id();
        let mut attempts = Attempts::default();
        loop {
            match self.change(&id, &Before::default(), Some(value)).await? {
                Outcome::Done(version) => return Ok(version),
                Outcome::Moved => {
                    let message = format!("{} {id:?} exists already: nothing was changed", T::NAME);
                    let help = "put it, to replace what is there, or update it";
                    return Err(Fault::new(Code::Conflict, message).help(help));
                }
                Outcome::Cleared => attempts.pause(|| named::<T>(&id)).await?,
            }
        }
    }

    /// Makes a record, or replaces the one that is there. Tells its version.
    ///
    /// # Errors
    /// `Conflict` if another record has a value that must be unique, or if others write it all the time; those of a
    /// write.
    pub async fn put(&self, value: &T) -> Result<u64, Fault> {
        let id = value.id();
        let mut attempts = Attempts::default();
        loop {
            let found = self.records.store().get(&id).await?;
            let before = found.map(|record| self.before(&record)).unwrap_or_default();
            match self.change(&id, &before, Some(value)).await? {
                Outcome::Done(version) => return Ok(version),
                Outcome::Moved | Outcome::Cleared => attempts.pause(|| named::<T>(&id)).await?,
            }
        }
    }

    /// Replaces the record if it still has this version. Tells the new one.
    ///
    /// # Errors
    /// `Conflict` if it has another version, or another record has a value that must be unique; those of a write.
    pub async fn replace(&self, value: &T, version: u64) -> Result<u64, Fault> {
        let id = value.id();
        let mut attempts = Attempts::default();
        loop {
            let found = self.records.store().get(&id).await?;
            let before = found.map(|record| self.before(&record)).unwrap_or_default();
            if before.version == version {
                match self.change(&id, &before, Some(value)).await? {
                    Outcome::Done(version) => return Ok(version),
                    Outcome::Moved => {}
                    Outcome::Cleared => {
                        attempts.pause(|| named::<T>(&id)).await?;
                        continue;
                    }
                }
            }
            let message =
                format!("{} {id:?} is not at version {version} any more: nothing was changed", T::NAME);
            return Err(Fault::new(Code::Conflict, message).help("read it again and decide anew"));
        }
    }

    /// Changes the record with this id: `change` is shown what is there, and again if others have changed it meanwhile.
    /// Gives it as it was written.
    ///
    /// # Errors
    /// `NotFound` if there is none; what `change` refuses with; `Usage` if it changes the id; else as [`Model::put`].
    pub async fn update(
        &self,
        id: &str,
        mut change: impl FnMut(&mut T) -> Result<(), Fault>,
    ) -> Result<Record<T>, Fault> {
        let mut attempts = Attempts::default();
        loop {
            let Some(found) = self.records.store().get(id).await? else {
                return Err(Fault::new(Code::NotFound, format!("there is no {} {id:?}", T::NAME)));
            };
            let before = self.before(&found);
            let mut record = found.typed::<T>()?;
            change(&mut record.value)?;
            if record.value.id() != id {
                let message = format!("{} {id:?} would become {:?}", T::NAME, record.value.id());
                return Err(Fault::new(Code::Usage, message).help("an id never changes: create another"));
            }
            match self.change(id, &before, Some(&record.value)).await? {
                Outcome::Done(version) => {
                    let Record { key, value, created, .. } = record;
                    return Ok(Record {
                        key,
                        value,
                        version,
                        created,
                        expires: None,
                        lease: None,
                        metadata: BTreeMap::new(),
                    });
                }
                Outcome::Moved | Outcome::Cleared => attempts.pause(|| named::<T>(id)).await?,
            }
        }
    }

    /// Reads the record with this id.
    ///
    /// # Errors
    /// `Failed` if it is no `T`; those of a read.
    pub async fn get(&self, id: &str) -> Result<Option<Record<T>>, Fault> {
        self.records.get(id).await
    }

    /// Deletes the record with this id. Tells whether there was one.
    ///
    /// # Errors
    /// `Conflict` if others write it all the time; those of a write.
    pub async fn delete(&self, id: &str) -> Result<bool, Fault> {
        self.delete_if(id, |_| Ok(true)).await
    }

    /// Deletes the record if `wanted` says so of what is there. Tells whether it did.
    async fn delete_if(
        &self,
        id: &str,
        wanted: impl Fn(&Record) -> Result<bool, Fault>,
    ) -> Result<bool, Fault> {
        let mut attempts = Attempts::default();
        loop {
            let Some(found) = self.records.store().get(id).await? else { return Ok(false) };
            if !wanted(&found)? {
                return Ok(false);
            }
            match self.change(id, &self.before(&found), None).await? {
                Outcome::Done(_) => return Ok(true),
                Outcome::Moved | Outcome::Cleared => attempts.pause(|| named::<T>(id)).await?,
            }
        }
    }

    /// All records, by id.
    pub fn all(&self) -> Query<T> {
        Query::all(self.clone())
    }

    /// Records by an index, in its order.
    pub fn by(&self, index: &str) -> Query<T> {
        Query::by(self.clone(), index)
    }

    /// The indexes that are not built, by name: they were declared when there were records already, and a query by one
    /// is refused.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn unbuilt(&self) -> Result<Vec<&'static str>, Fault> {
        let (_, readiness) = self.readiness().await?;
        let unbuilt = self.indexes.iter().filter(|index| !readiness.built.contains(&index.label()));
        Ok(unbuilt.map(Index::name).collect())
    }

    /// Builds all indexes: makes the entries that are missing, and removes those that no record bears. It may be done
    /// at any time, and goes on where it was when it was cut off.
    ///
    /// Others may write meanwhile: an entry is made only if its record still has the version that was looked at, and
    /// whoever writes a record makes its entries along with it. But those who don't know an index make no entries in
    /// it: so begin when the last program without it has ended.
    ///
    /// # Errors
    /// `Conflict` if two records have the same value in a unique index, with the ids of both; `Failed` if a record is
    /// no `T`; those of a write.
    pub async fn reindex(&self) -> Result<Reindexed, Fault> {
        reindex::reindex(self).await
    }

    /// Removes all entries of an index that is not declared any more. Do it when the last program with it has ended.
    ///
    /// # Errors
    /// `Usage` if this model has it; those of a write.
    pub async fn drop_index(&self, name: &str) -> Result<(), Fault> {
        if self.indexes.iter().any(|index| index.name() == name) {
            let message = format!("{} has the index {name:?}", T::NAME);
            return Err(Fault::new(Code::Usage, message).help("leave it out of the entity's indexes first"));
        }
        let labels = [false, true].map(|unique| label(name, unique));
        // Before its entries go, nobody may rely on it.
        let forget = |readiness: &mut Readiness| {
            readiness.built.retain(|built| !labels.contains(built));
        };
        self.declare(forget, |txn| txn).await?;
        for label in &labels {
            self.entries.delete_range(format!("{label}/")).await?;
        }
        Ok(())
    }
}

/// A record, for people.
fn named<T: Entity>(id: &str) -> String {
    format!("{} {id:?}", T::NAME)
}

impl<T> Clone for Model<T> {
    fn clone(&self) -> Self {
        Model {
            records: self.records.clone(),
            entries: self.entries.clone(),
            indexes: Arc::clone(&self.indexes),
            built: Arc::clone(&self.built),
        }
    }
}

impl<T> fmt::Debug for Model<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model").field("records", &self.records).field("indexes", &self.indexes).finish()
    }
}
