//! JSON Schemas (draft 2020-12) of the platform's messages, made of their descriptors and the comments beside them.

use super::message::DOCUMENTS;
use crate::request::Schema;
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Where schemas are in a document of OpenAPI.
pub(in super::super) const PLACE: &str = "#/components/schemas/";

/// The schemas of all messages.
pub(in super::super) struct Schemas {
    /// `{"components": {"schemas": {NAME: SCHEMA}}}`
    document: Value,
    comments: Comments,
}

impl Schemas {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let comments = Comments::of(pool);
        let own = |package: &str| package == "micro.v1";
        let mut schemas = Map::new();
        for message in
            pool.all_messages().filter(|message| own(message.package_name()) && !message.is_map_entry())
        {
            schemas.insert(message.full_name().to_owned(), object(&message, &comments));
        }
        for one in pool.all_enums().filter(|one| own(one.package_name())) {
            schemas.insert(one.full_name().to_owned(), names(&one));
        }
        Schemas { document: json!({"components": {"schemas": schemas}}), comments }
    }

    /// The schema of a message, with all that it refers to.
    pub(super) fn message(&self, message: &MessageDescriptor) -> Schema<'_> {
        let schema = self.all().get(message.full_name());
        Schema::within(&self.document, schema.unwrap_or(&Value::Null))
    }

    /// All of them, by name.
    pub fn all(&self) -> &Map<String, Value> {
        self.document["components"]["schemas"].as_object().expect("it is made so")
    }

    /// The comment at a place of a file.
    pub fn comment(&self, file: &FileDescriptor, path: &[i32]) -> String {
        self.comments.at(file, path)
    }
}

fn object(message: &MessageDescriptor, comments: &Comments) -> Value {
    let mut properties = Map::new();
    for field in message.fields() {
        let mut schema = property(&field);
        let comment = comments.at(&message.parent_file(), field.path());
        if let Some(schema) = schema.as_object_mut().filter(|_| !comment.is_empty()) {
            schema.insert("description".to_owned(), comment.into());
        }
        properties.insert(field.name().to_owned(), schema);
    }
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    let comment = comments.at(&message.parent_file(), message.path());
    if !comment.is_empty() {
        schema["description"] = comment.into();
    }
    schema
}

fn names(one: &EnumDescriptor) -> Value {
    let names: Vec<String> = one.values().map(|value| value.name().to_owned()).collect();
    json!({"type": "string", "enum": names})
}

fn property(field: &FieldDescriptor) -> Value {
    if let Kind::Message(entry) = field.kind()
        && field.is_map()
    {
        return json!({"type": "object", "additionalProperties": single(&entry.map_entry_value_field())});
    }
    match field.is_list() {
        true => json!({"type": "array", "items": single(field)}),
        false => single(field),
    }
}

fn single(field: &FieldDescriptor) -> Value {
    if DOCUMENTS.contains(&field.full_name()) {
        return json!({});
    }
    match field.kind() {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::String => json!({"type": "string"}),
        Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
        Kind::Double | Kind::Float => json!({"type": "number"}),
        Kind::Uint32 | Kind::Fixed32 | Kind::Uint64 | Kind::Fixed64 => {
            json!({"type": "integer", "minimum": 0})
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            json!({"type": "integer"})
        }
        Kind::Message(message) => json!({"$ref": format!("{PLACE}{}", message.full_name())}),
        Kind::Enum(one) => json!({"$ref": format!("{PLACE}{}", one.full_name())}),
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
    use super::super::Methods;
    use serde_json::json;

    #[test]
    fn messages_have_schemas_with_the_comments_beside_them() {
        let schemas = Methods::all().schemas().all();
        let read = &schemas["micro.v1.ReadRequest"];
        assert_eq!(read["properties"]["key"], json!({"type": "string"}));
        assert_eq!(read["properties"]["place"]["$ref"], "#/components/schemas/micro.v1.Place");
        assert_eq!(read["properties"]["stale"]["type"], "boolean");
        assert!(read["properties"]["at"]["description"].to_string().contains("revision"), "{read}");
        assert_eq!(schemas["micro.v1.Record"]["properties"]["value"]["contentEncoding"], "base64");
        assert_eq!(
            schemas["micro.v1.Record"]["properties"]["metadata"]["additionalProperties"]["type"],
            "string"
        );
        assert_eq!(schemas["micro.v1.ListOrder"]["enum"][0], "LIST_ORDER_ASCENDING");
        assert_eq!(schemas["micro.v1.StatusResponse"]["properties"]["document"]["type"], json!(null));
    }
}
