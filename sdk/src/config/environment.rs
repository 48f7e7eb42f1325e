//! Variables of the environment as values: which place each of them means.
//!
//! `SHOP_LIMITS_ITEMS` may mean `limits.items` as well as `limits_items`, so it means the one of them that is known:
//! from another source, from the schema, or because it is asked for. `SHOP_LIMITS__ITEMS` needs no such knowledge.

use super::{
    Source,
    layer::{Layer, Leaf},
    path::Path,
};
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// The variables with one prefix.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    prefix: String,
    /// By what follows the prefix.
    variables: Vec<(String, String)>,
}

/// What the variables mean.
#[derive(Debug)]
pub(crate) struct Placed {
    pub layer: Layer,
    /// Variables that mean nothing that is known.
    pub unplaced: Environment,
    /// Variables that could mean several places, with the reason.
    pub problems: Vec<(String, String)>,
}

impl Environment {
    pub fn new(prefix: &str, variables: impl IntoIterator<Item = (String, String)>) -> Environment {
        let variables = variables.into_iter().filter_map(|(name, text)| {
            let rest = name.strip_prefix(prefix).filter(|rest| !rest.is_empty())?;
            Some((rest.to_owned(), text))
        });
        Environment { prefix: prefix.to_owned(), variables: variables.collect() }
    }

    /// Places each variable. `known` are the places that there are, branches too; `like` tells what a variable takes
    /// the place of.
    pub fn place(&self, known: &BTreeSet<Path>, like: impl Fn(&Path) -> Option<Value>) -> Placed {
        let unplaced = Environment { prefix: self.prefix.clone(), variables: Vec::new() };
        let mut placed = Placed { layer: Layer::empty(Source::Environment), unplaced, problems: Vec::new() };
        for (rest, text) in &self.variables {
            let name = format!("{}{rest}", self.prefix);
            match meant(rest, known) {
                Ok(Some(path)) => {
                    let leaf = Leaf::read(text, name, like(&path).as_ref());
                    placed.layer.leaves.insert(path, leaf);
                }
                Ok(None) => placed.unplaced.variables.push((rest.clone(), text.clone())),
                Err(why) => placed.problems.push((name, why)),
            }
        }
        placed
    }

    /// The variable that means `path`, now that it is asked for.
    pub fn find(&self, path: &Path) -> Option<Leaf> {
        let wanted = spelled(path);
        let (rest, text) = self.variables.iter().find(|(rest, _)| rest.to_uppercase() == wanted)?;
        Some(Leaf::read(text, format!("{}{rest}", self.prefix), None))
    }
}

impl fmt::Debug for Environment {
    /// Without the texts, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.variables.iter().map(|(rest, _)| format!("{}{rest}", self.prefix));
        f.debug_set().entries(names).finish()
    }
}

/// The place that a variable means, by what follows the prefix; none if it is not known.
fn meant(rest: &str, known: &BTreeSet<Path>) -> Result<Option<Path>, String> {
    if rest.contains("__") {
        return parted(rest, known).map(Some);
    }
    let wanted = rest.to_uppercase();
    let mut matching = known.iter().filter(|path| !path.names().is_empty() && spelled(path) == wanted);
    match (matching.next(), matching.next()) {
        (Some(path), None) => Ok(Some(path.clone())),
        (Some(one), Some(other)) => Err(format!("it could be {one} or {other}: write __ where the dots are")),
        // A single word can only be a name.
        (None, _) if !rest.contains('_') => Ok(Some(Path::from(vec![rest.to_lowercase()]))),
        (None, _) => Ok(None),
    }
}

/// The place of a variable whose names are parted by two underscores: each name as it is known, else in lowercase.
fn parted(rest: &str, known: &BTreeSet<Path>) -> Result<Path, String> {
    let mut path = Path::default();
    for part in rest.split("__") {
        if part.is_empty() {
            return Err("it has an empty name between its underscores".to_owned());
        }
        let depth = path.names().len();
        let siblings = known.iter().filter(|known| known.is_within(&path));
        let name = siblings
            .filter_map(|known| known.names().get(depth))
            .find(|name| word(name) == part.to_uppercase());
        path = path.child(name.cloned().unwrap_or_else(|| part.to_lowercase()));
    }
    Ok(path)
}

/// A path as variables spell it.
fn spelled(path: &Path) -> String {
    path.names().iter().map(|name| word(name)).collect::<Vec<_>>().join("_")
}

/// A name as variables spell it: they have letters, digits and underscores only.
fn word(name: &str) -> String {
    let char = |char: char| if char.is_alphanumeric() { char } else { '_' };
    name.chars().map(char).collect::<String>().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn placed(variables: &[(&str, &str)], known: &[&str]) -> Placed {
        let owned = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let known = known.iter().map(|path| Path::parse(path).expect("a path")).collect();
        let like = |path: &Path| (path.to_string() == "zip").then(|| json!("00001"));
        Environment::new("SHOP_", owned).place(&known, like)
    }

    #[test]
    fn a_variable_means_what_is_known() {
        let known = ["limits.items", "limits_price", "hosts.a-b.port", "maxItems", "zip"];
        for (name, text, path, value) in [
            ("SHOP_LIMITS_ITEMS", "7", "limits.items", json!(7)),
            ("SHOP_LIMITS_PRICE", "7.5", "limits_price", json!(7.5)),
            ("SHOP_HOSTS_A_B_PORT", "true", "hosts.a-b.port", json!(true)),
            ("SHOP_HOSTS__A_B__PORT", "x", "hosts.a-b.port", json!("x")),
            ("SHOP_MAXITEMS", "[1]", "maxItems", json!([1])),
            ("SHOP_NEW__THING", "{\"a\":1}", "new.thing", json!({"a": 1})),
            ("SHOP_WORD", "", "word", json!("")),
            // It takes the place of a text.
            ("SHOP_ZIP", "02139", "zip", json!("02139")),
        ] {
            let placed = placed(&[(name, text)], &known);
            let leaf = placed.layer.leaves.get(&Path::parse(path).expect("a path")).expect(name);
            assert_eq!((&leaf.value, leaf.place.as_str()), (&value, name));
            assert!(placed.problems.is_empty() && placed.layer.leaves.len() == 1);
        }
    }

    #[test]
    fn what_is_not_known_waits_until_it_is_asked_for() {
        let placed = placed(&[("SHOP_LIMITS_MAX", "9"), ("OTHER_X", "1"), ("SHOP_", "1")], &[]);
        assert!(placed.layer.leaves.is_empty() && placed.problems.is_empty());
        let path = |text| Path::parse(text).expect("a path");
        assert_eq!(placed.unplaced.find(&path("limits.max")).expect("it is meant").value, 9);
        assert_eq!(placed.unplaced.find(&path("limits_max")).expect("it is meant").value, 9);
        assert!(placed.unplaced.find(&path("limits.min")).is_none());
    }

    #[test]
    fn what_could_mean_two_places_means_none_and_is_told() {
        let placed = placed(&[("SHOP_A_B_C", "1"), ("SHOP_A____B", "1")], &["a_b.c", "a.b_c"]);
        assert!(placed.layer.leaves.is_empty());
        assert!(placed.problems[0].1.contains("a.b_c or a_b.c"), "{placed:?}");
    }
}
