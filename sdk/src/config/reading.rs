//! Values as types: no guessing, and errors that name the path, the source, and what is wrong.

use super::{
    Snapshot,
    layer::set,
    path::Path,
    snapshot::{Found, Winner},
    source::named,
};
use crate::wire::{Code, Fault};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How many sources an error names: more tell nobody where to look.
const SOURCES_SHOWN: usize = 3;

impl Snapshot {
    /// The value at `path` as a `T`, if there is one; of the whole with an empty path.
    ///
    /// # Errors
    /// `Failed` if it is no `T`; `Usage` if it is no path.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        let path = Path::parse(path)?;
        self.find(&path).map(|found| typed(&path, found)).transpose()
    }

    /// The value at `path` as a `T`, or this one if there is none.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_or<T: DeserializeOwned>(&self, path: &str, default: T) -> Result<T, Fault> {
        Ok(self.get(path)?.unwrap_or(default))
    }

    /// The truth value at `path`.
    ///
    /// # Errors
    /// `Failed` if it is another value; `Usage` if it is no path.
    pub fn bool(&self, path: &str) -> Result<Option<bool>, Fault> {
        self.read(path, "true or false", |value, _| value.as_bool())
    }

    /// The whole number at `path`.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn int(&self, path: &str) -> Result<Option<i64>, Fault> {
        self.read(path, "a whole number of 64 bits", |value, _| value.as_i64())
    }

    /// The number at `path`.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn float(&self, path: &str) -> Result<Option<f64>, Fault> {
        self.read(path, "a number", |value, _| value.as_f64())
    }

    /// The text at `path`. What a variable or a flag says is always one.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn string(&self, path: &str) -> Result<Option<String>, Fault> {
        self.read(path, "a text", |value, text| text.or(value.as_str()).map(str::to_owned))
    }

    /// The length of time at `path`: a text such as `250ms`, `1.5s` or `1h30m`, of the units ns, us, ms, s, m, h and d.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn duration(&self, path: &str) -> Result<Option<Duration>, Fault> {
        let what = "a length of time, such as \"250ms\" or \"1h30m\"";
        self.read(path, what, |value, text| text.or(value.as_str()).and_then(duration))
    }

    /// The texts at `path`: an array of them. A variable or a flag may also have them parted by commas.
    ///
    /// # Errors
    /// As [`bool`](Self::bool).
    pub fn strings(&self, path: &str) -> Result<Option<Vec<String>>, Fault> {
        let parted = |text: &str| text.split(',').map(|part| part.trim().to_owned()).collect();
        self.read(path, "a list of texts", |value, text| match value {
            Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
            Value::Object(_) => None,
            _ => text.map(parted),
        })
    }

    /// The value at `path` as `read` makes it of the JSON, and of the text that it was read from, if it was.
    fn read<R>(
        &self,
        path: &str,
        what: &str,
        read: impl FnOnce(&Value, Option<&str>) -> Option<R>,
    ) -> Result<Option<R>, Fault> {
        let path = Path::parse(path)?;
        let Some(found) = self.find(&path) else { return Ok(None) };
        let text = found.leaves.get(&path).and_then(|winner| winner.leaf.text.as_deref());
        match read(&found.value, text) {
            Some(read) => Ok(Some(read)),
            None => {
                let is = if found.secret { "a secret".to_owned() } else { shown(&found.value) };
                let message = format!("{} is {is}, not {what}", located(&path, &found));
                Err(Fault::new(Code::Failed, message).help("correct it there, or set it in a later source"))
            }
        }
    }
}

/// What was found at `path`, as a `T`.
pub(super) fn typed<T: DeserializeOwned>(path: &Path, found: Found) -> Result<T, Fault> {
    let mut value = found.value.clone();
    // What a variable or a flag says is a text where a text is wanted, and a number where that is, whatever a source
    // below has there: each of them that is in the way is read in its other way, in turn.
    let mut refused = BTreeMap::new();
    loop {
        let error = match serde_path_to_error::deserialize(&value) {
            Ok(typed) => return Ok(typed),
            Err(error) => error,
        };
        let at = nearest(path, &found, error.path());
        if let Some(first) = refused.get(&at) {
            return Err(unfit(&at, &found, first));
        }
        let text = found.leaves.get(&at).and_then(|winner| winner.leaf.text.as_deref());
        let names = &at.names()[path.names().len().min(at.names().len())..];
        let other = text.and_then(|text| other_reading(text, at_names(&value, names)?));
        let Some(other) = other else { return Err(unfit(&at, &found, error.inner())) };
        set(&mut value, names, other);
        refused.insert(at, error.into_inner());
    }
}

/// What else than `value` a variable or a flag may mean that says `text`.
fn other_reading(text: &str, value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => serde_json::from_str(text).ok().filter(|other: &Value| !other.is_string()),
        _ => Some(Value::String(text.to_owned())),
    }
}

fn at_names<'a>(value: &'a Value, names: &[String]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| value.get(name))
}

/// The path of what an error is about, as far as there are values.
fn nearest(path: &Path, found: &Found, error: &serde_path_to_error::Path) -> Path {
    let mut at = path.clone();
    for segment in error.iter() {
        let (Segment::Map { key: name } | Segment::Enum { variant: name }) = segment else { break };
        let child = at.child(name);
        if !found.leaves.keys().any(|leaf| leaf.is_within(&child)) {
            break;
        }
        at = child;
    }
    at
}

/// The refusal of a value. What serde says may repeat a value, so it is left out where a secret is near.
fn unfit(at: &Path, found: &Found, error: &serde_json::Error) -> Fault {
    let why = if found.secret {
        "it is, or holds, a secret, so more is not told".to_owned()
    } else {
        error.to_string()
    };
    let message = format!("{} is not as expected: {why}", located(at, found));
    Fault::new(Code::Failed, message).help("correct it there, or set it in a later source")
}

/// A path, and the sources of what is there, for people.
fn located(path: &Path, found: &Found) -> String {
    let origin = |(_, winner): (_, &Winner)| named(winner.source, &winner.leaf.place);
    let sources: BTreeSet<String> =
        found.leaves.iter().filter(|(leaf, _)| leaf.meets(path)).map(origin).collect();
    let mut named: Vec<&str> = sources.iter().take(SOURCES_SHOWN).map(String::as_str).collect();
    if sources.len() > SOURCES_SHOWN {
        named.push("…");
    }
    let path = if path.names().is_empty() { "the configuration".to_owned() } else { path.to_string() };
    format!("{path} ({})", named.join(", "))
}

/// A value, for people: no more of it than fits a line.
fn shown(value: &Value) -> String {
    let (text, limit) = (value.to_string(), 60);
    match text.chars().count() > limit {
        true => text.chars().take(limit).chain(['…']).collect(),
        false => text,
    }
}

/// Reads a length of time: numbers, each with its unit.
fn duration(text: &str) -> Option<Duration> {
    let (mut rest, mut sum) = (text.trim(), None);
    while !rest.is_empty() {
        let number = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let behind = &rest[number..];
        let unit = behind.find(|char: char| char.is_ascii_digit()).unwrap_or(behind.len());
        let seconds = match behind[..unit].trim() {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(rest[..number].parse::<f64>().ok()? * seconds).ok()?;
        sum = Some(sum.unwrap_or(Duration::ZERO).checked_add(part)?);
        rest = behind[unit..].trim_start();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Source,
            layer::{Layer, Leaf},
            snapshot::Secrets,
        },
        *,
    };
    use serde::Deserialize;
    use serde_json::json;

    fn snapshot(file: &Value, variables: &[(&str, &str)], secret: &str) -> Snapshot {
        let file = Layer::of(Source::File, file, "shop.toml");
        let mut environment = Layer::empty(Source::Environment);
        for (path, text) in variables {
            let path = Path::parse(path).expect("a path");
            environment.leaves.insert(path, Leaf::read(text, "SHOP_X", None));
        }
        let mut secrets = Secrets::default();
        if !secret.is_empty() {
            secrets.insert(Path::parse(secret).expect("a path"));
        }
        Snapshot::merge(&[&file, &environment], Vec::new(), secrets, 0)
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Limits {
        items: u32,
        zip: String,
    }

    #[test]
    fn values_are_read_as_what_they_are() {
        let file = json!({
            "on": true, "n": 42, "f": 1.5, "s": "x", "d": "1h30m", "l": ["a", "b"], "null": null,
            "limits": {"items": 3, "zip": "02139"},
        });
        let snapshot = snapshot(&file, &[], "");
        assert_eq!(snapshot.bool("on"), Ok(Some(true)));
        assert_eq!((snapshot.int("n"), snapshot.float("n")), (Ok(Some(42)), Ok(Some(42.0))));
        assert_eq!(snapshot.float("f"), Ok(Some(1.5)));
        assert_eq!(snapshot.string("s"), Ok(Some("x".to_owned())));
        assert_eq!(snapshot.duration("d"), Ok(Some(Duration::from_secs(5400))));
        assert_eq!(snapshot.strings("l"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(snapshot.get("null"), Ok(Some(None::<u32>)));
        assert_eq!(snapshot.get("limits"), Ok(Some(Limits { items: 3, zip: "02139".into() })));
        assert_eq!((snapshot.int("none"), snapshot.get_or("none", 7)), (Ok(None), Ok(7)));
        // No guessing: a text is no number, a number no text, and one is not true.
        assert!(snapshot.int("s").is_err() && snapshot.int("f").is_err() && snapshot.int("null").is_err());
        assert!(
            snapshot.string("n").is_err() && snapshot.bool("n").is_err() && snapshot.duration("n").is_err()
        );
        assert!(snapshot.strings("s").is_err() && snapshot.strings("limits").is_err());
        assert_eq!(snapshot.int("a..b").expect_err("it is no path").code, Code::Usage);
    }

    #[test]
    fn a_variable_is_the_text_that_is_wanted_or_the_value_that_it_looks_like() {
        let variables =
            [("n", "42"), ("l", "a, b"), ("limits.items", "3"), ("limits.zip", "02139"), ("e", "1e3")];
        let snapshot = snapshot(&json!({}), &variables, "");
        assert_eq!((snapshot.int("n"), snapshot.string("n")), (Ok(Some(42)), Ok(Some("42".to_owned()))));
        assert_eq!((snapshot.get("n"), snapshot.get("n")), (Ok(Some(42)), Ok(Some("42".to_owned()))));
        assert_eq!(snapshot.strings("l"), Ok(Some(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(snapshot.get("limits"), Ok(Some(Limits { items: 3, zip: "02139".into() })));
        assert_eq!(snapshot.get("e"), Ok(Some("1e3".to_owned())));
    }

    #[test]
    fn an_error_names_path_source_and_what_is_wrong_but_no_secret() {
        let file = json!({"limits": {"items": "hunter2", "zip": "1"}});
        let error = snapshot(&file, &[], "").get::<Limits>("limits").expect_err("it is a text");
        for word in ["limits.items", "file shop.toml", "hunter2", "u32"] {
            assert!(error.message.contains(word), "{error}");
        }
        let error = snapshot(&file, &[], "").int("limits.items").expect_err("it is a text");
        assert!(error.message.contains("\"hunter2\", not a whole number"), "{error}");
        for secret in ["limits.items", "limits", "limits.zip"] {
            let snapshot = snapshot(&file, &[], secret);
            let error = snapshot.get::<Limits>("").expect_err("it is something else");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
        let error = snapshot(&file, &[], "limits.items").int("limits.items").expect_err("it is a text");
        assert!(!error.message.contains("hunter2") && error.message.contains("a secret"), "{error}");
        let error =
            snapshot(&file, &[("limits.items", "x")], "").get::<Limits>("limits").expect_err("a text");
        assert!(error.message.contains("environment SHOP_X"), "{error}");
    }

    #[test]
    fn lengths_of_time_have_units() {
        for (text, wanted) in [
            ("250ms", Some(Duration::from_millis(250))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("1d 2h", Some(Duration::from_secs(26 * 3600))),
            ("3us", Some(Duration::from_micros(3))),
            ("0s", Some(Duration::ZERO)),
            ("", None),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1 fortnight", None),
            ("99999999999999999999d", None),
        ] {
            assert_eq!(duration(text), wanted, "{text:?}");
        }
    }
}
