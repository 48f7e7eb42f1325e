//! What a service of gRPC offers, by its descriptors.

use super::{PROTO_JSON, Schemas, misread};
use crate::spelling::folded;
use bytes::Bytes;
use micro_sdk::wire::{Code, Endpoint, Fault, Streams};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, SerializeOptions,
};
use ring::digest;
use std::collections::BTreeMap;

/// The longest message that is taken apart: gRPC's own default. In memory its fields are some tens of times longer than
/// their bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// The longest descriptors of one service. Those of the largest public interfaces have a tenth of this.
pub(super) const DESCRIPTORS_BYTES_MAX: usize = 4 << 20;
/// The most methods of one service. Their names go to all nodes.
const METHODS_MAX: usize = 256;

/// The methods of a service, with the messages that they take and give.
pub struct Contract {
    /// By name, as `package.Service.Method`.
    methods: BTreeMap<String, MethodDescriptor>,
    schemas: Schemas,
    pool: DescriptorPool,
}

impl Contract {
    /// All that is in a `google.protobuf.FileDescriptorSet`, as `protoc --include_imports --descriptor_set_out` writes
    /// it.
    ///
    /// # Errors
    /// [`Code::Usage`] for what is none, or is too much.
    pub fn read(descriptors: &[u8]) -> Result<Self, Fault> {
        if descriptors.len() > DESCRIPTORS_BYTES_MAX {
            let message = format!("descriptors have {DESCRIPTORS_BYTES_MAX} bytes at most");
            return Err(Fault::new(Code::Usage, message));
        }
        let pool = DescriptorPool::decode(descriptors).map_err(|error| {
            Fault::new(Code::Usage, format!("the descriptors can't be read: {error}"))
                .help("a FileDescriptorSet with all imports is needed: protoc --include_imports --descriptor_set_out=FILE")
        })?;
        let services: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
        Contract::of(&pool, &services)
    }

    /// These services of the pool.
    ///
    /// # Errors
    /// [`Code::Usage`] for too many methods.
    pub(super) fn of(pool: &DescriptorPool, services: &[String]) -> Result<Self, Fault> {
        let services = services.iter().filter_map(|name| pool.get_service_by_name(name));
        let methods = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        let named = |method: MethodDescriptor| (method.full_name().to_owned(), method);
        let methods: BTreeMap<String, MethodDescriptor> = methods.map(named).collect();
        if methods.len() > METHODS_MAX {
            let message =
                format!("the service has {} methods, over the limit of {METHODS_MAX}", methods.len());
            return Err(Fault::new(Code::Usage, message).help("attach its parts as services of their own"));
        }
        Ok(Contract { methods, schemas: Schemas::of(PROTO_JSON, pool), pool: pool.clone() })
    }

    /// All of it as a `google.protobuf.FileDescriptorSet`.
    pub(super) fn descriptors(&self) -> Vec<u8> {
        self.pool.encode_to_vec()
    }

    /// What tells it apart from others.
    pub(super) fn digest(&self) -> Vec<u8> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.descriptors());
        // Of what is described, not all has to be offered.
        self.methods.keys().for_each(|name| context.update(name.as_bytes()));
        context.finish().as_ref().to_vec()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    /// The methods as endpoints of a service.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |(name, method): (&String, &MethodDescriptor)| Endpoint {
            name: name.clone(),
            request_schema: self.schemas.whole(&method.input()).to_string(),
            response_schema: self.schemas.whole(&method.output()).to_string(),
            doc: self.schemas.comment(&method.parent_service().parent_file(), method.path()),
            routes: Vec::new(),
            streams: Streams { client: method.is_client_streaming(), server: method.is_server_streaming() },
        };
        self.methods.iter().map(endpoint).collect()
    }

    /// The method that an endpoint is: the one of its name, else the one that has it behind its package, where case and
    /// underscores do not matter.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none.
    pub(crate) fn method(&self, endpoint: &str) -> Result<&MethodDescriptor, Fault> {
        let short = |name: &str| {
            let words: Vec<String> = name.rsplitn(3, '.').take(2).map(folded).collect();
            words
        };
        let alike = || self.methods.values().find(|method| short(method.full_name()) == short(endpoint));
        self.methods
            .get(endpoint)
            .or_else(alike)
            .ok_or_else(|| Fault::new(Code::NotFound, format!("no method is described for {endpoint:?}")))
    }

    /// Whether it has such a method, and one side of it or both are streams.
    pub(crate) fn is_stream(&self, endpoint: &str) -> bool {
        self.method(endpoint).is_ok_and(|method| method.is_client_streaming() || method.is_server_streaming())
    }

    /// The same for one of one request and one answer.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is none, [`Code::Usage`] if it streams.
    pub(crate) fn unary(&self, endpoint: &str) -> Result<&MethodDescriptor, Fault> {
        let method = self.method(endpoint)?;
        if self.is_stream(endpoint) {
            let message = format!("{endpoint} is a stream");
            return Err(Fault::new(Code::Usage, message));
        }
        Ok(method)
    }
}

/// A message of the JSON that stands for it. Nothing at all is a message that says nothing.
///
/// # Errors
/// [`Code::Usage`] for what is not that message, [`Code::TooLarge`] for what is too long to be taken apart.
pub(crate) fn from_json(message: MessageDescriptor, json: &[u8]) -> Result<Bytes, Fault> {
    let json = if json.iter().all(u8::is_ascii_whitespace) { b"{}" } else { json };
    if json.len() > MESSAGE_BYTES_MAX {
        return Err(too_long(message.full_name(), json.len()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let read = DynamicMessage::deserialize(message.clone(), &mut deserializer);
    let read = read.and_then(|read| deserializer.end().map(|()| read));
    let read = read.map_err(|error| misread(&message, json, &error, FieldDescriptor::json_name))?;
    Ok(read.encode_to_vec().into())
}

/// The JSON that stands for a message. What it does not say is there too, as what it means.
///
/// # Errors
/// [`Code::Usage`] for what is not that message, [`Code::TooLarge`] for what is too long to be taken apart.
pub(crate) fn to_json(message: MessageDescriptor, bytes: Bytes) -> Result<Bytes, Fault> {
    let name = message.full_name().to_owned();
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(too_long(&name, bytes.len()));
    }
    let none = |error: &dyn std::fmt::Display| Fault::new(Code::Usage, format!("that is no {name}: {error}"));
    let message = DynamicMessage::decode(message, bytes).map_err(|error| none(&error))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    let mut json = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| none(&error))?;
    Ok(json.into())
}

fn too_long(name: &str, bytes: usize) -> Fault {
    let message = format!("the message {name} has {bytes} bytes: at most {MESSAGE_BYTES_MAX} are translated");
    Fault::new(Code::TooLarge, message)
        .help("call it by gRPC with the messages that it takes: these pass unread")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::{
        DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto,
        ServiceDescriptorProto,
        field_descriptor_proto::{Label, Type},
    };
    use serde_json::{Value, json};

    fn field(name: &str, number: i32, kind: Type, label: Label) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.to_owned()),
            number: Some(number),
            r#type: Some(kind.into()),
            label: Some(label.into()),
            type_name: (kind == Type::Message).then(|| ".a.v1.Tree".to_owned()),
            ..FieldDescriptorProto::default()
        }
    }

    /// `service Trees { Grow_up(Tree) returns (Tree); Watch(Tree) returns (stream Tree) }`, where a tree has trees.
    fn set(methods: &[&str]) -> Vec<u8> {
        let fields = vec![
            field("leaf_count", 1, Type::Int64, Label::Optional),
            field("branches", 2, Type::Message, Label::Repeated),
            field("rings", 3, Type::Bool, Label::Repeated),
        ];
        let tree =
            DescriptorProto { name: Some("Tree".to_owned()), field: fields, ..DescriptorProto::default() };
        let method = |name: &&str| MethodDescriptorProto {
            name: Some((*name).to_owned()),
            input_type: Some(".a.v1.Tree".to_owned()),
            output_type: Some(".a.v1.Tree".to_owned()),
            server_streaming: Some(*name == "Watch"),
            ..MethodDescriptorProto::default()
        };
        let service = ServiceDescriptorProto {
            name: Some("Trees".to_owned()),
            method: methods.iter().map(method).collect(),
            ..ServiceDescriptorProto::default()
        };
        let file = FileDescriptorProto {
            name: Some("a.proto".to_owned()),
            package: Some("a.v1".to_owned()),
            syntax: Some("proto3".to_owned()),
            message_type: vec![tree],
            service: vec![service],
            ..FileDescriptorProto::default()
        };
        FileDescriptorSet { file: vec![file] }.encode_to_vec()
    }

    fn contract() -> Contract {
        Contract::read(&set(&["GrowUp", "Watch"])).expect("they are descriptors")
    }

    #[test]
    fn methods_become_endpoints_whose_schemas_stand_alone() {
        let endpoints = contract().endpoints();
        let names: Vec<&str> = endpoints.iter().map(|endpoint| &*endpoint.name).collect();
        assert_eq!(names, ["a.v1.Trees.GrowUp", "a.v1.Trees.Watch"]);
        let schema: Value = serde_json::from_str(&endpoints[0].request_schema).expect("it is JSON");
        let reference = "#/$defs/a.v1.Tree";
        assert_eq!(schema["properties"]["branches"]["items"]["$ref"], reference);
        assert_eq!(schema["$defs"]["a.v1.Tree"]["properties"]["leafCount"]["type"], "string");
        let validator = jsonschema::validator_for(&schema).expect("it is a schema");
        assert!(validator.is_valid(&json!({"leafCount": "3", "branches": [{"branches": []}]})));
        assert!(!validator.is_valid(&json!({"branches": [{"leaf": 3}]})));
    }

    #[test]
    fn json_becomes_the_message_and_back() {
        let contract = contract();
        let tree = contract.unary("Trees.grow_up").expect("it is that method").input();
        for json in ["", " ", "{}", r#"{"leafCount":null}"#] {
            assert_eq!(from_json(tree.clone(), json.as_bytes()), Ok(Bytes::new()), "{json:?}");
        }
        let both = [r#"{"leafCount":"7"}"#, r#"{"leaf_count":7}"#]
            .map(|json| from_json(tree.clone(), json.as_bytes()));
        assert_eq!(both[0], both[1]);
        let back = to_json(tree.clone(), both[0].clone().expect("it is one")).expect("it is that message");
        let back: Value = serde_json::from_slice(&back).expect("it is JSON");
        assert_eq!(back, json!({"leafCount": "7", "branches": [], "rings": []}));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let contract = contract();
        let tree = contract.unary("a.v1.Trees.GrowUp").expect("it is there").input();
        let deep = format!("{}1{}", r#"{"branches":["#.repeat(10_000), "]}".repeat(10_000));
        let long = format!("{{\"rings\":[{}true]}}", "true,".repeat(MESSAGE_BYTES_MAX / 5));
        for json in ["[]", "7", "{", r#"{"a":1}"#, r#"{"leafCount":"x"}"#, "{} {}", &deep] {
            let fault = from_json(tree.clone(), json.as_bytes()).expect_err("it is none");
            assert_eq!(fault.code, Code::Usage, "{:.20}", json);
            assert!(!fault.help.is_empty(), "{fault:?}");
        }
        let fault = from_json(tree.clone(), long.as_bytes()).expect_err("it is too long");
        assert_eq!(fault.code, Code::TooLarge);
        for json in [r#"{"leaf":1}"#, r#"{"branches":[{"leaf":1}]}"#] {
            let fault = from_json(tree.clone(), json.as_bytes()).expect_err("it has no such field");
            assert!(fault.help[0].contains("leafCount"), "{fault:?}");
        }
        // A message in itself, ten thousand times; a length beyond the end; a field of another kind.
        let mut nested = Vec::new();
        for _ in 0..200 {
            let mut outer = vec![0x12];
            prost::encoding::encode_varint(nested.len() as u64, &mut outer);
            outer.extend(&nested);
            nested = outer;
        }
        for bytes in [&nested[..], b"\x12\x7f", b"\x0a\x01a", b"\xff"] {
            let fault = to_json(tree.clone(), Bytes::copy_from_slice(bytes)).expect_err("it is none");
            assert_eq!(fault.code, Code::Usage);
        }
    }

    #[test]
    fn what_can_t_be_described_or_streams_is_refused() {
        let code = |fault: Fault| fault.code;
        assert_eq!(contract().unary("Trees.watch").map_err(code).map(drop), Err(Code::Usage));
        assert_eq!(contract().unary("Trees.nothing").map_err(code).map(drop), Err(Code::NotFound));
        let many: Vec<String> = (0..=METHODS_MAX).map(|number| format!("M{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        for bad in [b"no descriptors".to_vec(), vec![0; DESCRIPTORS_BYTES_MAX + 1], set(&many)] {
            assert_eq!(Contract::read(&bad).map(drop).map_err(code), Err(Code::Usage));
        }
    }
}
