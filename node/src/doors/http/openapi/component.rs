//! Schemas of services as components of one document, each under a name of its own.

use serde_json::{Map, Value, json};

/// Where a schema is that others refer to.
const PLACE: &str = "#/components/schemas/";
/// Where a schema has those that only it refers to.
const OWN: &str = "#/$defs/";

/// The schemas of one document.
pub(super) struct Components(Map<String, Value>);

impl Default for Components {
    /// With that of a problem.
    fn default() -> Self {
        let problem = json!({
            "type": "object",
            "required": ["title", "status", "detail", "code", "help", "effect", "trace_id"],
            "properties": {
                "title": {"type": "string", "description": "What the status is called."},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What happened."},
                "code": {"type": "string", "description": "The kind of failure: the same in every version."},
                "help": {"type": "array", "items": {"type": "string"}, "description": "What to do next."},
                "effect": {"enum": ["none", "unknown"], "description": "Whether anything may have been done."},
                "trace_id": {"type": "string"},
            },
        });
        Components(Map::from_iter([("Problem".to_owned(), problem)]))
    }
}

impl Components {
    /// Adds a whole schema under a name, with what it has of its own, and says how to refer to it.
    pub fn add(&mut self, name: &str, schema: &Value) -> Value {
        let name = plain(name);
        let mut schema = schema.clone();
        if let Value::Object(members) = &mut schema {
            members.remove("$schema");
            if let Some(Value::Object(own)) = members.remove("$defs") {
                for (part, mut schema) in own {
                    refer(&mut schema, &name);
                    self.0.insert(format!("{name}.{}", plain(&part)), schema);
                }
            }
        }
        refer(&mut schema, &name);
        self.0.insert(name.clone(), schema);
        json!({"$ref": format!("{PLACE}{name}")})
    }

    /// Adds a schema of `all`, which refer to each other as components already, with all that it refers to.
    pub fn add_with_parts(&mut self, all: &Map<String, Value>, name: &str) {
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.pop() {
            if let Some(schema) = all.get(&name).filter(|_| !self.0.contains_key(&name)) {
                referred(schema, &mut waiting);
                self.0.insert(name, schema.clone());
            }
        }
    }

    /// All of them, by name.
    pub fn into_schemas(self) -> Map<String, Value> {
        self.0
    }
}

/// A name that a component may have (OpenAPI 3.1.0, "Components Object").
fn plain(name: &str) -> String {
    let good = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    name.chars().map(|letter| if good(letter) { letter } else { '_' }).collect()
}

/// Notes the components that a schema refers to.
fn referred(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            names.extend(reference.and_then(|text| text.strip_prefix(PLACE)).map(str::to_owned));
            members.values().for_each(|member| referred(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| referred(item, names)),
        _ => {}
    }
}

/// Lets all that refers to the schema itself or to a part of it refer to the components that they have become.
fn refer(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                if let Some(part) = reference.strip_prefix(OWN) {
                    let (part, rest) =
                        part.split_once('/').map_or((part, None), |(part, rest)| (part, Some(rest)));
                    let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
                    *reference = format!("{PLACE}{name}.{}{rest}", plain(part));
                } else if let Some(rest) =
                    reference.strip_prefix('#').filter(|rest| !rest.starts_with("/components"))
                {
                    *reference = format!("{PLACE}{name}{rest}");
                }
            }
            members.values_mut().for_each(|member| refer(member, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, name)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_referred_to_is_not_added() {
        let place = |name: &str| json!({"$ref": format!("{PLACE}{name}")});
        let all = json!({
            "a.A": {"properties": {"b": place("a.B"), "list": {"items": [place("a.A")]}}},
            "a.B": {"properties": {"again": place("a.A")}},
            "a.C": {"type": "object"},
        });
        let mut components = Components::default();
        components.add_with_parts(all.as_object().expect("it is one"), "a.A");
        let schemas = components.into_schemas();
        let names: Vec<&str> = schemas.keys().map(String::as_str).collect();
        assert_eq!(names, ["Problem", "a.A", "a.B"]);
    }

    #[test]
    fn parts_become_components_that_are_referred_to() {
        let mut components = Components::default();
        let schema = json!({
            "$schema": "x",
            "properties": {"a": {"$ref": "#/$defs/A<B>"}, "self": {"$ref": "#"}},
            "$defs": {"A<B>": {"items": [{"$ref": "#/$defs/C/properties/x"}]}, "C": true},
        });
        let reference = components.add("shop.Cart.add", &schema);
        assert_eq!(reference["$ref"], "#/components/schemas/shop.Cart.add");
        let schemas = components.into_schemas();
        let names: Vec<&str> = schemas.keys().map(String::as_str).collect();
        assert_eq!(names, ["Problem", "shop.Cart.add", "shop.Cart.add.A_B_", "shop.Cart.add.C"]);
        let properties = &schemas["shop.Cart.add"]["properties"];
        assert_eq!(properties["a"]["$ref"], "#/components/schemas/shop.Cart.add.A_B_");
        assert_eq!(properties["self"]["$ref"], "#/components/schemas/shop.Cart.add");
        assert_eq!(
            schemas["shop.Cart.add.A_B_"]["items"][0]["$ref"],
            "#/components/schemas/shop.Cart.add.C/properties/x"
        );
    }
}
