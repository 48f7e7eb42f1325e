//! gRPC-Web: gRPC as browsers can speak it, over HTTP/1.1 or HTTP/2 without trailers, for people's services and the
//! platform's. It is made gRPC and back, and answered as what comes to the gRPC proxy is.
//!
//! A page sends one message at most; an answer may be a stream.

use super::{Door, Entry};
use crate::doors::{
    credentials::{is_nobody, is_platform, missing},
    grpc::{BEGINNING_BYTES, kinds_of, unproven},
};
use axum::{body::Body, response::Response};
use futures::StreamExt;
use http::{
    HeaderMap, Request,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};
use http_body_util::{BodyStream, StreamBody};
use hyper::body::Frame;
use micro_sdk::wire::{Code, Fault};
use tonic::Status;
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt, service_fn};

/// What requests say that they are (gRPC-Web, "Content-Type"). Messages of JSON need none of it: they are what the
/// HTTP api takes.
const KINDS: [&str; 4] = [
    "application/grpc-web",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
];

/// Whether a request is one.
pub(super) fn is_asked(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| KINDS.iter().any(|known| kind == known))
}

/// Whether a caller leaves it open in what it is answered.
fn takes_anything(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_none_or(|kinds| kinds == "*/*")
}

/// Answers a request, refusals included: they are statuses of gRPC.
pub(super) async fn answer(door: &Door, entry: &Entry<'_>, parts: &Parts, body: Body) -> Response {
    let path = parts.uri.path();
    // Whoever is nobody in particular asks nothing of the platform, here as at the proxy.
    let refused = (is_nobody(&entry.context.caller) && is_platform(path)).then(|| {
        let missing = missing();
        door.refused(&entry.context, parts, &missing);
        unproven(missing)
    });
    let mut request = Request::new(beginning(door, entry, path, body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = parts.uri.clone();
    *request.version_mut() = parts.version;
    *request.headers_mut() = parts.headers.clone();
    // Who does not say what it takes is answered in what it sends: text to who can't read bytes.
    if let Some(kind) = parts.headers.get(CONTENT_TYPE).filter(|_| takes_anything(&parts.headers)) {
        request.headers_mut().insert(ACCEPT, kind.clone());
    }
    let extensions = request.extensions_mut();
    extensions.insert(entry.context.caller.clone());
    extensions.insert(entry.context.origin);
    entry.context.token.iter().for_each(|token| drop(extensions.insert(token.clone())));
    let services = door.services.clone();
    let grpc = service_fn(move |request: Request<tonic::body::Body>| {
        let (services, refused) = (services.clone(), refused.clone());
        async move {
            match refused {
                Some(status) => Ok(status.into_http()),
                None => services.call(request).await,
            }
        }
    });
    match GrpcWebLayer::new().layer(grpc).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// The same body, of which no more than the beginning is read unless a rule lets its sender use such things.
fn beginning(
    door: &Door,
    entry: &Entry<'_>,
    path: &str,
    body: Body,
) -> impl hyper::body::Body<Data = bytes::Bytes, Error = Status> + Send + 'static {
    let (local, context, kinds) = (door.local.clone(), entry.context.clone(), kinds_of(path));
    let mut more = Some(move || local.may_send_more(&context, kinds));
    let mut left = BEGINNING_BYTES;
    let frames = BodyStream::new(body).map(move |frame| {
        let broken = |error| Fault::new(Code::Unreachable, format!("the request broke off: {error}"));
        let frame: Frame<bytes::Bytes> = frame.map_err(broken)?;
        match left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) {
            Some(rest) => left = rest,
            None => more.take().map_or(Ok(()), |more| more())?,
        }
        Ok::<_, Status>(frame)
    });
    StreamBody::new(frames)
}
