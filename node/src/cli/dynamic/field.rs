//! The fields of a request, as flags name them.
//!
//! `--place.zip` and `--place_zip` are the `zip` of `place`. Case, dashes and underscores in a name do not matter, as
//! in the names of endpoints; a name that is there as it is written comes first.

use crate::request::Schema;
use micro_actors::folded;
use serde_json::Value;

/// How deep fields are listed: deeper ones are given as JSON.
const DEPTH_MAX: usize = 4;
/// The most fields that are listed: more than a person reads, and a schema that goes round and round has no end.
const LISTED_MAX: usize = 200;

/// A field of a request, wherever it is inside.
#[derive(Clone, Debug)]
pub(in super::super) struct Field<'s> {
    /// The names that lead to it.
    pub steps: Vec<String>,
    /// What it takes, if that is known.
    pub schema: Option<Schema<'s>>,
    /// Whether it has to be given.
    pub required: bool,
}

impl<'s> Field<'s> {
    /// The field that `name` means in a request of this schema; none if it has no such field.
    pub(super) fn find(request: Schema<'s>, name: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let schema = walk(request, name, &mut steps)?;
        Some(Field { steps, schema, required: false })
    }

    /// All fields of a request, those of objects one by one.
    pub(super) fn all(request: Schema<'s>) -> Vec<Self> {
        let mut fields = Vec::new();
        list(request, &[], true, &mut Vec::new(), &mut fields);
        fields
    }

    /// Its name as a flag has it, without the dashes.
    pub(in super::super) fn name(&self) -> String {
        self.steps.join(".")
    }

    /// Whether it is true by being there.
    pub(in super::super) fn is_switch(&self) -> bool {
        let kinds = self.schema.map(Schema::kinds).unwrap_or_default();
        kinds.boolean && !kinds.string && !kinds.array
    }
}

/// Follows a name, and adds the steps that it takes. Gives what the field takes, where that is known.
fn walk<'s>(at: Schema<'s>, name: &str, steps: &mut Vec<String>) -> Option<Option<Schema<'s>>> {
    if name.is_empty() {
        return None;
    }
    let properties = at.properties();
    let named = |text: &str| {
        let exactly = properties.iter().find(|(name, ..)| *name == text);
        exactly.or_else(|| properties.iter().find(|(name, ..)| folded(name) == folded(text)))
    };
    if let Some((name, schema, _)) = named(name) {
        steps.push((*name).to_owned());
        return Some(Some(*schema));
    }
    // The longest part of the name that is a field, with a field inside it that is the rest.
    for (index, _) in name.rmatch_indices(['.', '_', '-']) {
        let (head, rest) = (&name[..index], &name[index + 1..]);
        let Some((head, schema, _)) = named(head).filter(|_| !head.is_empty()) else { continue };
        let before = steps.len();
        steps.push((*head).to_owned());
        if let Some(found) = walk(*schema, rest, steps) {
            return Some(found);
        }
        steps.truncate(before);
    }
    // Names of any kind: those of a map, or of what nothing is known about.
    let (head, rest) = name.split_once('.').unwrap_or((name, ""));
    if named(head).is_some() {
        return None;
    }
    match at.property(head) {
        Some(value) if rest.is_empty() || !value.kinds().object => {
            steps.push(name.to_owned());
            Some(Some(value))
        }
        Some(value) => {
            steps.push(head.to_owned());
            walk(value, rest, steps)
        }
        None if at.is_open() || at.is_loose() => {
            steps.extend(name.split('.').map(str::to_owned));
            Some(None)
        }
        None => None,
    }
}

fn list<'s>(
    at: Schema<'s>,
    steps: &[String],
    required: bool,
    inside: &mut Vec<*const Value>,
    fields: &mut Vec<Field<'s>>,
) {
    for (name, schema, needed) in at.properties() {
        if fields.len() == LISTED_MAX {
            return;
        }
        let steps: Vec<String> = steps.iter().cloned().chain([name.to_owned()]).collect();
        let required = required && needed;
        let kinds = schema.kinds();
        let shape = schema.shape().filter(|shape| kinds.object && !kinds.array && !inside.contains(shape));
        match shape {
            Some(shape) if steps.len() < DEPTH_MAX => {
                inside.push(shape);
                list(schema, &steps, required, inside, fields);
                inside.pop();
            }
            _ => fields.push(Field { steps, schema: Some(schema), required }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "required": ["first_name", "place"],
            "properties": {
                "first_name": {"type": "string"},
                "place": {"$ref": "#/$defs/Place"},
                "place_zip": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
                "anything": true,
                "loose": {"type": "object", "additionalProperties": true},
                "open": {"type": ["boolean", "null"]},
            },
            "$defs": {"Place": {
                "type": "object",
                "required": ["zip_code"],
                "properties": {
                    "zip_code": {"type": "integer"},
                    "near": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
                },
            }},
        })
    }

    #[test]
    fn a_name_leads_to_a_field_however_it_is_written() {
        let schema = schema();
        for (name, expected) in [
            ("first_name", Some("first_name")),
            ("first-name", Some("first_name")),
            ("firstName", Some("first_name")),
            ("place_zip", Some("place_zip")),
            ("place.zip_code", Some("place|zip_code")),
            ("place_zip_code", Some("place|zip_code")),
            ("place.zipCode", Some("place|zip_code")),
            ("place-near-zip-code", Some("place|near|zip_code")),
            ("place.near.near.zip_code", Some("place|near|near|zip_code")),
            ("labels.a.b", Some("labels|a.b")),
            ("labels_a", Some("labels|a")),
            ("anything", Some("anything")),
            ("anything.a.b", Some("anything|a|b")),
            ("loose.a", Some("loose|a")),
            ("place.street", None),
            ("first_name.x", None),
            ("nothing", None),
            ("place.", None),
            ("_", None),
            ("", None),
        ] {
            let found = Field::find(Schema::of(&schema), name).map(|field| field.steps.join("|"));
            assert_eq!(found.as_deref(), expected, "{name}");
        }
        assert!(Field::find(Schema::of(&schema), "open").is_some_and(|field| field.is_switch()));
    }

    #[test]
    fn a_type_inside_itself_is_listed_once() {
        let schema = schema();
        let fields = Field::all(Schema::of(&schema));
        let shown = |field: &Field<'_>| format!("{}{}", field.name(), if field.required { "!" } else { "" });
        let shown: Vec<String> = fields.iter().map(shown).collect();
        let expected = [
            "anything",
            "first_name!",
            "labels",
            "loose",
            "open",
            "place.near",
            "place.zip_code!",
            "place_zip",
        ];
        assert_eq!(shown, expected);
    }
}
