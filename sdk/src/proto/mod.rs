//! The gRPC stubs of a node's API, both sides, made from `sdk/proto`.
//!
//! What the messages mean is written in the `.proto` files.

// The generated code carries the comments of the `.proto` files, which don't repeat themselves at every
// field.
#![allow(missing_docs)]

mod codec;

pub use codec::{ProtoCodec, RawCodec};

use crate::wire;

/// The largest gRPC message that either side takes: a body of the largest size and everything around it.
/// tonic's own 4 MiB would refuse bodies that the mesh carries.
pub const MESSAGE_BYTES_MAX: usize = wire::limits::BODY_BYTES_MAX + (1 << 20);

tonic::include_proto!("micro.v1");

/// The `.proto` files as a `google.protobuf.FileDescriptorSet`, with their comments.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/micro.v1.descriptors"));

impl From<wire::Endpoint> for Endpoint {
    fn from(endpoint: wire::Endpoint) -> Self {
        let wire::Endpoint { name, request_schema, response_schema, doc, routes, streams } = endpoint;
        let route = |wire::Route { method, path, host }| Route { method, path, host };
        let routes = routes.into_iter().map(route).collect();
        let wire::Streams { client: client_streaming, server: server_streaming } = streams;
        Endpoint { name, request_schema, response_schema, doc, routes, client_streaming, server_streaming }
    }
}

impl From<Endpoint> for wire::Endpoint {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint {
            name,
            request_schema,
            response_schema,
            doc,
            routes,
            client_streaming,
            server_streaming,
        } = endpoint;
        let route = |Route { method, path, host }| wire::Route { method, path, host };
        let routes = routes.into_iter().map(route).collect();
        let streams = wire::Streams { client: client_streaming, server: server_streaming };
        wire::Endpoint { name, request_schema, response_schema, doc, routes, streams }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use std::collections::BTreeMap;

    fn place() -> Option<Place> {
        Some(Place { namespace: "n".to_owned(), database: "d".to_owned(), table: "t".to_owned() })
    }

    fn record() -> Record {
        let metadata = BTreeMap::from([("m".to_owned(), "x".to_owned())]);
        let (key, value) = ("k".to_owned(), "v".into());
        Record { key, value, version: 3, created: 2, expires_ms: 9, lease: 7, metadata }
    }

    #[track_caller]
    fn assert_frozen<M: Message + Default + PartialEq + std::fmt::Debug>(message: M, golden: &[u8]) {
        assert_eq!(message.encode_to_vec(), golden, "{}", message.encode_to_vec().escape_ascii());
        assert_eq!(M::decode(golden).expect("it is that message"), message);
    }

    #[test]
    fn records_and_writes_are_frozen() {
        assert_frozen(record(), b"\n\x01k\x12\x01v\x18\x03 \x02(\x090\x07:\x06\n\x01m\x12\x01x");
        let write = WriteRequest {
            place: place(),
            key: "k".to_owned(),
            value: "v".into(),
            if_version: Some(0),
            idempotency_key: "i".into(),
            ttl_ms: 9,
            lease: 7,
            metadata: record().metadata,
        };
        let golden =
            b"\n\t\n\x01n\x12\x01d\x1a\x01t\x12\x01k\x1a\x01v \0*\x01i0\x098\x07B\x06\n\x01m\x12\x01x";
        assert_frozen(write, golden);
    }

    #[test]
    fn watches_are_frozen() {
        let range =
            Range { place: place(), prefix: "p".to_owned(), from: "f".to_owned(), to: "g".to_owned() };
        let request = WatchRequest { range: Some(range), from_revision: Some(5), stale: true };
        let golden = b"\n\x14\n\t\n\x01n\x12\x01d\x1a\x01t\x12\x01p\x1a\x01f\"\x01g\x10\x05\x18\x01";
        assert_frozen(request, golden);
        let mark = watch_response::Event::Mark(watch_response::Mark { revision: 5 });
        assert_frozen(WatchResponse { event: Some(mark) }, b"\x12\x02\x08\x05");
        let change = Change { key: "k".to_owned(), kind: ChangeKind::Expire.into(), record: None };
        let changes = watch_response::Changes { revision: 5, time_ms: 6, changes: vec![change] };
        let response = WatchResponse { event: Some(watch_response::Event::Changes(changes)) };
        assert_frozen(response, b"\n\x0b\x08\x05\x10\x06\x1a\x05\n\x01k\x10\x02");
    }

    #[test]
    fn transactions_are_frozen() {
        use operation::{Key, Operation as Op};
        let compare = Compare {
            place: None,
            key: "k".to_owned(),
            relation: Relation::Greater.into(),
            with: Some(compare::With::Created(4)),
        };
        let op = |op| Operation { operation: Some(op) };
        let delete = op(Op::Delete(Key { place: None, key: "k".to_owned() }));
        let read = op(Op::Read(Key { place: None, key: "k".to_owned() }));
        let request = TransactRequest {
            compares: vec![compare],
            then: vec![delete],
            otherwise: vec![read],
            idempotency_key: "i".into(),
        };
        let golden = b"\n\x07\x12\x01k\x18\x03(\x04\x12\x05\x12\x03\x12\x01k\x1a\x05\"\x03\x12\x01k\"\x01i";
        assert_frozen(request, golden);
    }
}
