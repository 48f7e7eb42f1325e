//! The leaves of one namespace, and what changes do to them.

use crate::config::{
    ConfigPath, EditView,
    leaf::{Content, Leaf, MASK},
};
use bincode::{Decode, Encode};
use std::collections::BTreeMap;

/// The leaves by their keys. None lies under another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Leaf>);

/// What became of one leaf. Stored.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Edit {
    /// The key of the leaf.
    pub path: String,
    pub before: Option<Leaf>,
    pub after: Option<Leaf>,
}

impl Edit {
    /// As it is shown to anybody.
    pub fn view(&self) -> EditView {
        // What became a secret is not shown as it was before either: it may be the same.
        let secret = self.contents().any(Content::is_secret);
        let masked = |leaf: &Option<Leaf>| {
            let text = |leaf: &Leaf| if secret { MASK.to_owned() } else { leaf.content.masked().to_owned() };
            leaf.as_ref().map(text)
        };
        EditView { path: self.path.clone(), before: masked(&self.before), after: masked(&self.after), secret }
    }

    /// What it was and is.
    pub fn contents(&self) -> impl Iterator<Item = &Content> {
        [&self.before, &self.after].into_iter().flatten().map(|leaf| &leaf.content)
    }
}

impl Tree {
    pub fn insert(&mut self, key: String, leaf: Leaf) {
        self.0.insert(key, leaf);
    }

    pub fn get(&self, key: &str) -> Option<&Leaf> {
        self.0.get(key)
    }

    /// All leaves, in the order of their keys.
    pub fn leaves(&self) -> impl Iterator<Item = (&String, &Leaf)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The bytes that keys and values take.
    pub fn bytes(&self) -> usize {
        self.leaves().map(|(key, leaf)| key.len() + leaf.content.bytes()).sum()
    }

    /// The leaves at a path and under it.
    pub fn under(&self, path: &ConfigPath) -> impl Iterator<Item = (&String, &Leaf)> {
        self.0.get_key_value(&path.key()).into_iter().chain(self.0.range(path.descendants()))
    }

    /// The tree with these leaves alone.
    pub fn part(&self, path: &ConfigPath) -> Tree {
        Tree(self.under(path).map(|(key, leaf)| (key.clone(), leaf.clone())).collect())
    }

    /// Removes what is at a path and under it.
    pub fn remove(&mut self, path: &ConfigPath) {
        let keys: Vec<String> = self.under(path).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| drop(self.0.remove(key)));
    }

    /// Puts a leaf, in place of all that can't be beside it: the leaf that it would lie under, and what would lie under
    /// it.
    pub fn put(&mut self, path: &ConfigPath, leaf: Leaf) {
        for ancestor in path.ancestors() {
            self.0.remove(&ancestor);
        }
        self.remove(path);
        self.0.insert(path.key(), leaf);
    }

    /// Whether something at this path, above or under it is a secret: what takes its place is one too.
    pub fn is_secret_around(&self, path: &ConfigPath) -> bool {
        let above = path
            .ancestors()
            .filter_map(|ancestor| self.0.get(&ancestor).map(|leaf| leaf.content.is_secret()));
        above.chain(self.under(path).map(|(_, leaf)| leaf.content.is_secret())).any(|secret| secret)
    }

    /// Whether something lies under a path.
    pub fn is_branch(&self, path: &ConfigPath) -> bool {
        self.0.range(path.descendants()).next().is_some()
    }

    /// Takes back a change.
    pub fn undo(&mut self, edits: &[Edit]) {
        for edit in edits {
            match &edit.before {
                Some(leaf) => drop(self.0.insert(edit.path.clone(), leaf.clone())),
                None => drop(self.0.remove(&edit.path)),
            }
        }
    }

    /// Lays a staged change over it, whatever has become of the tree since.
    pub fn lay_over(&mut self, edits: &[Edit]) {
        for edit in edits {
            let path = ConfigPath::parse(&edit.path).expect("the keys of the tree are paths");
            match &edit.after {
                Some(leaf) => self.put(&path, leaf.clone()),
                None => drop(self.0.remove(&edit.path)),
            }
        }
    }

    /// What makes another tree of this one: the leaves whose contents differ.
    pub fn difference(&self, other: &Tree) -> Vec<Edit> {
        let mut edits: BTreeMap<&String, Edit> = BTreeMap::new();
        let edit = |path: &String| Edit { path: path.clone(), before: None, after: None };
        for (path, leaf) in &self.0 {
            if other.0.get(path).is_none_or(|after| after.content != leaf.content) {
                edits.entry(path).or_insert_with(|| edit(path)).before = Some(leaf.clone());
            }
        }
        for (path, leaf) in &other.0 {
            if self.0.get(path).is_none_or(|before| before.content != leaf.content) {
                edits.entry(path).or_insert_with(|| edit(path)).after = Some(leaf.clone());
            }
        }
        edits.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ConfigPath {
        ConfigPath::parse(text).expect("it is a path")
    }

    fn leaf(text: &str) -> Leaf {
        Leaf { version: 1, content: Content::Plain(text.to_owned()) }
    }

    fn tree(leaves: &[(&str, &str)]) -> Tree {
        Tree(leaves.iter().map(|(path, text)| ((*path).to_owned(), leaf(text))).collect())
    }

    #[test]
    fn a_leaf_takes_the_place_of_what_can_not_be_beside_it() {
        let mut found = tree(&[("a", "1"), ("b.c", "2"), ("b.d", "3"), ("b-x", "4")]);
        found.put(&path("a.x"), leaf("5"));
        found.put(&path("b"), leaf("6"));
        assert_eq!(found, tree(&[("a.x", "5"), ("b", "6"), ("b-x", "4")]));
    }

    #[test]
    fn a_difference_undone_is_what_was_there() {
        let before = tree(&[("a", "1"), ("b.c", "2"), ("b.d", "3")]);
        let after = tree(&[("a", "1"), ("b.c", "4"), ("e", "5")]);
        let edits = before.difference(&after);
        let paths: Vec<&str> = edits.iter().map(|edit| edit.path.as_str()).collect();
        assert_eq!(paths, ["b.c", "b.d", "e"]);
        let mut undone = after.clone();
        undone.undo(&edits);
        assert_eq!(undone, before);
        let mut done = before.clone();
        done.lay_over(&edits);
        assert_eq!(done, after);
    }

    #[test]
    fn what_takes_the_place_of_a_secret_is_one() {
        let mut found = tree(&[("a.b", "1")]);
        let sealed = crate::config::leaf::Sealed { key: 1, bytes: Vec::new() };
        found.put(&path("s.t"), Leaf { version: 1, content: Content::Sealed(sealed) });
        for (at, secret) in [("s", true), ("s.t", true), ("s.t.u", true), ("s.x", false), ("a.b", false)] {
            assert_eq!(found.is_secret_around(&path(at)), secret, "{at}");
        }
    }
}
