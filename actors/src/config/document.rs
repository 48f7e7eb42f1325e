//! JSON documents as leaves, and back. Numbers and texts stay as they were written.

use crate::config::{ConfigPath, Plaintext};
use micro_sdk::wire::{Code, Fault};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The largest leaf. What is larger belongs into the store: every service that watches is told the whole value.
pub(crate) const LEAF_BYTES_MAX: usize = 64 << 10;

/// The leaves of the JSON `text` that is to be at `path`. An empty object is one leaf.
///
/// # Errors
/// [`Code::Usage`] if it is not JSON, a name in it can't be part of a path, or a leaf is too large. The value itself is
/// not in the fault.
pub(crate) fn flatten(path: &ConfigPath, text: &str) -> Result<Vec<(ConfigPath, Plaintext)>, Fault> {
    let mut leaves = Vec::new();
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| not_json(path, &error))?;
    gather(path.clone(), raw, &mut leaves)?;
    Ok(leaves)
}

fn gather(path: ConfigPath, raw: &RawValue, leaves: &mut Vec<(ConfigPath, Plaintext)>) -> Result<(), Fault> {
    let text = raw.get();
    if text.starts_with('{') {
        let branch: BTreeMap<String, &RawValue> =
            serde_json::from_str(text).map_err(|error| not_json(&path, &error))?;
        for (name, raw) in &branch {
            gather(path.child(name)?, raw, leaves)?;
        }
        if !branch.is_empty() {
            return Ok(());
        }
    }
    if path.is_root() {
        let fault = Fault::new(Code::Usage, "the whole tree can be an object only, and not an empty one");
        return Err(fault.help("name a path, or set an object with the names of services"));
    }
    // Whoever reads it reads it so: deeper than the reader goes, or a number larger than one, it would be of no use.
    serde_json::from_str::<serde_json::Value>(text).map_err(|error| not_json(&path, &error))?;
    let leaf = Plaintext::new(compact(text));
    let bytes = leaf.expose().len();
    if bytes > LEAF_BYTES_MAX {
        let message = format!("the value at {path} has {bytes} bytes: the limit is {LEAF_BYTES_MAX}");
        return Err(Fault::new(Code::Usage, message).help("keep what is large in the store"));
    }
    leaves.push((path, leaf));
    Ok(())
}

fn not_json(path: &ConfigPath, error: &serde_json::Error) -> Fault {
    let place = if path.is_root() { String::new() } else { format!(" for {path}") };
    // The message of the parser could repeat a part of the value.
    let message = format!(
        "the value{place} is not JSON that can be kept: {:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    );
    Fault::new(Code::Usage, message).help("a text is JSON in quotes: \"text\"")
}

/// JSON without white space between its parts.
fn compact(json: &str) -> String {
    let (mut compact, mut inside, mut escaped) = (String::with_capacity(json.len()), false, false);
    for char in json.chars() {
        if inside {
            inside = char != '"' || escaped;
            escaped = char == '\\' && !escaped;
        } else if char == '"' {
            inside = true;
        } else if char.is_ascii_whitespace() {
            continue;
        }
        compact.push(char);
    }
    compact
}

/// A part of a document that is put together.
enum Part<'a> {
    Leaf(&'a str),
    Branch(BTreeMap<&'a str, Part<'a>>),
}

impl<'a> Part<'a> {
    fn put(&mut self, names: &'a [String], text: &'a str) {
        match (self, names) {
            (part, []) => *part = Part::Leaf(text),
            (Part::Branch(parts), [name, rest @ ..]) => {
                parts.entry(name).or_insert_with(|| Part::Branch(BTreeMap::new())).put(rest, text);
            }
            // No leaf lies under another.
            (Part::Leaf(_), _) => {}
        }
    }

    fn write(&self, json: &mut String) {
        let parts = match self {
            Part::Leaf(text) => return json.push_str(text),
            Part::Branch(parts) => parts,
        };
        json.push('{');
        for (index, (name, part)) in parts.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            json.push_str(&serde_json::to_string(name).expect("text always has a JSON form"));
            json.push(':');
            part.write(json);
        }
        json.push('}');
    }
}

/// The JSON of what is at `path`, put together from its leaves; none if there are none.
pub(crate) fn assemble<'a>(
    path: &ConfigPath,
    leaves: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<Plaintext> {
    let parsed = |key: &str| ConfigPath::parse(key).expect("the keys of the tree are paths");
    let leaves: Vec<(ConfigPath, &str)> = leaves.map(|(key, text)| (parsed(key), text)).collect();
    let mut document = Part::Branch(BTreeMap::new());
    for (leaf, text) in &leaves {
        document.put(&leaf.names()[path.names().len()..], text);
    }
    let mut json = String::new();
    document.write(&mut json);
    (!leaves.is_empty()).then(|| Plaintext::new(json))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(path: &str, text: &str) -> Vec<(String, String)> {
        let path = ConfigPath::parse(path).expect("it is a path");
        let leaves = flatten(&path, text).expect("it is JSON");
        leaves.into_iter().map(|(path, text)| (path.key(), text.into_exposed())).collect()
    }

    #[test]
    fn objects_are_branches_and_all_else_is_a_leaf_as_it_was_written() {
        let text =
            r#"{"a": {"x.y": 1.0, "e": {}, "n": null}, "l": [1, {"b" : "c d"}], "big": 1e3, "s": "\" {\\" }"#;
        let expected = [
            ("p.a.e", "{}"),
            ("p.a.n", "null"),
            ("p.a.x\\.y", "1.0"),
            ("p.big", "1e3"),
            ("p.l", r#"[1,{"b":"c d"}]"#),
            ("p.s", r#""\" {\\""#),
        ];
        let found = leaves("p", text);
        let found: Vec<_> = found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert_eq!(found, expected);
        let path = ConfigPath::parse("p").expect("it is a path");
        let json = assemble(&path, expected.into_iter()).expect("there are leaves");
        let whole = r#"{"a":{"e":{},"n":null,"x.y":1.0},"big":1e3,"l":[1,{"b":"c d"}],"s":"\" {\\"}"#;
        assert_eq!(json.expose(), whole);
    }

    #[test]
    fn a_leaf_alone_is_itself_and_nothing_is_nothing() {
        assert_eq!(leaves("a.b", " 42 "), [("a.b".to_owned(), "42".to_owned())]);
        let path = ConfigPath::parse("a.b").expect("it is a path");
        assert_eq!(assemble(&path, [("a.b", "null")].into_iter()), Some(Plaintext::new("null")));
        assert_eq!(assemble(&path, std::iter::empty()), None);
    }

    #[test]
    fn what_can_not_be_kept_is_refused_without_repeating_it() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        let large = format!("\"{}\"", "hunter2".repeat(10_000));
        for (path, text) in [
            ("a", "hunter2"),
            ("a", r#"{"hunter2":"#),
            ("a", r#"{"":1}"#),
            ("a", "1e999"),
            ("", "1"),
            ("", "{}"),
            ("a", &deep),
            ("a", &large),
        ] {
            let path = ConfigPath::parse(path).expect("it is a path");
            let fault = flatten(&path, text).expect_err("it can't be kept");
            assert_eq!(fault.code, Code::Usage);
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
    }
}
