//! Which entries of an index a query means: those between two keys.

use super::{
    Entity, Index, Model,
    value::{IndexValue, behind, encode_beginning},
};
use crate::wire::{Code, Fault};
use std::ops::{Bound, RangeBounds};

/// The entries of one index that begin with some values, and lie between two others.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// Which of the model's indexes.
    pub index: usize,
    /// What all keys begin with.
    pub prefix: String,
    /// The first key; empty for all.
    pub from: String,
    /// The key behind the last; empty for all.
    pub to: String,
    /// How many parts of the indexed values are settled.
    settled: usize,
}

impl Scope {
    /// All entries of the index with this name.
    ///
    /// # Errors
    /// `Usage` if there is none, with those that there are.
    pub fn of<T: Entity>(model: &Model<T>, name: &str) -> Result<Scope, Fault> {
        let Some(index) = model.indexes.iter().position(|index| index.name() == name) else {
            let names: Vec<_> = model.indexes.iter().map(Index::name).collect();
            let fault = Fault::new(Code::Usage, format!("{} has no index {name:?}", T::NAME));
            return Err(fault.help(format!("its indexes: {}", names.join(", "))));
        };
        let prefix = model.indexes[index].label() + "/";
        Ok(Scope { index, prefix, from: String::new(), to: String::new(), settled: 0 })
    }

    /// Only those whose value, or the next part of it, equals `value`.
    pub fn equals<T, V: IndexValue>(mut self, index: &Index<T>, value: &V) -> Result<Scope, Fault> {
        self.settle(index, &V::kinds())?;
        value.encode(&mut self.prefix)?;
        Ok(self)
    }

    /// Only those whose value, or the next part of it, lies in `range`.
    pub fn range<T, V: IndexValue>(
        mut self,
        index: &Index<T>,
        range: &impl RangeBounds<V>,
    ) -> Result<Scope, Fault> {
        self.settle(index, &V::kinds())?;
        let key = |value: &V| {
            let mut key = self.prefix.clone();
            value.encode(&mut key).map(|()| key)
        };
        let from = match range.start_bound() {
            Bound::Included(value) => key(value)?,
            Bound::Excluded(value) => behind(&key(value)?),
            Bound::Unbounded => String::new(),
        };
        let to = match range.end_bound() {
            Bound::Included(value) => behind(&key(value)?),
            Bound::Excluded(value) => key(value)?,
            Bound::Unbounded => String::new(),
        };
        (self.from, self.to) = (from, to);
        Ok(self)
    }

    /// Only those whose value, or the next part of it, is a text that begins so.
    pub fn starts_with<T>(mut self, index: &Index<T>, text: &str) -> Result<Scope, Fault> {
        self.settle(index, &str::kinds())?;
        encode_beginning(text, &mut self.prefix);
        Ok(self)
    }

    /// Whether an entry with this key is meant.
    pub fn holds(&self, key: &str) -> bool {
        let from = self.from.is_empty() || key >= self.from.as_str();
        let to = self.to.is_empty() || key < self.to.as_str();
        key.starts_with(&self.prefix) && from && to
    }

    /// Settles the next parts, if they are of these kinds. After a range or a beginning there is no next part.
    fn settle<T>(&mut self, index: &Index<T>, kinds: &[&str]) -> Result<(), Fault> {
        let (name, all) = (index.name(), index.kinds());
        let open = &all[self.settled..];
        if !open.starts_with(kinds) {
            let what =
                |kinds: &[&str]| if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") };
            let message =
                format!("index {name:?} is asked for {}, and holds {} there", what(kinds), what(open));
            return Err(Fault::new(Code::Usage, message).help(format!("its values are: {}", all.join(", "))));
        }
        self.settled += kinds.len();
        Ok(())
    }

    /// Says that no further part may be settled.
    pub fn close<T>(mut self, index: &Index<T>) -> Scope {
        self.settled = index.kinds().len();
        self
    }
}
