//! How messages of protobuf stand in JSON, and the JSON Schemas that say so.

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, OneofDescriptor,
};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// What may differ between two ways to write messages as JSON.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Where schemas that are referred to are: what `$ref` begins with.
    pub place: &'static str,
    /// Whether fields are called as in the `.proto` file (`page_token`), and not as ProtoJSON calls them (`pageToken`).
    pub original_names: bool,
    /// Whether numbers of 64 bits are numbers, and not texts. JavaScript reads numbers above 2^53 wrongly.
    pub wide_numbers: bool,
    /// The fields (full names) that hold a JSON document.
    pub documents: &'static [&'static str],
}

/// ProtoJSON, as <https://protobuf.dev/programming-guides/json> has it. Schemas are within the schema that needs them.
pub const PROTO_JSON: Dialect =
    Dialect { place: "#/$defs/", original_names: false, wide_numbers: false, documents: &[] };

/// The well-known messages, whose JSON is not that of their fields.
fn well_known(name: &str) -> Option<Value> {
    let nullable = |kind: &str| json!({"type": [kind, "null"]});
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({"type": "string", "format": "date-time"}),
        "Duration" => json!({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"}),
        "FieldMask" => json!({"type": "string"}),
        "Struct" => json!({"type": "object"}),
        "ListValue" => json!({"type": "array"}),
        "Value" => json!({}),
        "Any" => {
            json!({"type": "object", "required": ["@type"], "properties": {"@type": {"type": "string"}}})
        }
        "BoolValue" => nullable("boolean"),
        "StringValue" | "BytesValue" | "Int64Value" | "UInt64Value" => nullable("string"),
        "DoubleValue" | "FloatValue" => nullable("number"),
        "Int32Value" | "UInt32Value" => nullable("integer"),
        _ => return None,
    })
}

/// Makes the schemas of messages.
pub struct Schemas {
    dialect: Dialect,
    comments: Comments,
}

impl Schemas {
    /// For messages of these files.
    pub fn of(dialect: Dialect, pool: &DescriptorPool) -> Self {
        Schemas { dialect, comments: Comments::of(pool) }
    }

    /// The comment at a place of a file; empty if there is none.
    pub fn comment(&self, file: &FileDescriptor, path: &[i32]) -> String {
        self.comments.at(file, path)
    }

    /// A message with all that it refers to, in one document.
    pub fn whole(&self, message: &MessageDescriptor) -> Value {
        if let Some(schema) = well_known(message.full_name()) {
            return schema;
        }
        let mut referred = BTreeMap::new();
        self.gather(message, &mut referred);
        let root = message.full_name();
        let refers_to_itself = referred.contains_key(root);
        let mut schema = self.message(message);
        if !refers_to_itself {
            referred.remove(root);
        }
        if !referred.is_empty() {
            schema["$defs"] = Value::Object(referred.into_iter().collect());
        }
        schema
    }

    /// Adds what the fields of a message refer to.
    fn gather(&self, message: &MessageDescriptor, to: &mut BTreeMap<String, Value>) {
        for field in message.fields() {
            match value_of(&field).kind() {
                Kind::Enum(one) => {
                    to.entry(one.full_name().to_owned()).or_insert_with(|| self.names(&one));
                }
                Kind::Message(inner)
                    if well_known(inner.full_name()).is_none() && !to.contains_key(inner.full_name()) =>
                {
                    to.insert(inner.full_name().to_owned(), self.message(&inner));
                    self.gather(&inner, to);
                }
                _ => {}
            }
        }
    }

    /// A message by itself.
    pub fn message(&self, message: &MessageDescriptor) -> Value {
        let mut properties = Map::new();
        for field in message.fields() {
            let mut schema = self.property(&field);
            let comment = self.comments.at(&message.parent_file(), field.path());
            if let Some(schema) = schema.as_object_mut().filter(|_| !comment.is_empty()) {
                schema.insert("description".to_owned(), comment.into());
            }
            properties.insert(self.name(&field), schema);
        }
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        let alternatives: Vec<Value> = message
            .oneofs()
            .filter(|oneof| !oneof.is_synthetic())
            .map(|oneof| self.at_most_one(&oneof))
            .collect();
        if !alternatives.is_empty() {
            schema["allOf"] = alternatives.into();
        }
        let comment = self.comments.at(&message.parent_file(), message.path());
        if !comment.is_empty() {
            schema["description"] = comment.into();
        }
        schema
    }

    /// That one of these fields is there, or none.
    fn at_most_one(&self, oneof: &OneofDescriptor) -> Value {
        let mut alternatives: Vec<Value> =
            oneof.fields().map(|field| json!({"required": [self.name(&field)]})).collect();
        alternatives.push(json!({"not": {"anyOf": alternatives}}));
        json!({"oneOf": alternatives})
    }

    fn name(&self, field: &FieldDescriptor) -> String {
        if self.dialect.original_names { field.name() } else { field.json_name() }.to_owned()
    }

    /// The names of an enumeration.
    pub fn names(&self, one: &EnumDescriptor) -> Value {
        let names: Vec<String> = one.values().map(|value| value.name().to_owned()).collect();
        json!({"type": "string", "enum": names})
    }

    fn property(&self, field: &FieldDescriptor) -> Value {
        let value = self.single(&value_of(field));
        match (field.is_map(), field.is_list()) {
            (true, _) => json!({"type": "object", "additionalProperties": value}),
            (false, true) => json!({"type": "array", "items": value}),
            (false, false) => value,
        }
    }

    fn single(&self, field: &FieldDescriptor) -> Value {
        let Dialect { place, wide_numbers, documents, .. } = self.dialect;
        if documents.contains(&field.full_name()) {
            return json!({});
        }
        match field.kind() {
            Kind::Bool => json!({"type": "boolean"}),
            Kind::String => json!({"type": "string"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Uint64 | Kind::Fixed64 if !wide_numbers => json!({"type": "string", "pattern": "^[0-9]+$"}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 if !wide_numbers => {
                json!({"type": "string", "pattern": "^-?[0-9]+$"})
            }
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "integer", "minimum": 0}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "integer"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
            }
            Kind::Message(message) => well_known(message.full_name())
                .unwrap_or_else(|| json!({"$ref": format!("{place}{}", message.full_name())})),
            Kind::Enum(one) => json!({"$ref": format!("{place}{}", one.full_name())}),
        }
    }
}

/// The field that holds one value of a field: for a map, the one of its entries.
fn value_of(field: &FieldDescriptor) -> FieldDescriptor {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => entry.map_entry_value_field(),
        _ => field.clone(),
    }
}

/// The comments of all files, by file and place.
struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.file_descriptor_protos() {
            for place in file.source_code_info.iter().flat_map(|info| &info.location) {
                if let Some(comment) = &place.leading_comments {
                    let lines: Vec<&str> = comment.lines().map(str::trim).collect();
                    let at = (file.name().to_owned(), place.path.clone());
                    comments.insert(at, lines.join(" ").trim().to_owned());
                }
            }
        }
        Comments(comments)
    }

    fn at(&self, file: &FileDescriptor, path: &[i32]) -> String {
        self.0.get(&(file.name().to_owned(), path.to_vec())).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_reflect::prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, OneofDescriptorProto,
        field_descriptor_proto::{Label, Type},
    };

    #[test]
    fn of_a_oneof_there_is_one_field_or_none() {
        let field = |name: &str, number, oneof_index, optional: bool| FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            label: Some(Label::Optional as i32),
            r#type: Some(Type::Bool as i32),
            oneof_index,
            proto3_optional: optional.then_some(true),
            ..FieldDescriptorProto::default()
        };
        let oneof = |name: &str| OneofDescriptorProto { name: Some(name.to_owned()), options: None };
        let message = DescriptorProto {
            name: Some("Pick".to_owned()),
            field: vec![
                field("by_name", 1, Some(0), false),
                field("by_id", 2, Some(0), false),
                field("soon", 3, Some(1), true),
                field("loud", 4, None, false),
            ],
            oneof_decl: vec![oneof("by"), oneof("_soon")],
            ..DescriptorProto::default()
        };
        let file = FileDescriptorProto {
            name: Some("pick.proto".to_owned()),
            syntax: Some("proto3".to_owned()),
            message_type: vec![message],
            ..FileDescriptorProto::default()
        };
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_proto(file).expect("it is a good file");
        let message = pool.get_message_by_name("Pick").expect("it has that");
        let schema = Schemas::of(PROTO_JSON, &pool).whole(&message);
        let validator = jsonschema::validator_for(&schema).expect("it is a schema");
        for good in [json!({}), json!({"byId": true}), json!({"byName": true, "soon": true, "loud": true})] {
            assert!(validator.is_valid(&good), "{good}: {schema}");
        }
        assert!(!validator.is_valid(&json!({"byName": true, "byId": true})), "{schema}");
    }
}
