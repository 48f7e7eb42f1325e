//! Named texts from a path, a query, a form or a command line, made the JSON that the endpoint's schema describes.
//!
//! `a.b=1` and `a[b]=1` are an object in an object, `a[]=1` and a name that is there again are lists. Where the schema
//! says nothing, a text is a text.

use super::{Kinds, Schema};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use micro_sdk::wire::{Code, Fault};
use percent_encoding::percent_decode;
use serde_json::{Map, Number, Value};

/// The most fields of one request: each is a step of work that a few bytes ask for.
const FIELDS_MAX: usize = 1000;
/// How deep names may nest.
const DEPTH_MAX: usize = 8;

/// What one field was given.
#[derive(Clone, Debug)]
pub(crate) enum Given {
    /// A text.
    Text(String),
    /// The bytes of a file.
    File(Bytes),
}

/// An object that is put together of fields.
pub(crate) struct Fields<'s> {
    object: Value,
    schema: Option<Schema<'s>>,
    count: usize,
}

impl<'s> Fields<'s> {
    /// An empty one, for an endpoint that takes what `schema` describes.
    pub fn new(schema: Option<Schema<'s>>) -> Self {
        Fields { object: Value::Object(Map::new()), schema, count: 0 }
    }

    /// Adds a field.
    ///
    /// # Errors
    /// [`Code::Usage`] for a text that is not what the schema says, or that does not fit to what was given before.
    pub fn add(&mut self, name: &str, given: Given) -> Result<(), Fault> {
        let whole = self.schema.is_some_and(|schema| schema.property(name).is_some());
        let steps = if whole { vec![name] } else { steps(name) };
        self.put(&steps, name, given)
    }

    /// Adds the field that is these steps into the object; `name` is what it was called.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn put(&mut self, steps: &[&str], name: &str, given: Given) -> Result<(), Fault> {
        self.count += 1;
        if self.count > FIELDS_MAX {
            return Err(bad(format!("a request has at most {FIELDS_MAX} fields")));
        }
        if steps.len() > DEPTH_MAX {
            return Err(bad(format!("the field {name:?} is nested more than {DEPTH_MAX} deep")));
        }
        put(&mut self.object, steps, self.schema, name, given)
    }

    /// Adds all fields of a query or of an urlencoded form.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_encoded(&mut self, encoded: &[u8]) -> Result<(), Fault> {
        if percent_decode(encoded).decode_utf8().is_err() {
            return Err(bad("the fields are no text in UTF-8".to_owned()));
        }
        for (name, value) in form_urlencoded::parse(encoded) {
            self.add(&name, Given::Text(value.into_owned()))?;
        }
        Ok(())
    }

    /// Puts the object's members over those of another, which give way.
    pub fn over(self, mut below: Map<String, Value>) -> Map<String, Value> {
        below.extend(self.into_object());
        below
    }

    /// The object.
    pub fn into_object(self) -> Map<String, Value> {
        match self.object {
            Value::Object(object) => object,
            other => unreachable!("an object is never replaced, but there is {other}"),
        }
    }
}

fn bad(message: String) -> Fault {
    Fault::new(Code::Usage, message)
}

/// The steps that a name takes: `a.b[c][]` is `a`, `b`, `c`, and one more of a list. A name that is not written so is
/// one step.
fn steps(name: &str) -> Vec<&str> {
    let (head, brackets) = name.find('[').map_or((name, ""), |at| name.split_at(at));
    let mut steps: Vec<&str> = head.split('.').collect();
    let mut rest = brackets;
    while let Some((step, tail)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        steps.push(step);
        rest = tail;
    }
    let plain = rest.is_empty() && steps.iter().take(head.split('.').count()).all(|step| !step.is_empty());
    if plain { steps } else { vec![name] }
}

fn put(
    place: &mut Value,
    steps: &[&str],
    schema: Option<Schema<'_>>,
    name: &str,
    given: Given,
) -> Result<(), Fault> {
    let Some((step, rest)) = steps.split_first() else { return set(place, schema, name, given) };
    let list = schema.is_some_and(|schema| schema.kinds().array);
    if step.is_empty() || (list && step.bytes().all(|byte| byte.is_ascii_digit())) {
        if place.is_null() {
            *place = Value::Array(Vec::new());
        }
        let Value::Array(items) = place else { return Err(bad(format!("the field {name:?} is no list"))) };
        let mut item = Value::Null;
        put(&mut item, rest, schema.and_then(Schema::items), name, given)?;
        items.push(item);
        return Ok(());
    }
    if place.is_null() {
        *place = Value::Object(Map::new());
    }
    let Value::Object(members) = place else {
        return Err(bad(format!("the field {name:?} is a value and an object at once")));
    };
    let member = members.entry((*step).to_owned()).or_insert(Value::Null);
    let schema = schema.and_then(|schema| {
        let named = schema.property(step);
        named.or_else(|| schema.property(&json_name(step)))
    });
    put(member, rest, schema, name, given)
}

/// What ProtoJSON calls the field that is `name` in a `.proto` file, by which it may be called too: `leaf_count` is
/// `leafCount`.
fn json_name(name: &str) -> String {
    let mut letters = name.chars();
    let mut json = String::with_capacity(name.len());
    while let Some(letter) = letters.next() {
        match letter {
            '_' => json.extend(letters.next().map(|next| next.to_ascii_uppercase())),
            letter => json.push(letter),
        }
    }
    json
}

/// Gives a place its value, or its list one more item.
fn set(place: &mut Value, schema: Option<Schema<'_>>, name: &str, given: Given) -> Result<(), Fault> {
    let kinds = schema.map(Schema::kinds).unwrap_or_default();
    let bytes_as_list = matches!(&given, Given::File(_)) && place.is_null();
    if kinds.array && !kinds.string && !bytes_as_list {
        let item = value(schema.and_then(Schema::items), name, given)?;
        match place {
            Value::Null => *place = Value::Array(vec![item]),
            Value::Array(items) => items.push(item),
            _ => return Err(bad(format!("the field {name:?} is a value and a list at once"))),
        }
        return Ok(());
    }
    let value = value(schema, name, given)?;
    match place {
        Value::Null => *place = value,
        _ if kinds.known() => return Err(bad(format!("the field {name:?} is there more than once"))),
        Value::Array(items) => items.push(value),
        first => *first = Value::Array(vec![first.take(), value]),
    }
    Ok(())
}

fn value(schema: Option<Schema<'_>>, name: &str, given: Given) -> Result<Value, Fault> {
    let kinds = schema.map(Schema::kinds).unwrap_or_default();
    match given {
        Given::Text(text) => typed(text, kinds)
            .map_err(|text| bad(format!("the field {name:?} is {}, not {text:?}", kinds.shown())))
            .map_err(|fault| match example(kinds) {
                Some(example) => fault.help(format!("write it as {name}={example}")),
                None => fault,
            }),
        Given::File(bytes) => file(schema, kinds, name, &bytes),
    }
}

/// A text as JSON of one of these kinds; the text again if it is none.
fn typed(text: String, kinds: Kinds) -> Result<Value, String> {
    if !kinds.known() || kinds.string {
        return Ok(Value::String(text));
    }
    if kinds.boolean {
        match text.as_str() {
            // A box that was ticked is "on", and a name without a value says it is there.
            "true" | "1" | "on" | "" => return Ok(Value::Bool(true)),
            "false" | "0" | "off" => return Ok(Value::Bool(false)),
            _ => {}
        }
    }
    if kinds.integer || kinds.number {
        match serde_json::from_str::<Number>(text.trim()) {
            Ok(number) if kinds.number || !number.is_f64() => return Ok(Value::Number(number)),
            _ => {}
        }
    }
    if kinds.null && (text.is_empty() || text == "null") {
        return Ok(Value::Null);
    }
    match serde_json::from_str::<Value>(&text) {
        Ok(value @ Value::Object(_)) if kinds.object => Ok(value),
        Ok(value @ Value::Array(_)) if kinds.array => Ok(value),
        _ => Err(text),
    }
}

/// How a value of these kinds is written.
fn example(kinds: Kinds) -> Option<&'static str> {
    match kinds {
        Kinds { integer: true, .. } => Some("7"),
        Kinds { number: true, .. } => Some("1.5"),
        Kinds { boolean: true, .. } => Some("true"),
        Kinds { object: true, .. } => Some("{…}, as JSON"),
        _ => None,
    }
}

/// The bytes of a file, as the schema has bytes: numbers, base64, or a text.
fn file(schema: Option<Schema<'_>>, kinds: Kinds, name: &str, bytes: &[u8]) -> Result<Value, Fault> {
    let numbers = schema.and_then(Schema::items).is_some_and(|items| items.kinds().integer);
    if kinds.array && numbers {
        return Ok(bytes.iter().copied().map(Value::from).collect());
    }
    let text = kinds.string && !schema.is_some_and(Schema::is_base64);
    match std::str::from_utf8(bytes) {
        Ok(bytes) if text => Ok(Value::String(bytes.to_owned())),
        Err(_) if text => Err(bad(format!("the field {name:?} is a text, and its file is none"))),
        _ => Ok(Value::String(STANDARD.encode(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "integer"},
                "share": {"type": "number"},
                "open": {"type": "boolean"},
                "note": {"type": ["string", "null"]},
                "limit": {"type": ["integer", "null"]},
                "tags": {"type": "array", "items": {"type": "string"}},
                "ids": {"type": "array", "items": {"type": "integer"}},
                "place": {"$ref": "#/$defs/Place"},
                "a.b": {"type": "integer"},
                "opensSoon": {"type": "boolean"},
                "bytes": {"type": "string", "contentEncoding": "base64"},
            },
            "$defs": {"Place": {"type": "object", "properties": {"zip": {"type": "integer"}, "deep": {"$ref": "#/$defs/Place"}}}},
        })
    }

    fn read(query: &str, schema: Option<&Value>) -> Result<Value, String> {
        let mut fields = Fields::new(schema.map(Schema::of));
        let told = |fault: Fault| fault.to_string();
        fields.add_encoded(query.as_bytes()).map_err(told)?;
        Ok(Value::Object(fields.into_object()))
    }

    #[test]
    fn texts_become_what_the_schema_says() {
        let schema = schema();
        for (query, expected) in [
            ("name=7&age=7", json!({"name": "7", "age": 7})),
            ("age=-3&share=1.5", json!({"age": -3, "share": 1.5})),
            ("share=2", json!({"share": 2})),
            ("open=true", json!({"open": true})),
            ("open=off", json!({"open": false})),
            ("open", json!({"open": true})),
            ("note=&limit=", json!({"note": "", "limit": null})),
            ("tags=1", json!({"tags": ["1"]})),
            ("ids=1&ids=2", json!({"ids": [1, 2]})),
            ("ids[]=1&ids[]=2", json!({"ids": [1, 2]})),
            ("ids[0]=5&ids[1]=6", json!({"ids": [5, 6]})),
            ("place.zip=10115", json!({"place": {"zip": 10115}})),
            ("place[zip]=10115&place[deep][zip]=1", json!({"place": {"zip": 10115, "deep": {"zip": 1}}})),
            ("place={\"zip\":1}", json!({"place": {"zip": 1}})),
            ("a.b=1", json!({"a.b": 1})),
            // As it is called in a `.proto` file.
            ("opens_soon=true", json!({"opens_soon": true})),
            ("other=1&other=2", json!({"other": ["1", "2"]})),
            ("name=Jane+Doe%C3%BC", json!({"name": "Jane Doeü"})),
            ("", json!({})),
        ] {
            assert_eq!(read(query, Some(&schema)), Ok(expected), "{query}");
        }
        for query in [
            "age=x",
            "age=1.5",
            "age=",
            "age=1&age=2",
            "open=yes",
            "ids=1&ids=x",
            "place=x",
            "share=NaN",
            "name=a&name=b",
            "place.zip=1&place=2",
            "age=0x10",
            "age=1e400",
        ] {
            assert!(read(query, Some(&schema)).is_err(), "{query}");
        }
    }

    #[test]
    fn without_a_schema_texts_are_texts() {
        for (query, expected) in [
            ("name=Jane+Doe&x=%C3%BC&x=2&y", json!({"name": "Jane Doe", "x": ["ü", "2"], "y": ""})),
            ("a=%zz%4", json!({"a": "%zz%4"})),
            ("a.b=1&a[c]=2&d[]=3", json!({"a": {"b": "1", "c": "2"}, "d": ["3"]})),
            ("a[=1&b]=2&.=3", json!({"a[": "1", "b]": "2", ".": "3"})),
        ] {
            assert_eq!(read(query, None), Ok(expected), "{query}");
        }
        assert!(read(&"a=1&".repeat(FIELDS_MAX + 1), None).is_err());
        assert!(read(&format!("a{}=1", "[b]".repeat(DEPTH_MAX)), None).is_err());
        assert!(read("a=1&a.b=2", None).is_err());
    }

    #[test]
    fn files_become_what_the_schema_says() {
        let schema = schema();
        let given = |name: &str, bytes: &'static [u8]| {
            let mut fields = Fields::new(Some(Schema::of(&schema)));
            fields
                .add(name, Given::File(Bytes::from_static(bytes)))
                .map(|()| Value::Object(fields.into_object()))
        };
        assert_eq!(given("name", b"Jane").ok(), Some(json!({"name": "Jane"})));
        assert_eq!(given("bytes", b"\xff\x00").ok(), Some(json!({"bytes": "/wA="})));
        assert_eq!(given("ids", b"\x01\x02").ok(), Some(json!({"ids": [1, 2]})));
        assert_eq!(given("other", b"a").ok(), Some(json!({"other": "YQ=="})));
        assert!(given("name", b"\xff").is_err());
    }
}
