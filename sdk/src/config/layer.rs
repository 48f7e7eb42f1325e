//! The values of one source.

use super::{Source, path::Path};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The values of one source, leaf by leaf. Objects are branches; all else, arrays and empty objects too, is a leaf.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub source: Source,
    pub leaves: BTreeMap<Path, Leaf>,
}

/// One value.
#[derive(Clone, PartialEq)]
pub(crate) struct Leaf {
    pub value: Value,
    /// The text that it was read from, where it might be meant as such: of variables and flags.
    pub text: Option<String>,
    /// Where in its source it is.
    pub place: String,
    /// Whether it is a secret.
    pub secret: bool,
}

impl Leaf {
    pub fn new(value: Value, place: impl Into<String>) -> Leaf {
        Leaf { value, text: None, place: place.into(), secret: false }
    }

    /// A value that is JSON if it can be, else a text. `like` is a value that it takes the place of: where that is a
    /// text, it is one, too.
    pub fn read(text: &str, place: impl Into<String>, like: Option<&Value>) -> Leaf {
        let parsed = match like {
            Some(Value::String(_)) => None,
            _ => serde_json::from_str(text).ok(),
        };
        let value = parsed.unwrap_or_else(|| Value::String(text.to_owned()));
        Leaf { text: Some(text.to_owned()), ..Leaf::new(value, place) }
    }
}

impl std::fmt::Debug for Leaf {
    /// Without the value, which may turn out to be a secret once the mesh is heard.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaf").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Layer {
    pub fn empty(source: Source) -> Layer {
        Layer { source, leaves: BTreeMap::new() }
    }

    /// The leaves of a document, all at one place.
    pub fn of(source: Source, document: &Value, place: &str) -> Layer {
        let mut layer = Layer::empty(source);
        layer.insert(&Path::default(), document, place);
        layer
    }

    /// Adds what is in `value` at a path.
    pub fn insert(&mut self, path: &Path, value: &Value, place: &str) {
        match value {
            // A document with nothing in it says nothing.
            value if is_empty(value) && path.names().is_empty() => {}
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(name, value)| self.insert(&path.child(name), value, place));
            }
            value => drop(self.leaves.insert(path.clone(), Leaf::new(value.clone(), place))),
        }
    }

    /// The value that stands at a path: put together from the leaves under it.
    pub fn value_at(&self, path: &Path) -> Option<Value> {
        let leaves = within(&self.leaves, path).map(|(found, leaf)| (found, &leaf.value));
        assemble(path, leaves)
    }
}

/// The leaves at a path and under it.
pub(crate) fn within<'a, L>(
    leaves: &'a BTreeMap<Path, L>,
    path: &Path,
) -> impl Iterator<Item = (&'a Path, &'a L)> + use<'a, L> {
    // In the order of paths, all that lies under one follows it at once.
    let path = path.clone();
    leaves.range(path.clone()..).take_while(move |(found, _)| found.is_within(&path))
}

/// The leaf that a path lies under, if there is one: none lies under another.
pub(crate) fn above<'a, L>(leaves: &'a BTreeMap<Path, L>, path: &Path) -> Option<(&'a Path, &'a L)> {
    let names = path.names();
    (0..names.len()).find_map(|depth| leaves.get_key_value(&Path::from(names[..depth].to_vec())))
}

/// The value at `path` of which these are the leaves. They all lie there, and none under another.
pub(crate) fn assemble<'a>(
    path: &Path,
    leaves: impl Iterator<Item = (&'a Path, &'a Value)>,
) -> Option<Value> {
    let mut whole = None;
    for (found, value) in leaves {
        let names = &found.names()[path.names().len()..];
        set(whole.get_or_insert(Value::Null), names, value.clone());
    }
    whole
}

/// Puts `leaf` where these names lead to from `value`.
pub(crate) fn set(value: &mut Value, names: &[String], leaf: Value) {
    let Some((first, rest)) = names.split_first() else {
        *value = leaf;
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let map = value.as_object_mut().expect("it was just made one");
    set(map.entry(first).or_insert(Value::Null), rest, leaf);
}

/// Whether a value says nothing that could replace another one: objects are merged, and this has nothing in it.
pub(crate) fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}
