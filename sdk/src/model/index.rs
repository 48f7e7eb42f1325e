//! By what records are found besides their id.

use super::{Entity, value::IndexValue};
use crate::wire::{Code, Fault, limits::KEY_BYTES_MAX};
use std::{fmt, sync::Arc};

type KeyOf<T> = dyn Fn(&T) -> Result<Option<String>, Fault> + Send + Sync;
type Shown<T> = dyn Fn(&T) -> String + Send + Sync;

/// By what records are found besides their id: a value of theirs, which is kept in order.
///
/// An index of pairs answers for the first part alone, too, in the order of the second: `(city, created)` gives those
/// of a city by age.
pub struct Index<T> {
    name: &'static str,
    unique: bool,
    kinds: Vec<&'static str>,
    key: Arc<KeyOf<T>>,
    shown: Arc<Shown<T>>,
}

/// The entry of one record in one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its key in the table of entries. Its value is the id of the record.
    pub key: String,
    /// Which of the model's indexes it is of.
    pub index: usize,
}

impl<T: Entity> Index<T> {
    /// An index by `value`, which any number of records may share.
    pub fn ordered<V: IndexValue>(
        name: &'static str,
        value: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Index<T> {
        Index::new(name, false, value)
    }

    /// An index by `value`, which one record may have and no other.
    pub fn unique<V: IndexValue>(
        name: &'static str,
        value: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Index<T> {
        Index::new(name, true, value)
    }

    fn new<V: IndexValue>(
        name: &'static str,
        unique: bool,
        value: impl Fn(&T) -> V + Send + Sync + 'static,
    ) -> Index<T> {
        let value = Arc::new(value);
        let shown = Arc::clone(&value);
        let key = move |record: &T| {
            let value = value(record);
            let mut key = String::new();
            match value.is_absent() {
                true => Ok(None),
                false => value.encode(&mut key).map(|()| Some(key)),
            }
        };
        let shown = move |record: &T| format!("{:?}", shown(record));
        Index { name, unique, kinds: V::kinds(), key: Arc::new(key), shown: Arc::new(shown) }
    }

    /// The key of the entry of the record with this id; none if it is no part of the index.
    ///
    /// # Errors
    /// `Usage` if the value has no key, or too long a one.
    pub(super) fn entry(&self, record: &T, id: &str) -> Result<Option<String>, Fault> {
        let about = |fault: Fault| Fault {
            message: format!("index {:?} of {} {id:?}: {}", self.name, T::NAME, fault.message),
            ..fault
        };
        let Some(value) = (self.key)(record).map_err(about)? else { return Ok(None) };
        let mut key = self.label() + "/" + &value;
        if !self.unique {
            key.push_str(id);
        }
        if key.len() > KEY_BYTES_MAX {
            let message = format!("an entry of {} bytes: it has at most {KEY_BYTES_MAX}", key.len());
            let fault = Fault::new(Code::Usage, message);
            return Err(about(fault.help("index the beginning of the value, or a hash of it")));
        }
        Ok(Some(key))
    }

    /// The indexed value of a record, for people.
    pub(super) fn shown(&self, record: &T) -> String {
        (self.shown)(record)
    }
}

impl<T> Index<T> {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether no two records may share a value.
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// The kinds of the parts of its values.
    pub(super) fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }

    /// What the keys of all its entries begin with, before a slash. An index that becomes unique is another one, with
    /// entries of its own.
    pub(super) fn label(&self) -> String {
        label(self.name, self.unique)
    }
}

/// What the keys of the entries of an index begin with.
pub(super) fn label(name: &str, unique: bool) -> String {
    format!("{}/{name}", if unique { "unique" } else { "ordered" })
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        let Index { name, unique, ref kinds, ref key, ref shown } = *self;
        Index { name, unique, kinds: kinds.clone(), key: Arc::clone(key), shown: Arc::clone(shown) }
    }
}

impl<T> fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("name", &self.name)
            .field("unique", &self.unique)
            .finish_non_exhaustive()
    }
}
