//! A request made of what was typed: a body, and fields over it, each as the endpoint's schema says.

use super::{
    super::{failure::Failure, input},
    field::Field,
    line::is_body,
};
use crate::request::{Fields, Given, Schema};
use micro_actors::nearest;
use micro_sdk::wire::{Code, Fault, limits::BODY_BYTES_MAX};
use serde_json::{Map, Value};
use std::vec::IntoIter;

/// An endpoint as one that types it knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'t> {
    /// The service, and how it was called.
    pub service: &'t str,
    /// The endpoint, as short as it can be written.
    pub endpoint: &'t str,
    /// What it takes.
    pub schema: Schema<'t>,
}

impl<'t> Target<'t> {
    /// The request that these words make.
    ///
    /// # Errors
    /// If one of them is no field, lacks its value, or is not what the schema says.
    pub(super) fn request(self, rest: Vec<String>) -> Result<Value, Failure> {
        let mut body = None;
        let mut fields = Fields::new(Some(self.schema));
        let mut any = false;
        let mut rest = rest.into_iter();
        while let Some(text) = rest.next() {
            if is_body(&text) {
                if body.replace(input::json(&text, BODY_BYTES_MAX)?).is_some() {
                    return Err(Failure::usage("a request has one body, and here is another"));
                }
            } else if let Some(flag) = text.strip_prefix("--") {
                let (field, value) = self.field(flag, &mut rest)?;
                let steps: Vec<&str> = field.steps.iter().map(String::as_str).collect();
                fields.put(&steps, &field.name(), Given::Text(value)).map_err(|fault| self.help(fault))?;
                any = true;
            } else {
                return Err(self.misplaced(&text));
            }
        }
        match body {
            Some(body) if !any => Ok(body),
            Some(Value::Object(body)) => Ok(Value::Object(fields.over(body))),
            Some(_) => Err(Failure::usage("a body that fields are added to is a JSON object")),
            None if !any && self.takes_nothing() => Ok(Value::Null),
            None => Ok(Value::Object(fields.over(Map::new()))),
        }
    }

    /// The field that a flag names, and its value: behind `=`, or the next word.
    fn field(self, flag: &str, rest: &mut IntoIter<String>) -> Result<(Field<'t>, String), Failure> {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (flag, None),
        };
        let field = Field::find(self.schema, name).ok_or_else(|| self.unknown(name))?;
        let value = match value {
            Some(value) => value,
            None if field.is_switch() => "true".to_owned(),
            None => {
                rest.as_slice().first().filter(|next| !next.starts_with("--")).cloned().ok_or_else(|| {
                    self.help(Fault::new(
                        Code::Usage,
                        format!("the field {name:?} has no value: --{name}=VALUE"),
                    ))
                })?
            }
        };
        if !flag.contains('=') && !field.is_switch() {
            rest.next();
        }
        Ok((field, value))
    }

    /// Whether it takes `null` and no object: a request without anything in it.
    fn takes_nothing(self) -> bool {
        let kinds = self.schema.kinds();
        kinds.null && !kinds.object
    }

    fn unknown(self, name: &str) -> Failure {
        let names: Vec<String> = Field::all(self.schema).iter().map(Field::name).collect();
        let message = format!("endpoint {:?} of {} has no field {name:?}", self.endpoint, self.service);
        let mut fault = Fault::new(Code::Usage, message);
        if let Some(list) = self.list_before(name) {
            fault = fault.help(format!("{list:?} is a list: each of its items is a `--{list}=JSON`"));
        } else if let Some(near) = nearest(name, names.iter().map(String::as_str)) {
            fault = fault.help(format!("did you mean `--{near}`?"));
        }
        if !names.is_empty() {
            return self.help(fault);
        }
        let shown = self.schema.kinds().shown();
        fault
            .help(match shown.as_str() {
                "" | "an object" => "it takes no fields".to_owned(),
                shown => format!("it takes {shown}: give it as JSON"),
            })
            .into()
    }

    /// The list that a name looks into.
    fn list_before(self, name: &str) -> Option<String> {
        let mut before =
            name.match_indices('.').filter_map(|(end, _)| Field::find(self.schema, &name[..end]));
        before.find(|field| field.schema.is_some_and(|schema| schema.kinds().array)).map(|field| field.name())
    }

    fn misplaced(self, text: &str) -> Failure {
        let Target { service, endpoint, .. } = self;
        let fault = Fault::new(Code::Usage, format!("unexpected argument {text:?}"));
        let fault = match text.starts_with('-') {
            true => fault.help(format!(
                "behind a service there are its fields; the rest comes before it: micro-node {text} … {service} {endpoint}"
            )),
            false => fault.help("a field is --NAME=VALUE, a switch --NAME or --NAME=false, a whole request JSON"),
        };
        self.help(fault)
    }

    fn help(self, fault: Fault) -> Failure {
        fault.help(format!("micro-node {} {} --help shows its fields", self.service, self.endpoint)).into()
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
                "open": {"type": "boolean"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "ids": {"type": "array", "items": {"type": "integer"}},
                "place": {"type": ["object", "null"], "properties": {"zip": {"type": "integer"}}},
            },
        })
    }

    fn request(schema: &Value, words: &[&str]) -> Result<Value, Fault> {
        let target = Target { service: "clerk", endpoint: "call", schema: Schema::of(schema) };
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        target.request(words).map_err(|failure| match failure {
            Failure::Fault(fault) => fault,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn what_is_typed_becomes_what_the_schema_says() {
        let schema = schema();
        for (words, expected) in [
            (&["--name=7", "--age=7"][..], json!({"name": "7", "age": 7})),
            (&["--name", "Jane Doe", "--age", "-3"], json!({"name": "Jane Doe", "age": -3})),
            (&["--name=a=b", "--open"], json!({"name": "a=b", "open": true})),
            (&["--open=false", "--name="], json!({"open": false, "name": ""})),
            (&["--tags=a", "--tags", "b"], json!({"tags": ["a", "b"]})),
            (&["--ids=1", "--ids=2"], json!({"ids": [1, 2]})),
            (&["--place.zip=1"], json!({"place": {"zip": 1}})),
            (&["--place_zip=1"], json!({"place": {"zip": 1}})),
            (&["--place={\"zip\":2}"], json!({"place": {"zip": 2}})),
            (&["{\"age\":1,\"name\":\"x\"}", "--age=2"], json!({"age": 2, "name": "x"})),
            (&["{\"age\":1}"], json!({"age": 1})),
            (&["[1]"], json!([1])),
            (&[], json!({})),
        ] {
            assert_eq!(request(&schema, words), Ok(expected), "{words:?}");
        }
        assert_eq!(request(&json!({"type": "null"}), &[]), Ok(Value::Null));
        assert_eq!(request(&json!(true), &["--a.b=1"]), Ok(json!({"a": {"b": "1"}})));
    }

    #[test]
    fn what_does_not_fit_is_explained() {
        let schema = schema();
        for (words, message, help) in [
            (&["--age=x"][..], "the field \"age\" is an integer, not \"x\"", "--help shows its fields"),
            (&["--age=1", "--age=2"], "the field \"age\" is there more than once", "--help"),
            (&["--nam=x"], "endpoint \"call\" of clerk has no field \"nam\"", "did you mean `--name`?"),
            (&["--place.zap=1"], "has no field \"place.zap\"", "did you mean `--place.zip`?"),
            (&["--tags.0.x=1"], "has no field \"tags.0.x\"", "\"tags\" is a list"),
            (&["--=x"], "has no field \"\"", "--help"),
            (&["--"], "has no field \"\"", "--help"),
            (&["--name"], "the field \"name\" has no value", "--help"),
            (&["--name", "--age=1"], "the field \"name\" has no value", "--help"),
            (&["--open", "false"], "unexpected argument \"false\"", "--NAME=false"),
            (&["--age=1", "-o"], "unexpected argument \"-o\"", "micro-node -o … clerk call"),
            (&["{}", "{}"], "one body", ""),
            (&["[]", "--age=1"], "a JSON object", ""),
            (&["{"], "is not JSON", "quote it"),
        ] {
            let fault = request(&schema, words).expect_err("it does not fit");
            assert_eq!(fault.code, Code::Usage, "{words:?}");
            assert!(fault.message.contains(message), "{words:?}: {fault:?}");
            assert!(
                help.is_empty() || fault.help.iter().any(|line| line.contains(help)),
                "{words:?}: {fault:?}"
            );
        }
        let fault = request(&json!({"type": "string"}), &["--a=1"]).expect_err("a text has no fields");
        assert_eq!(fault.help, ["it takes a text: give it as JSON"]);
    }
}
