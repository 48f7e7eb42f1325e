//! Calls with JSON of a server that takes protobuf, and the reverse: the node at which it is attached translates.

use super::channel::Channel;
use crate::{
    kit::Body,
    protobuf::{Contract, MESSAGE_BYTES_MAX, from_json, to_json},
};
use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE, uri::PathAndQuery};
use http_body_util::BodyExt;
use micro_sdk::{
    proto::RawCodec,
    wire::{Code, Fault, Head},
};
use prost_reflect::MethodDescriptor;
use tonic::Status;
use tower::service_fn;

/// What gRPC says for itself, and not to the other end.
const GRPC_PREFIX: &str = "grpc-";

/// Whether the messages of a gRPC call are protobuf.
pub(super) fn is_protobuf(head: &Head) -> bool {
    let mut kinds = head.metadata.iter().filter(|(name, _)| CONTENT_TYPE == name.as_str());
    kinds.all(|(_, kind)| kind == "application/grpc" || kind.starts_with("application/grpc+proto"))
}

/// Calls a method of one request and one answer with JSON, and gives JSON.
///
/// # Errors
/// [`Code::NotFound`] if the contract has no such method, [`Code::Usage`] for JSON that is not its message, or what the
/// server answers.
pub(super) async fn to_protobuf(
    contract: &Contract,
    channel: &Channel,
    head: &Head,
    body: Bytes,
) -> Result<Bytes, Fault> {
    let method = contract.unary(&head.endpoint)?;
    let message = from_json(method.input(), &body)?;
    let mut head = head.clone();
    head.metadata.push((CONTENT_TYPE.to_string(), "application/grpc+proto".to_owned()));
    let server = service_fn(|request: Request<tonic::body::Body>| {
        let body = request.into_body().map_err(Fault::from).boxed_unsync();
        channel.converse(&head, body)
    });
    let mut grpc = tonic::client::Grpc::new(server).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await?;
    // The channel knows the path by the head.
    let answer = grpc.unary(tonic::Request::new(message), PathAndQuery::from_static("/"), RawCodec).await?;
    to_json(method.output(), answer.into_inner()).map_err(|fault| {
        Fault::new(Code::Failed, format!("the answer of {} is wrong: {}", head.service, fault.message))
            .effect_unknown()
    })
}

/// The head of a call with JSON in place of this one.
pub(super) fn json_head(head: &Head) -> Head {
    let mut head = head.clone();
    head.metadata.retain(|(name, _)| CONTENT_TYPE != name.as_str() && !name.starts_with(GRPC_PREFIX));
    head
}

/// Answers a gRPC call with what `call` answers in JSON.
pub(super) async fn from_protobuf<F>(
    method: MethodDescriptor,
    call: impl FnOnce(Bytes) -> F + Send + 'static,
    body: Body,
) -> Response<Body>
where
    F: Future<Output = Result<Bytes, Fault>> + Send + 'static,
{
    let mut call = Some(call);
    let handler = service_fn(move |message: tonic::Request<Bytes>| {
        let (call, method) = (call.take(), method.clone());
        async move {
            let call = call.ok_or_else(|| Status::internal("a call has one request"))?;
            let json = to_json(method.input(), message.into_inner())?;
            let answer = from_json(method.output(), &call(json).await?).map_err(|fault| {
                let message = format!("the answer of {} is wrong: {}", method.full_name(), fault.message);
                Fault::new(Code::Failed, message).effect_unknown()
            })?;
            Ok(tonic::Response::new(answer))
        }
    });
    let mut grpc = tonic::server::Grpc::new(RawCodec).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.unary(handler, Request::new(body)).await.map(|body| body.map_err(Fault::from).boxed_unsync())
}
