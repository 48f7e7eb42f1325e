//! The gRPC stubs of a node's API, both sides, made from `sdk/proto`.
//!
//! What the messages mean is written in the `.proto` files.

// The generated code carries the comments of the `.proto` files, which don't repeat themselves at every
// field.
#![allow(missing_docs)]

mod codec;

pub use codec::ProtoCodec;

use crate::wire;

/// The largest gRPC message that either side takes: a body of the largest size and everything around it.
/// tonic's own 4 MiB would refuse bodies that the mesh carries.
pub const MESSAGE_BYTES_MAX: usize = wire::limits::BODY_BYTES_MAX + (1 << 20);

tonic::include_proto!("micro.v1");

impl From<wire::Endpoint> for Endpoint {
    fn from(endpoint: wire::Endpoint) -> Self {
        let wire::Endpoint { name, request_schema, response_schema, doc } = endpoint;
        Endpoint { name, request_schema, response_schema, doc }
    }
}

impl From<Endpoint> for wire::Endpoint {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint { name, request_schema, response_schema, doc } = endpoint;
        wire::Endpoint { name, request_schema, response_schema, doc }
    }
}
