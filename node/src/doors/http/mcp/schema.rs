//! The schemas of tools: what a tool takes is an object, and each schema is whole by itself.

use super::super::platform::PLACE;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Where a schema has its parts.
const OWN: &str = "#/$defs/";
/// The only field of an object that stands for what is none.
const INPUT: &str = "input";
/// The field with the messages of a stream, in what a tool takes and in what it gives.
pub(super) const MESSAGES: &str = "messages";
/// The field that says whether there would have been more of them.
pub(super) const MORE: &str = "more";

/// What a tool takes, for an endpoint that takes what `schema` says. One that takes no object is handed the field
/// `input` of one.
pub(super) fn taken(schema: &Value) -> Map<String, Value> {
    match schema {
        Value::Object(members) if is_object(schema) => members.clone(),
        // It says nothing of what it takes.
        Value::Bool(true) => Map::from_iter([("type".to_owned(), "object".into())]),
        other => around(other, |input| json!({INPUT: input}), &[INPUT]),
    }
}

/// What a tool takes, for an endpoint that takes a stream of what `schema` says: all of it at once.
pub(super) fn taken_in_stream(schema: &Value) -> Map<String, Value> {
    around(schema, |message| json!({MESSAGES: {"type": "array", "items": message}}), &[MESSAGES])
}

/// What a tool gives, for an endpoint that answers with a stream of what `schema` says.
pub(super) fn given_in_stream(schema: &Value) -> Map<String, Value> {
    let fields = |message| {
        let more = "whether the service had more to say when enough was heard, or the time was over";
        json!({
            MESSAGES: {"type": "array", "items": message},
            MORE: {"type": "boolean", "description": more},
        })
    };
    around(schema, fields, &[MESSAGES, MORE])
}

/// The schema of an object with `fields` made of another schema, whose parts become its own.
fn around(schema: &Value, fields: impl FnOnce(Value) -> Value, required: &[&str]) -> Map<String, Value> {
    let mut inner = schema.clone();
    let parts = inner.as_object_mut().and_then(|members| members.remove("$defs"));
    let mut whole = Map::new();
    whole.insert("type".to_owned(), "object".into());
    whole.insert("properties".to_owned(), fields(inner));
    whole.insert("required".to_owned(), required.into());
    parts.into_iter().for_each(|parts| drop(whole.insert("$defs".to_owned(), parts)));
    whole
}

/// What the endpoint is handed, of what the tool was given.
pub(super) fn handed(schema: &Value, mut given: Map<String, Value>) -> Value {
    match schema {
        Value::Bool(true) => Value::Object(given),
        _ if is_object(schema) => Value::Object(given),
        _ => given.remove(INPUT).unwrap_or(Value::Null),
    }
}

/// What a tool gives, if that is always an object: of others the protocol has no schemas.
pub(super) fn given(schema: &Value) -> Option<Map<String, Value>> {
    schema.as_object().filter(|_| is_object(schema)).cloned()
}

fn is_object(schema: &Value) -> bool {
    schema["type"] == "object"
}

/// The schema of this name among `all`, which refer to each other as components of one document, with all that it
/// refers to inside it.
pub(super) fn with_parts(all: &Map<String, Value>, name: &str) -> Value {
    let mut whole = all.get(name).cloned().unwrap_or(Value::Bool(true));
    let mut waiting = own_references(&mut whole);
    let (mut known, mut parts) = (BTreeSet::new(), Map::new());
    while let Some(part) = waiting.pop_first() {
        if known.insert(part.clone()) {
            let mut schema = all.get(&part).cloned().unwrap_or(Value::Bool(true));
            waiting.append(&mut own_references(&mut schema));
            parts.insert(part, schema);
        }
    }
    if !parts.is_empty() {
        whole["$defs"] = parts.into();
    }
    whole
}

/// Lets all references to components be to parts of the schema itself, and says to which.
fn own_references(schema: &mut Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref")
                && let Some(part) = reference.strip_prefix(PLACE).map(str::to_owned)
            {
                *reference = format!("{OWN}{part}");
                found.insert(part);
            }
            members.values_mut().for_each(|member| found.append(&mut own_references(member)));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| found.append(&mut own_references(item))),
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_no_object_takes_one_with_a_field() {
        let object = json!({"type": "object", "properties": {"name": {"type": "string"}}});
        assert_eq!(Value::Object(taken(&object)), object);
        let list =
            json!({"type": "array", "items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "string"}}});
        let wrapped = Value::Object(taken(&list));
        assert_eq!(wrapped["properties"]["input"]["items"]["$ref"], "#/$defs/A");
        assert_eq!(
            (&wrapped["required"][0], &wrapped["$defs"]["A"]["type"]),
            (&json!("input"), &json!("string"))
        );
        assert_eq!(Value::Object(taken(&json!(true))), json!({"type": "object"}));
        let given = || Map::from_iter([("input".to_owned(), json!(["a"])), ("other".to_owned(), json!(1))]);
        assert_eq!(handed(&list, given()), json!(["a"]));
        assert_eq!(handed(&list, Map::new()), Value::Null);
        for schema in [&object, &json!(true)] {
            assert_eq!(handed(schema, given()), json!({"input": ["a"], "other": 1}));
        }
        assert_eq!((super::given(&list), super::given(&json!(true))), (None, None));
    }

    #[test]
    fn a_stream_is_a_list_of_messages() {
        let message = json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "string"}}});
        let taken = Value::Object(taken_in_stream(&message));
        assert_eq!(taken["properties"]["messages"]["items"], json!({"$ref": "#/$defs/A"}));
        assert_eq!(
            (&taken["$defs"]["A"]["type"], &taken["required"]),
            (&json!("string"), &json!(["messages"]))
        );
        let given = Value::Object(given_in_stream(&json!(true)));
        assert_eq!(given["properties"]["messages"]["items"], true);
        assert_eq!((&given["required"], &given["$defs"]), (&json!(["messages", "more"]), &Value::Null));
    }

    #[test]
    fn a_schema_has_all_that_it_refers_to() {
        let place = |name: &str| json!({"$ref": format!("{PLACE}{name}")});
        let all = json!({
            "a.A": {"type": "object", "properties": {"b": place("a.B"), "list": {"items": place("a.C")}}},
            "a.B": {"type": "object", "properties": {"again": place("a.A"), "self": place("a.B")}},
            "a.C": {"enum": ["x"]},
            "a.D": {"type": "object"},
        });
        let whole = with_parts(all.as_object().expect("it is one"), "a.A");
        assert_eq!(whole["properties"]["b"]["$ref"], "#/$defs/a.B");
        let parts: Vec<&String> = whole["$defs"].as_object().expect("it has parts").keys().collect();
        assert_eq!(parts, ["a.A", "a.B", "a.C"]);
        assert_eq!(whole["$defs"]["a.B"]["properties"]["again"]["$ref"], "#/$defs/a.A");
        assert!(!whole.to_string().contains(PLACE), "{whole}");
    }
}
