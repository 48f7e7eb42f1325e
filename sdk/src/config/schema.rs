//! The JSON Schema of a service's configuration, as the mesh is to check it.

use super::path::Path;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// How deep a type is followed for the names of its values: one that holds itself has no end.
const DEPTH_MAX: usize = 16;
/// How many names are known at most, should a type be very large.
const PATHS_MAX: usize = 10_000;

/// Keywords whose values are schemas by names that people choose.
const NAMED: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// The schema of a `T` of which any part may be missing: the mesh has only some of the values, and the other sources
/// have the rest. So nothing in it is required, and where one of several schemas was to fit, any may.
pub(super) fn partial<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_deserialize();
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    relax(&mut schema);
    schema
}

fn relax(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(relax),
        Value::Object(keywords) => {
            keywords.remove("required");
            if let Some(one) = keywords.remove("oneOf") {
                // Without what is required, several of them may fit a part.
                keywords.insert("anyOf".to_owned(), one);
            }
            for (keyword, value) in keywords.iter_mut() {
                match (NAMED.contains(&keyword.as_str()), value) {
                    (true, Value::Object(named)) => named.values_mut().for_each(relax),
                    // Values, not schemas.
                    _ if matches!(keyword.as_str(), "default" | "examples" | "enum" | "const") => {}
                    (_, value) => relax(value),
                }
            }
        }
        _ => {}
    }
}

/// The places that a schema names, branches too.
pub(super) fn paths(schema: &Value) -> BTreeSet<Path> {
    let mut paths = BTreeSet::new();
    walk(schema, schema, &Path::default(), DEPTH_MAX, &mut paths);
    paths
}

fn walk(root: &Value, schema: &Value, path: &Path, depth: usize, paths: &mut BTreeSet<Path>) {
    let Some(keywords) = schema.as_object() else { return };
    if depth == 0 || paths.len() >= PATHS_MAX {
        return;
    }
    if let Some(found) = keywords.get("$ref").and_then(|reference| referred(root, reference)) {
        walk(root, found, path, depth - 1, paths);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let schemas = keywords.get(keyword).and_then(Value::as_array);
        schemas.into_iter().flatten().for_each(|schema| walk(root, schema, path, depth - 1, paths));
    }
    let properties = keywords.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flat_map(Map::iter) {
        let child = path.child(name.as_str());
        paths.insert(child.clone());
        walk(root, schema, &child, depth - 1, paths);
    }
}

/// What a reference inside the document refers to.
fn referred<'a>(root: &'a Value, reference: &Value) -> Option<&'a Value> {
    root.pointer(reference.as_str()?.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Deserialize;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Settings {
        limits: Option<Limits>,
        /// A value, and no keyword.
        required: Vec<String>,
        mode: Mode,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its schema is looked at")]
    struct Limits {
        items: u32,
        next: Option<Box<Limits>>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(tag = "kind")]
    #[expect(dead_code, reason = "only its schema is looked at")]
    enum Mode {
        Fast { items: u32 },
        Slow { pause: u32 },
    }

    #[test]
    fn any_part_of_it_fits() {
        let schema = partial::<Settings>();
        let text = schema.to_string();
        assert!(!text.contains("\"required\":[") && !text.contains("oneOf"), "{text}");
        assert!(schema["properties"]["required"].is_object(), "{text}");
        assert!(text.contains("\"additionalProperties\":false"), "{text}");
    }

    #[test]
    fn the_names_of_its_values_are_known() {
        let paths = paths(&partial::<Settings>());
        for path in ["limits", "limits.items", "limits.next.items", "required", "mode.kind", "mode.pause"] {
            assert!(paths.contains(&Path::parse(path).expect("a path")), "{path}");
        }
    }
}
