//! The gRPC side of a service: the same endpoints, JSON in place of protobuf (`application/grpc+json`).
//!
//! Clients that can't say so in their content type are taken at their messages: a service has no other encoding.

use super::{Ctx, door::Door};
use crate::{
    proto::RawCodec,
    wire::{Fault, limits::BODY_BYTES_MAX},
};
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::Response,
};
use bytes::Bytes;
use std::sync::Arc;
use tonic::{Status, server::Grpc};
use tower::service_fn;

/// Whether a request is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// Answers one call.
pub(super) async fn answer(door: Arc<Door>, request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let known = door.endpoint(request.uri().path()).map(str::to_owned);
    let known = known.and_then(|endpoint| Ok((endpoint, Ctx::of(request.headers().clone())?)));
    let response = match known {
        Ok((endpoint, ctx)) => unary(door, endpoint, ctx, request).await,
        Err(fault) => Status::from(fault).into_http(),
    };
    let mut response = response.map(Body::new);
    if let Some(kind) = kind {
        // tonic knows one kind only.
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

async fn unary(door: Arc<Door>, endpoint: String, ctx: Ctx, request: Request) -> Response<tonic::body::Body> {
    let handler = service_fn(move |message: tonic::Request<Bytes>| {
        let (door, endpoint, ctx) = (door.clone(), endpoint.clone(), ctx.clone());
        async move {
            let body = message.into_inner();
            let answer = door.guarded(&endpoint, ctx.clone(), door.dispatch(&endpoint, ctx, body)).await;
            answer.map(tonic::Response::new).map_err(|fault: Fault| Status::from(fault))
        }
    });
    let mut grpc = Grpc::new(RawCodec)
        .max_decoding_message_size(BODY_BYTES_MAX)
        .max_encoding_message_size(BODY_BYTES_MAX);
    grpc.unary(handler, request).await
}
