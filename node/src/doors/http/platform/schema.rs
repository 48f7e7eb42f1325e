//! JSON Schemas (draft 2020-12) of the platform's messages, made of their descriptors and the comments beside them.

use super::message::DOCUMENTS;
use crate::request::Schema;
use micro_actors::protobuf;
use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Where schemas are in a document of OpenAPI.
pub(in super::super) const PLACE: &str = "#/components/schemas/";

/// Names are those of the `.proto` files.
const DIALECT: protobuf::Dialect =
    protobuf::Dialect { place: PLACE, original_names: true, wide_numbers: true, documents: &DOCUMENTS };

/// The schemas of all messages.
pub(in super::super) struct Schemas {
    /// `{"components": {"schemas": {NAME: SCHEMA}}}`
    document: Value,
    made_by: protobuf::Schemas,
}

impl Schemas {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let made_by = protobuf::Schemas::of(DIALECT, pool);
        let own = |package: &str| package == "micro.v1";
        let mut schemas = Map::new();
        for message in
            pool.all_messages().filter(|message| own(message.package_name()) && !message.is_map_entry())
        {
            schemas.insert(message.full_name().to_owned(), made_by.message(&message));
        }
        for one in pool.all_enums().filter(|one| own(one.package_name())) {
            schemas.insert(one.full_name().to_owned(), made_by.names(&one));
        }
        Schemas { document: json!({"components": {"schemas": schemas}}), made_by }
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
        self.made_by.comment(file, path)
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
