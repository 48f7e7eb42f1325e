//! Messages as JSON (ProtoJSON), and back. Names are those of the `.proto` files; both spellings are read.
//!
//! Two things are as people expect them in JSON, and not as ProtoJSON has them: numbers of 64 bits are numbers, and
//! what a message carries as the text of a JSON document is that document.

use base64::{Engine, engine::general_purpose::STANDARD};
use micro_actors::protobuf;
use micro_sdk::wire::{Fault, Namespace};
use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, SerializeOptions,
    Value as Proto,
};
use serde_json::Value;

/// The fields that hold a JSON document.
pub(super) const DOCUMENTS: [&str; 15] = [
    "micro.v1.CallRequest.body",
    "micro.v1.CallResponse.body",
    "micro.v1.ConfigEdit.after",
    "micro.v1.ConfigEdit.before",
    "micro.v1.ConfigLeaf.value",
    "micro.v1.ConfigOrigin.value",
    "micro.v1.Endpoint.request_schema",
    "micro.v1.Endpoint.response_schema",
    "micro.v1.GetConfigResponse.value",
    "micro.v1.GetConfigSchemaResponse.schema",
    "micro.v1.KeysResponse.jwks",
    "micro.v1.SetConfigRequest.value",
    "micro.v1.SetConfigSchemaRequest.schema",
    "micro.v1.StatusResponse.document",
    "micro.v1.WatchConfigResponse.value",
];

/// A message as it goes over the wire, of what was sent as JSON. Where it names no tenant, it is for `namespace`.
///
/// # Errors
/// [`Code::Usage`] for what is not that message.
pub(super) fn read(
    descriptor: MessageDescriptor,
    mut json: Value,
    namespace: &Namespace,
) -> Result<Vec<u8>, Fault> {
    fold(&mut json, &descriptor);
    let mut message = DynamicMessage::deserialize(descriptor.clone(), &json).map_err(|error| {
        protobuf::misread(&descriptor, json.to_string().as_bytes(), &error, FieldDescriptor::name)
    })?;
    if *namespace != Namespace::default() {
        assign(&mut message, namespace.as_str());
    }
    Ok(message.encode_to_vec())
}

/// A message as JSON. Fields that say nothing are there too, but for those that can be absent.
pub(super) fn write(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    let json = message.serialize_with_options(serde_json::value::Serializer, &options);
    let mut json = json.expect("all messages of the platform have a JSON form");
    unfold(&mut json, &message.descriptor());
    json
}

fn is_document(field: &FieldDescriptor) -> bool {
    DOCUMENTS.contains(&field.full_name())
}

/// Calls `each` with all values of a message's fields that are there, by whatever name.
fn fields(
    json: &mut Value,
    descriptor: &MessageDescriptor,
    each: &mut dyn FnMut(&FieldDescriptor, &mut Value),
) {
    let Value::Object(members) = json else { return };
    for field in descriptor.fields() {
        for name in [field.name(), field.json_name()] {
            if let Some(value) = members.get_mut(name) {
                each(&field, value);
                break;
            }
        }
    }
}

/// Calls `each` with all messages in the value of a field.
fn inner(field: &FieldDescriptor, value: &mut Value, each: &mut dyn FnMut(&mut Value, &MessageDescriptor)) {
    let Kind::Message(descriptor) = field.kind() else { return };
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each(item, &descriptor)),
        _ if field.is_map() => {}
        other => each(other, &descriptor),
    }
}

/// Documents become the texts that the message has.
fn fold(json: &mut Value, descriptor: &MessageDescriptor) {
    fields(json, descriptor, &mut |field, value| {
        if is_document(field) && !value.is_null() {
            let text = value.to_string();
            *value = Value::String(match field.kind() {
                Kind::Bytes => STANDARD.encode(text),
                _ => text,
            });
        } else {
            inner(field, value, &mut fold);
        }
    });
}

/// Texts become the documents that they are.
fn unfold(json: &mut Value, descriptor: &MessageDescriptor) {
    fields(json, descriptor, &mut |field, value| {
        if !is_document(field) {
            return inner(field, value, &mut unfold);
        }
        let Value::String(text) = &*value else { return };
        let document = match field.kind() {
            Kind::Bytes => STANDARD.decode(text).ok().and_then(|text| serde_json::from_slice(&text).ok()),
            _ => serde_json::from_str(text).ok(),
        };
        if let Some(document) = document {
            *value = document;
        }
    });
}

/// Gives a message that names no tenant this one, and all messages in it.
fn assign(message: &mut DynamicMessage, namespace: &str) {
    for field in message.descriptor().fields() {
        match field.kind() {
            Kind::String if field.name() == "namespace" && message.get_field(&field).as_str() == Some("") => {
                message.set_field(&field, Proto::String(namespace.to_owned()));
            }
            Kind::Message(descriptor) if !field.is_map() => {
                // A place that is not named is the default one of the tenant.
                let placed = ["Place", "Range"].contains(&descriptor.name()) && !field.is_list();
                if message.has_field(&field) || placed {
                    match message.get_field_mut(&field) {
                        Proto::Message(inner) => assign(inner, namespace),
                        Proto::List(items) => {
                            for item in items {
                                if let Proto::Message(inner) = item {
                                    assign(inner, namespace);
                                }
                            }
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Methods, *};
    use bytes::Bytes;
    use micro_sdk::{proto, wire::Code};
    use serde_json::json;

    fn input(path: &str) -> MessageDescriptor {
        Methods::all().at(path).expect("it is there").input()
    }

    #[test]
    fn json_becomes_the_message_and_back() {
        let json =
            json!({"key": "k", "value": "dg==", "if_version": 7, "ttlMs": "9", "place": {"table": "t"}});
        let bytes = read(input("/-/v1/store/write"), json, &Namespace::default()).expect("it is one");
        let message = proto::WriteRequest::decode(&*bytes).expect("it is that message");
        assert_eq!(
            (&*message.key, &*message.value, message.if_version, message.ttl_ms),
            ("k", &b"v"[..], Some(7), 9)
        );
        let back = DynamicMessage::decode(input("/-/v1/store/write"), &*bytes).expect("it is that message");
        let back = write(&back);
        assert_eq!(
            (&back["value"], &back["ttl_ms"], &back["place"]["table"]),
            (&json!("dg=="), &json!(9), &json!("t"))
        );
        for bad in [json!({"nothing": 1}), json!({"key": 7}), json!([]), json!({"value": "?"})] {
            let fault = read(input("/-/v1/store/write"), bad, &Namespace::default()).expect_err("it is none");
            assert_eq!(fault.code, Code::Usage);
        }
    }

    #[test]
    fn documents_are_documents() {
        let json = json!({"path": "shop", "value": {"limits": [1, "a"]}});
        let bytes = read(input("/-/v1/config/set"), json, &Namespace::default()).expect("it is one");
        let message = proto::SetConfigRequest::decode(&*bytes).expect("it is that message");
        assert_eq!(message.value, r#"{"limits":[1,"a"]}"#);
        let status = Methods::all().at("/-/v1/network/status").expect("it is there").output();
        let bytes = proto::StatusResponse { document: Bytes::from_static(b"{\"a\":1}") }.encode_to_vec();
        let message = DynamicMessage::decode(status, &*bytes).expect("it is that message");
        assert_eq!(write(&message), json!({"document": {"a": 1}}));
    }

    #[test]
    fn a_request_without_a_tenant_has_that_of_the_door() {
        let acme: Namespace = "acme".parse().expect("a good name");
        let bytes = read(input("/-/v1/store/read"), json!({"key": "k"}), &acme).expect("it is one");
        let message = proto::ReadRequest::decode(&*bytes).expect("it is that message");
        assert_eq!(message.place.expect("it was set").namespace, "acme");
        let json = json!({"range": {"place": {"namespace": "other"}}});
        let bytes = read(input("/-/v1/store/watch"), json, &acme).expect("it is one");
        let message = proto::WatchRequest::decode(&*bytes).expect("it is that message");
        assert_eq!(message.range.and_then(|range| range.place).expect("it was said").namespace, "other");
        let bytes = read(input("/-/v1/config/get"), json!({}), &acme).expect("it is one");
        assert_eq!(proto::GetConfigRequest::decode(&*bytes).expect("it is that message").namespace, "acme");
    }

    #[test]
    fn all_documents_are_fields() {
        let pool = input("/-/v1/store/read").parent_pool().clone();
        for name in DOCUMENTS {
            let (message, field) = name.rsplit_once('.').expect("two parts");
            let message = pool.get_message_by_name(message).unwrap_or_else(|| panic!("{name}"));
            assert!(message.get_field_by_name(field).is_some(), "{name}");
        }
    }
}
