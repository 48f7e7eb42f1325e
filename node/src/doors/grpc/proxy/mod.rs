//! gRPC calls of people's services: what is in them goes through as it is, in both directions.
//!
//! ```text
//! path, metadata ─► service, method ─► authorize ─► an instance, here or on another node ─► its answer, as it comes
//! ```
//!
//! Requests and answers go on for as long as both sides wish: until the deadline that the caller has set, until the
//! caller may not call it any more, or until the node stops.

mod ending;
mod metadata;
mod target;

pub(super) use target::{SERVICE_HEADER, service_of};

use super::{Answering, Door, context_of, leash::Leash, unproven, with_code};
use crate::doors::credentials::is_nobody;
use bytes::Bytes;
use ending::Ending;
use futures::{StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Frame;
use micro_actors::Body as Carried;
use micro_sdk::wire::{Caller, Code, Fault, limits::DEADLINE_MS_NONE};
use std::sync::Arc;
use target::Target;
use tonic::{Status, body::Body};

/// Calls what a request names, and answers as it does.
pub(super) fn call<B>(door: Arc<Door>, request: Request<B>) -> Answering
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    Box::pin(async move {
        let nobody = request.extensions().get::<Caller>().is_none_or(is_nobody);
        Ok(match proxied(&door, request).await {
            Ok(response) => response,
            Err(fault) => status(fault, nobody).into_http(),
        })
    })
}

async fn proxied<B>(door: &Door, request: Request<B>) -> Result<Response<Body>, Fault>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (parts, body) = request.into_parts();
    let context = context_of(&parts.headers, &parts.extensions)?;
    let own = context.caller.account().map(|own| &own.namespace);
    let Target { namespace, service, endpoint } =
        Target::of(parts.uri.path(), &parts.headers, own, &door.local.table())?;
    let seat = door.seats.take()?;
    let mut head = door.local.head(&context, service, &endpoint);
    head.namespace = namespace;
    head.metadata = metadata::carried(&parts.headers)?;
    head.deadline_ms = context.deadline.map_or(DEADLINE_MS_NONE, |time| {
        u32::try_from(time.as_millis()).map_or(DEADLINE_MS_NONE - 1, |ms| ms.min(DEADLINE_MS_NONE - 1))
    });
    let (tenant, called, method) = (head.namespace.clone(), head.service.clone(), head.endpoint.clone());
    let leash = Leash::hold(&door.local, &context, move |local, context| {
        local.may_call(context, &tenant, called.as_str(), &method)
    });
    let mut ending = Ending::new(context.deadline, leash, door.draining.clone());
    let answer = door.local.converse(context.origin, head, body.map_err(gone).boxed_unsync());
    let response = tokio::select! {
        biased;
        fault = ending.come() => return Err(fault),
        response = answer => response?,
    };
    let (head, body) = response.into_parts();
    // An answer of trailers only has its status in its head, and nothing behind it.
    if head.headers.contains_key(Status::GRPC_STATUS) {
        return Ok(Response::from_parts(head, Body::empty()));
    }
    let told = told(body, ending, seat);
    Ok(Response::from_parts(head, Body::new(StreamBody::new(told))))
}

/// The frames of an answer. What goes wrong is told in trailers, as a status.
fn told<T: Send + 'static>(
    body: Carried,
    ending: Ending,
    seat: T,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, Status>> + Send + 'static {
    stream::unfold(Some((BodyStream::new(body), ending, seat)), |state| async move {
        let (mut body, mut ending, seat) = state?;
        let frame = tokio::select! {
            biased;
            frame = body.next() => frame?,
            fault = ending.come() => Err(fault),
        };
        match frame {
            Ok(frame) => Some((Ok(frame), Some((body, ending, seat)))),
            Err(fault) => Some((Ok(Frame::trailers(trailers(&Status::from(fault)))), None)),
        }
    })
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unfit) = status.add_header(&mut trailers) {
        trailers.insert(Status::GRPC_STATUS, (unfit.code() as i32).into());
    }
    trailers
}

/// The status of a call that came to nobody. What is not there is not implemented, as clients of gRPC expect; and one
/// who is `nobody` yet may be somebody who may.
fn status(fault: Fault, nobody: bool) -> Status {
    match fault.code {
        Code::NotFound => with_code(tonic::Code::Unimplemented, &fault.into()),
        _ if nobody => unproven(fault),
        _ => fault.into(),
    }
}

/// That the caller's request broke off: it has gone away.
fn gone(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Unreachable, format!("the caller has gone away: {error}"))
}
