//! All values as they are at one moment, and what each of them won over.

use super::{
    Origin, Source,
    environment::Environment,
    layer::{Layer, Leaf, above, assemble, is_empty, within},
    path::Path,
    source::named,
};
use crate::{client::SECRET, wire::Fault};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// All values as they are at one moment. Cloning is cheap. Secrets are not shown by `Debug`.
#[derive(Clone)]
pub struct Snapshot(Arc<Merged>);

struct Merged {
    leaves: BTreeMap<Path, Winner>,
    /// Variables that mean what is asked for, should it be.
    unplaced: Vec<Environment>,
    secrets: Secrets,
    version: u64,
}

/// A value that won.
#[derive(Clone, PartialEq)]
pub(super) struct Winner {
    pub leaf: Leaf,
    pub source: Source,
    pub shadowed: Vec<String>,
}

/// The paths of secrets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Secrets(BTreeMap<Path, ()>);

/// What is at a path.
pub(super) struct Found {
    pub value: Value,
    /// The leaves of it, by path.
    pub leaves: BTreeMap<Path, Winner>,
    pub secret: bool,
}

impl Secrets {
    pub fn insert(&mut self, path: Path) {
        self.0.insert(path, ());
    }

    /// Whether a secret is at a path, under it, or above it.
    pub fn meet(&self, path: &Path) -> bool {
        within(&self.0, path).next().is_some() || above(&self.0, path).is_some()
    }
}

impl Snapshot {
    /// Merges `layers`, of which a later one wins over an earlier one.
    pub(super) fn merge(
        layers: &[&Layer],
        unplaced: Vec<Environment>,
        mut secrets: Secrets,
        version: u64,
    ) -> Snapshot {
        let mut merged: BTreeMap<Path, (usize, &Leaf)> = BTreeMap::new();
        for (number, layer) in layers.iter().enumerate() {
            for (path, leaf) in &layer.leaves {
                if leaf.secret {
                    secrets.insert(path.clone());
                }
                let under: Vec<Path> = within(&merged, path).map(|(found, _)| found.clone()).collect();
                // Objects are merged, and this one adds nothing.
                if is_empty(&leaf.value) && under.iter().any(|found| found != path) {
                    continue;
                }
                if let Some((found, _)) = above(&merged, path) {
                    let found = found.clone();
                    merged.remove(&found);
                }
                for found in &under {
                    merged.remove(found);
                }
                merged.insert(path.clone(), (number, leaf));
            }
        }
        let winner = |(path, (number, leaf)): (Path, (usize, &Leaf))| {
            let shadowed = shadowed(&layers[..number], &path, leaf);
            (path, Winner { leaf: leaf.clone(), source: layers[number].source, shadowed })
        };
        let leaves = merged.into_iter().map(winner).collect();
        Snapshot(Arc::new(Merged { leaves, unplaced, secrets, version }))
    }

    /// The version of the mesh's tree that is in it; 0 if the mesh was not heard.
    pub fn version(&self) -> u64 {
        self.0.version
    }

    /// Whether there is a value at `path`, be it null, false, empty, or an object with values in it.
    ///
    /// # Errors
    /// `Usage` if it is no path.
    pub fn exists(&self, path: &str) -> Result<bool, Fault> {
        Ok(self.find(&Path::parse(path)?).is_some())
    }

    /// The value at `path` as JSON; of the whole with an empty path.
    ///
    /// # Errors
    /// `Usage` if it is no path.
    pub fn value(&self, path: &str) -> Result<Option<Value>, Fault> {
        Ok(self.find(&Path::parse(path)?).map(|found| found.value))
    }

    /// Where the value at `path` comes from; none if nothing or an object is there, which may come from several
    /// sources.
    ///
    /// # Errors
    /// `Usage` if it is no path.
    pub fn origin(&self, path: &str) -> Result<Option<Origin>, Fault> {
        let path = Path::parse(path)?;
        let Some(found) = self.find(&path) else { return Ok(None) };
        let secret = found.secret;
        let origin =
            |Winner { leaf, source, shadowed }| Origin { source, place: leaf.place, shadowed, secret };
        Ok(found.leaves.into_iter().find(|(at, _)| *at == path).map(|(_, winner)| origin(winner)))
    }

    /// The value at a path.
    pub(super) fn value_at(&self, path: &Path) -> Option<Value> {
        self.find(path).map(|found| found.value)
    }

    pub(super) fn find(&self, path: &Path) -> Option<Found> {
        let secret = self.0.secrets.meet(path);
        let mut leaves: BTreeMap<Path, Winner> =
            within(&self.0.leaves, path).map(|(found, winner)| (found.clone(), winner.clone())).collect();
        if leaves.is_empty() && !path.names().is_empty() {
            let leaf = self.0.unplaced.iter().rev().find_map(|environment| environment.find(path))?;
            leaves.insert(path.clone(), Winner { leaf, source: Source::Environment, shadowed: Vec::new() });
        }
        let value = assemble(path, leaves.iter().map(|(found, winner)| (found, &winner.leaf.value)))?;
        Some(Found { value, leaves, secret })
    }

    /// All values with their origins, for people: paths as in the mesh's tree, below `root`, and secrets masked.
    pub(super) fn report(&self, root: &Path) -> Value {
        let value = |(path, winner): (&Path, &Winner)| {
            let value = if self.0.secrets.meet(path) { json!(SECRET) } else { winner.leaf.value.clone() };
            json!({
                "path": path.under(root).to_string(),
                "value": value,
                "source": winner.source.to_string(),
                "place": winner.leaf.place,
                "shadowed": winner.shadowed,
            })
        };
        Value::Array(self.0.leaves.iter().map(value).collect())
    }

    /// Whether anything is different that can be read.
    pub(super) fn differs(&self, other: &Snapshot) -> bool {
        let (one, other) = (&self.0, &other.0);
        one.version != other.version || one.leaves != other.leaves || one.secrets != other.secrets
    }
}

/// The sources that have another value at a path, from the next in order.
fn shadowed(layers: &[&Layer], path: &Path, leaf: &Leaf) -> Vec<String> {
    let other = |layer: &&&Layer| {
        let covers = above(&layer.leaves, path);
        let at = covers.or_else(|| within(&layer.leaves, path).next())?;
        let (covered, first) = at;
        // An object above it that is empty was merged, not replaced.
        let is_other = if covers.is_some() {
            !is_empty(&first.value)
        } else {
            covered != path || first.value != leaf.value
        };
        is_other.then(|| named(layer.source, &first.place))
    };
    layers.iter().rev().collect::<Vec<_>>().iter().filter_map(other).collect()
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (path, winner) in &self.0.leaves {
            let value =
                if self.0.secrets.meet(path) { SECRET.to_owned() } else { winner.leaf.value.to_string() };
            let origin = named(winner.source, &winner.leaf.place);
            map.entry(&path.to_string(), &format_args!("{value} ({origin})"));
        }
        map.finish()
    }
}

impl fmt::Display for Snapshot {
    /// A line for each value, secrets masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, winner) in &self.0.leaves {
            let value =
                if self.0.secrets.meet(path) { SECRET.to_owned() } else { winner.leaf.value.to_string() };
            writeln!(f, "{path} = {value}  # {}", named(winner.source, &winner.leaf.place))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(documents: &[(Source, Value)]) -> Snapshot {
        let layers: Vec<Layer> =
            documents.iter().map(|(source, document)| Layer::of(*source, document, "there")).collect();
        Snapshot::merge(&layers.iter().collect::<Vec<_>>(), Vec::new(), Secrets::default(), 0)
    }

    fn check(documents: &[Value], whole: &Value) {
        let documents: Vec<_> = documents.iter().map(|document| (Source::File, document.clone())).collect();
        assert_eq!(
            merged(&documents).value("").expect("the root is a path").as_ref(),
            Some(whole),
            "{documents:?}"
        );
    }

    #[test]
    fn objects_merge_and_all_else_replaces() {
        check(
            &[json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 3}, "d": 4})],
            &json!({"a": {"b": 1, "c": 3}, "d": 4}),
        );
        check(&[json!({"a": [1, 2]}), json!({"a": [3]})], &json!({"a": [3]}));
        check(&[json!({"a": {"b": 1}}), json!({"a": 5})], &json!({"a": 5}));
        check(&[json!({"a": 5}), json!({"a": {"b": 1}})], &json!({"a": {"b": 1}}));
        check(&[json!({"a": {"b": 1}}), json!({"a": {}})], &json!({"a": {"b": 1}}));
        check(&[json!({"a": 1}), json!({"a": {}})], &json!({"a": {}}));
        check(&[json!({"a": {}}), json!({"a": {"b": null}})], &json!({"a": {"b": null}}));
        check(&[json!({"a": 1}), json!({"a": null}), json!({})], &json!({"a": null}));
        check(&[json!({"a.b": {"c": 1}}), json!({"a": {"b": 2}})], &json!({"a.b": {"c": 1}, "a": {"b": 2}}));
    }

    #[test]
    fn a_value_tells_where_it_comes_from_and_what_it_won_over() {
        let snapshot = merged(&[
            (Source::Default, json!({"limits": {"items": 1, "price": 2}, "same": 1})),
            (Source::File, json!({"limits": {"items": 5}, "same": 1})),
            (Source::Environment, json!({"limits": 7})),
            (Source::Mesh, json!({"limits": {"items": 9}})),
        ]);
        let origin = snapshot.origin("limits.items").expect("a path").expect("it is there");
        assert_eq!((origin.source, origin.shadowed.len()), (Source::Mesh, 3), "{origin:?}");
        assert_eq!(origin.shadowed, ["environment there", "file there", "default there"]);
        assert_eq!(snapshot.origin("same").expect("a path").expect("it is there").shadowed, [""; 0]);
        assert_eq!(snapshot.origin("limits").expect("a path"), None, "a branch has no origin");
        assert!(!snapshot.exists("limits.price").expect("a path"), "it was replaced with all of limits");
    }

    #[test]
    fn null_false_and_empty_are_there() {
        let snapshot =
            merged(&[(Source::File, json!({"a": null, "b": false, "c": "", "d": {"e": []}, "f": {}}))]);
        for path in ["a", "b", "c", "d", "d.e", "f", ""] {
            assert!(snapshot.exists(path).expect("a path"), "{path}");
        }
        for path in ["g", "a.b", "d.e.f"] {
            assert!(!snapshot.exists(path).expect("a path"), "{path}");
        }
        assert_eq!(merged(&[]).value(""), Ok(None));
    }

    #[test]
    fn secrets_are_not_printed_whichever_source_wins() {
        let mut mesh = Layer::of(Source::Mesh, &json!({"db": {"password": "mesh-secret"}}), "version 1");
        mesh.leaves.values_mut().for_each(|leaf| leaf.secret = true);
        let flag = Layer::of(Source::Flag, &json!({"db": {"password": "flag-secret"}, "port": 80}), "--set");
        let snapshot = Snapshot::merge(&[&mesh, &flag], Vec::new(), Secrets::default(), 1);
        let shown = format!("{snapshot:?} {snapshot} {}", snapshot.report(&Path::default()));
        assert!(!shown.contains("-secret") && shown.contains("80"), "{shown}");
        assert_eq!(snapshot.value("db.password"), Ok(Some(json!("flag-secret"))));
        assert!(snapshot.origin("db.password").expect("a path").expect("it is there").secret);
    }
}
