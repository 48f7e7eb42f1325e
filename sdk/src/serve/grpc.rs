//! The gRPC side of a service: the same endpoints, JSON in place of protobuf (`application/grpc+json`).
//!
//! Clients that can't say so in their content type are taken at their messages: a service has no other encoding.

use super::{Ctx, door::Door};
use crate::{
    proto::RawCodec,
    wire::{Fault, limits::BODY_BYTES_MAX},
};
use bytes::Bytes;
use futures::{TryStreamExt, future::ready};
use http::{HeaderMap, Request, Response, header::CONTENT_TYPE};
use hyper::body::Incoming;
use std::sync::Arc;
use tonic::{Status, body::Body, server::Grpc};
use tower::service_fn;

/// Whether a request is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Answers one call.
pub(super) async fn answer(door: Arc<Door>, request: Request<Incoming>) -> Response<Body> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let mut response = begun(door, request).await.unwrap_or_else(|fault| Status::from(fault).into_http());
    if let Some(kind) = kind {
        // tonic knows one kind only.
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

/// The answer to a call of an endpoint that there is.
async fn begun(door: Arc<Door>, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    let (endpoint, streams) = door.endpoint(request.uri().path())?;
    let (endpoint, headers) = (endpoint.to_owned(), request.headers().clone());
    Ok(match streams.any() {
        false => {
            let ctx = door.ctx(headers)?;
            unary(door, endpoint, ctx, request).await
        }
        true => {
            let ctx = door.ctx_of_stream(headers)?;
            streaming(door, endpoint, ctx, request).await
        }
    })
}

async fn unary(door: Arc<Door>, endpoint: String, ctx: Ctx, request: Request<Incoming>) -> Response<Body> {
    let handler = service_fn(move |message: tonic::Request<Bytes>| {
        let (door, endpoint, ctx) = (door.clone(), endpoint.clone(), ctx.clone());
        async move {
            let body = message.into_inner();
            let answer = door.guarded(&endpoint, ctx.clone(), door.dispatch(&endpoint, ctx, body)).await;
            answer.map(tonic::Response::new).map_err(|fault: Fault| Status::from(fault))
        }
    });
    server().unary(handler, request).await
}

/// A call of which one side at least is a stream; to gRPC all such are alike.
async fn streaming(
    door: Arc<Door>,
    endpoint: String,
    ctx: Ctx,
    request: Request<Incoming>,
) -> Response<Body> {
    let handler = service_fn(move |messages: tonic::Request<tonic::Streaming<Bytes>>| {
        let messages = messages.into_inner().map_err(Fault::from);
        let answers = door.clone().converse(endpoint.clone(), ctx.clone(), messages);
        ready(Ok::<_, Status>(tonic::Response::new(answers.map_err(Status::from))))
    });
    server().streaming(handler, request).await
}

fn server() -> Grpc<RawCodec> {
    Grpc::new(RawCodec).max_decoding_message_size(BODY_BYTES_MAX).max_encoding_message_size(BODY_BYTES_MAX)
}
