//! What programs may rely on in what commands print: within a version, shapes keep what they promised.

use crate::golden;
use anyhow::{Context, ensure};
use micro_tests::Shapes;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

/// What is promised of a member.
#[derive(Debug, Default, PartialEq)]
struct Promise {
    /// Whether it is there wherever what it is in is.
    always: bool,
    /// The types of what it holds; none if it may be anything.
    types: BTreeSet<String>,
}

/// What a schema promises, by the paths of members.
#[derive(Debug, Default)]
struct Promises(BTreeMap<String, Promise>);

impl Promises {
    fn of(schema: &Value) -> Self {
        let mut promises = Promises::default();
        promises.add(schema, schema, "", &mut Vec::new());
        promises
    }

    /// Takes down what `schema`, which is part of `root`, says of what is at `path`.
    fn add<'a>(&mut self, root: &'a Value, schema: &'a Value, path: &str, within: &mut Vec<&'a str>) {
        let types = &mut self.0.entry(path.to_owned()).or_default().types;
        match &schema["type"] {
            Value::Array(several) => {
                types.extend(several.iter().filter_map(Value::as_str).map(str::to_owned))
            }
            one => types.extend(one.as_str().map(str::to_owned)),
        }
        if let Some(definition) = schema["$ref"].as_str().filter(|name| !within.contains(name)) {
            let meant = definition.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
            within.push(definition);
            self.add(root, meant.expect("a schema refers to what is in it"), path, within);
            within.pop();
        }
        for several in ["oneOf", "anyOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                self.add(root, one, path, within);
            }
        }
        let required = schema["required"].as_array();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let place = format!("{path}.{name}");
            self.add(root, member, &place, within);
            let always = required.is_some_and(|names| names.iter().any(|other| other == name));
            self.0.entry(place).or_default().always |= always;
        }
        for (inner, sign) in [("items", "[]"), ("additionalProperties", ".*")] {
            if schema[inner].is_object() {
                self.add(root, &schema[inner], &format!("{path}{sign}"), within);
            }
        }
    }

    /// What of this `now` does not keep.
    fn broken(&self, now: &Promises) -> Vec<String> {
        let broken = |(path, before): (&String, &Promise)| {
            let Some(now) = now.0.get(path) else { return Some(format!("{path} is gone")) };
            if before.always && !now.always {
                return Some(format!("{path} is not always there any more"));
            }
            let more = now.types.difference(&before.types).cloned().collect::<Vec<_>>().join(" or ");
            let other = match (before.types.is_empty(), now.types.is_empty()) {
                (true, _) => None,
                (false, true) => Some("anything".to_owned()),
                (false, false) => Some(more).filter(|more| !more.is_empty()),
            };
            other.map(|other| format!("{path} may be {other} now"))
        };
        self.0.iter().filter_map(broken).collect()
    }
}

/// What of the schemas `before` those of `now` do not keep.
fn broken(before: &BTreeMap<String, Value>, now: &BTreeMap<&str, &Value>) -> Vec<String> {
    let of_one = |(id, before): (&String, &Value)| match now.get(id.as_str()) {
        None => vec![format!("{id} is gone: whatever was printed so is of a new shape, or that makes v2")],
        Some(now) => {
            let broken = Promises::of(before).broken(&Promises::of(now)).into_iter();
            broken.map(|what| format!("{id}: {what}: that makes v2")).collect()
        }
    };
    before.iter().flat_map(of_one).collect()
}

#[tokio::test]
async fn golden_shapes_keep_what_they_promised() -> anyhow::Result<()> {
    let schemas = Shapes::told().await?.schemas();
    let before = fs::read_to_string(golden::path("schemas.json"));
    let before: BTreeMap<String, Value> = match before {
        Ok(text) => serde_json::from_str(&text)?,
        Err(_) if golden::blesses() => BTreeMap::new(),
        Err(error) => return Err(error).context("golden/schemas.json"),
    };
    // Also where all is to be found good: who breaks what programs rely on has to remove it from the file by hand.
    let broken = broken(&before, &schemas);
    ensure!(broken.is_empty(), "programs rely on this:\n  {}", broken.join("\n  "));
    let now = serde_json::to_string_pretty(&json!(schemas))? + "\n";
    golden::compare(&BTreeMap::from([("schemas.json".to_owned(), now)]))
}

#[test]
fn a_key_that_is_removed_renamed_or_of_another_type_is_noticed_and_an_added_one_is_not() {
    let schema = |properties: Value, required: Value| {
        let item = json!({ "type": "object", "properties": properties, "required": required });
        json!({
            "type": "object",
            "properties": { "items": { "type": "array", "items": { "$ref": "#/$defs/Item" } } },
            "required": ["items"],
            "$defs": { "Item": item },
        })
    };
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let or_null = json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] });
    let golden = schema(json!({ "name": text, "note": or_null }), json!(["name"]));
    let before = BTreeMap::from([("x/v1".to_owned(), golden.clone())]);
    for (now, expected) in [
        (golden.clone(), &[][..]),
        (schema(json!({ "name": text, "note": text, "more": number }), json!(["name", "more"])), &[]),
        (schema(json!({ "title": text, "note": or_null }), json!(["title"])), &[".items[].name is gone"]),
        (schema(json!({ "name": text }), json!(["name"])), &[".items[].note is gone"]),
        (
            schema(json!({ "name": text, "note": or_null }), json!([])),
            &[".items[].name is not always there any more"],
        ),
        (
            schema(json!({ "name": number, "note": or_null }), json!(["name"])),
            &[".items[].name may be integer now"],
        ),
        (
            schema(json!({ "name": or_null, "note": or_null }), json!(["name"])),
            &[".items[].name may be null now"],
        ),
        (
            schema(json!({ "name": true, "note": or_null }), json!(["name"])),
            &[".items[].name may be anything now"],
        ),
    ] {
        let expected: Vec<String> =
            expected.iter().map(|what| format!("x/v1: {what}: that makes v2")).collect();
        assert_eq!(broken(&before, &BTreeMap::from([("x/v1", &now)])), expected, "{now}");
    }
    assert!(broken(&before, &BTreeMap::new())[0].starts_with("x/v1 is gone"));
}
