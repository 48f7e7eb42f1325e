//! What an endpoint's JSON Schema (draft 2020-12) says of one value: which types it may have, and what its parts are.
//!
//! It decides how a text is written in JSON, and what people are shown of it, and nothing else: the service itself says
//! whether a request is right. So it reads what is needed for that, and a schema that says less leaves texts as they
//! are.

use serde_json::Value;
use std::ptr;

/// How many schemas are followed from one: references may go in circles.
const DEPTH_MAX: usize = 16;

/// The schema of one value, within the document that it refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema<'s> {
    root: &'s Value,
    at: &'s Value,
}

/// The types that a value may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub string: bool,
    pub integer: bool,
    pub number: bool,
    pub boolean: bool,
    pub array: bool,
    pub object: bool,
    pub null: bool,
}

impl Kinds {
    /// Whether anything is known.
    pub fn known(self) -> bool {
        self != Kinds::default()
    }

    fn add(&mut self, name: &str) {
        match name {
            "string" => self.string = true,
            "integer" => self.integer = true,
            "number" => (self.number, self.integer) = (true, true),
            "boolean" => self.boolean = true,
            "array" => self.array = true,
            "object" => self.object = true,
            "null" => self.null = true,
            _ => {}
        }
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::Null => self.null = true,
            Value::Bool(_) => self.boolean = true,
            Value::Number(number) if number.is_f64() => self.number = true,
            Value::Number(_) => self.integer = true,
            Value::String(_) => self.string = true,
            Value::Array(_) => self.array = true,
            Value::Object(_) => self.object = true,
        }
    }

    /// What they are called, for people.
    pub fn shown(self) -> String {
        let all = [
            (self.string, "a text"),
            (self.number, "a number"),
            (self.integer && !self.number, "an integer"),
            (self.boolean, "true or false"),
            (self.array, "a list"),
            (self.object, "an object"),
        ];
        let names: Vec<&str> = all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect();
        names.join(" or ")
    }
}

impl<'s> Schema<'s> {
    /// The schema that a whole document is.
    pub fn of(root: &'s Value) -> Self {
        Schema { root, at: root }
    }

    /// A schema that stands somewhere in a document.
    pub fn within(root: &'s Value, at: &'s Value) -> Self {
        Schema { root, at }
    }

    /// This schema and all that it is made of, references followed.
    fn branches(self) -> Vec<&'s Value> {
        self.reached(&["anyOf", "oneOf", "allOf"])
    }

    /// This schema and those that it leads to by references and by these words.
    fn reached(self, words: &[&str]) -> Vec<&'s Value> {
        let mut branches = vec![self.at];
        let mut next = 0;
        while next < branches.len() && branches.len() < DEPTH_MAX {
            let at = branches[next];
            next += 1;
            if let Some(target) = at.get("$ref").and_then(Value::as_str).and_then(|at| self.target(at)) {
                branches.push(target);
            }
            for word in words {
                branches.extend(at.get(*word).and_then(Value::as_array).into_iter().flatten());
            }
        }
        branches
    }

    /// What a reference within the document means: a JSON pointer (RFC 6901).
    fn target(self, reference: &str) -> Option<&'s Value> {
        self.root.pointer(reference.strip_prefix('#')?)
    }

    fn at(self, at: &'s Value) -> Self {
        Schema { at, ..self }
    }

    /// The types that the value may have; none known if the schema does not say.
    pub fn kinds(self) -> Kinds {
        let mut kinds = Kinds::default();
        for branch in self.branches() {
            match branch.get("type") {
                Some(Value::String(name)) => kinds.add(name),
                Some(Value::Array(names)) => {
                    names.iter().filter_map(Value::as_str).for_each(|name| kinds.add(name))
                }
                _ => {}
            }
            let values = branch.get("enum").and_then(Value::as_array).into_iter().flatten();
            values.chain(branch.get("const")).for_each(|value| kinds.add_value(value));
            kinds.object |= branch.get("properties").is_some();
        }
        kinds
    }

    /// The schema of a property of the object that the value is.
    pub fn property(self, name: &str) -> Option<Self> {
        let branches = self.branches();
        let named = branches.iter().find_map(|branch| branch.get("properties")?.get(name));
        let other = || branches.iter().find_map(|branch| branch.get("additionalProperties"));
        named.or_else(other).filter(|schema| schema.is_object()).map(|at| self.at(at))
    }

    /// The properties that it names, in order of their names; each is told whether it has to be there.
    pub fn properties(self) -> Vec<(&'s str, Self, bool)> {
        // What one of several alternatives needs, not all need.
        let always = self.reached(&["allOf"]);
        let required = always.iter().filter_map(|branch| branch.get("required")?.as_array()).flatten();
        let required: Vec<&str> = required.filter_map(Value::as_str).collect();
        let branches = self.branches();
        let all = branches.iter().filter_map(|branch| branch.get("properties")?.as_object()).flatten();
        let mut properties: Vec<_> =
            all.map(|(name, at)| (name.as_str(), self.at(at), required.contains(&name.as_str()))).collect();
        properties.sort_by_key(|(name, ..)| *name);
        properties.dedup_by_key(|(name, ..)| *name);
        properties
    }

    /// Whether it says nothing at all, so that anything may stand there.
    pub fn is_open(self) -> bool {
        !self.kinds().known()
    }

    /// Whether it is an object that takes properties of any name and kind.
    pub fn is_loose(self) -> bool {
        let any = Some(&Value::Bool(true));
        self.branches().into_iter().any(|branch| branch.get("additionalProperties") == any)
    }

    /// Where the properties are described: two with the same answer are of one type.
    pub fn shape(self) -> Option<*const Value> {
        self.branches().into_iter().find(|branch| branch.get("properties").is_some()).map(ptr::from_ref)
    }

    /// What it says of the value, for people: its own words before those of its type.
    pub fn description(self) -> Option<&'s str> {
        self.branches().into_iter().find_map(|branch| branch.get("description")?.as_str())
    }

    /// The texts that the value may be, if those are all.
    pub fn choices(self) -> Vec<&'s str> {
        let choices = |branch: &'s Value| {
            let several = branch.get("enum").and_then(Value::as_array).into_iter().flatten();
            several.chain(branch.get("const")).filter_map(Value::as_str)
        };
        self.branches().into_iter().flat_map(choices).collect()
    }

    /// What the value is where nothing is given.
    pub fn default(self) -> Option<&'s Value> {
        self.branches().into_iter().find_map(|branch| branch.get("default")).filter(|value| !value.is_null())
    }

    /// The schema of the items of the list that the value is.
    pub fn items(self) -> Option<Self> {
        let items = self.branches().into_iter().find_map(|branch| branch.get("items"));
        items.map(|at| self.at(at))
    }

    /// Whether a text is to be bytes in base64.
    pub fn is_base64(self) -> bool {
        let word = |branch: &Value| {
            branch.get("contentEncoding").and_then(Value::as_str) == Some("base64")
                || branch.get("format").and_then(Value::as_str) == Some("byte")
        };
        self.branches().into_iter().any(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds(schema: Value) -> String {
        Schema::of(&schema).kinds().shown()
    }

    #[test]
    fn types_are_found_wherever_a_schema_says_them() {
        for (schema, expected) in [
            (json!({"type": "integer"}), "an integer"),
            (json!({"type": ["number", "null"]}), "a number"),
            (json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}), "true or false"),
            (json!({"enum": ["a", "b"]}), "a text"),
            (json!({"const": 7}), "an integer"),
            (json!({"$ref": "#/$defs/A", "$defs": {"A": {"type": "array"}}}), "a list"),
            (json!({"properties": {}}), "an object"),
            (json!({"$ref": "#"}), ""),
            (json!({"$ref": "http://elsewhere/#/a"}), ""),
            (json!(true), ""),
            (json!({}), ""),
        ] {
            assert_eq!(kinds(schema.clone()), expected, "{schema}");
        }
    }

    #[test]
    fn parts_are_found_behind_references() {
        let schema = json!({
            "$ref": "#/$defs/Order",
            "$defs": {
                "Order": {"type": "object", "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/Item"}}}},
                "Item": {"type": "object", "additionalProperties": {"type": "integer"}},
            },
        });
        let items = Schema::of(&schema).property("items").expect("it has them");
        assert!(items.kinds().array);
        let item = items.items().expect("they have a schema");
        assert!(item.kinds().object && item.property("anything").expect("all are the same").kinds().integer);
        assert!(Schema::of(&schema).property("other").is_none());
    }

    #[test]
    fn people_are_shown_what_a_schema_says() {
        let schema = json!({
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Whose."},
                "kind": {"anyOf": [{"$ref": "#/$defs/Kind"}, {"type": "null"}], "default": "big"},
            },
            "$defs": {"Kind": {"description": "How large.", "oneOf": [{"const": "big"}, {"const": "small"}]}},
        });
        let properties = Schema::of(&schema).properties();
        let [(kind, of_kind, false), (name, of_name, true)] = properties[..] else {
            panic!("{properties:?}")
        };
        assert_eq!((kind, name), ("kind", "name"));
        assert_eq!((of_name.description(), of_kind.description()), (Some("Whose."), Some("How large.")));
        assert_eq!(of_kind.choices(), ["big", "small"]);
        assert_eq!(of_kind.default(), Some(&json!("big")));
        assert!(of_name.choices().is_empty() && of_name.default().is_none());
        assert!(Schema::of(&json!(true)).is_open() && !Schema::of(&schema).is_open());
    }
}
