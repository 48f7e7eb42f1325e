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

pub(in crate::doors) use target::Target;
pub(super) use target::{SERVICE_HEADER, service_of};

use super::{Answering, Door, context_of, leash::Leash, unproven, with_code};
use crate::{doors::credentials::is_nobody, node::Context};
use bytes::Bytes;
use ending::Ending;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, BodyStream, Empty, StreamBody};
use hyper::body::Frame;
use micro_actors::Body as Carried;
use micro_sdk::wire::{Caller, Code, Fault, limits::DEADLINE_MS_NONE};
use std::{
    future::pending,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::sleep;
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
    let target = Target::of(parts.uri.path(), &parts.headers, own, &door.local.table())?;
    let carried = metadata::carried(&parts.headers)?;
    let broken = Arc::new(OnceLock::new());
    let seen = broken.clone();
    let body = body.map_err(move |error| seen.get_or_init(|| unreadable(error)).clone()).boxed_unsync();
    let response = door.converse(&context, target, carried, body).await;
    // To the service the request only broke off; what was wrong with it is the caller's to know.
    let response = response.map_err(|fault| broken.get().cloned().unwrap_or(fault))?;
    // An answer of trailers only ends with its head.
    let bare = response.headers().contains_key(Status::GRPC_STATUS);
    Ok(response.map(|body| if bare { Body::empty() } else { Body::new(StreamBody::new(told(body))) }))
}

impl Door {
    /// Begins a gRPC call of a person's service. It ends with the deadline of `context`, if there is one, when the
    /// caller may not call it any more, and when the node stops: that is the error of the answer's body then, as is all
    /// else that goes wrong once it is answered. The time that the policy of the service gives is for all of a call of
    /// one request and one answer, and of streams until the service begins to answer.
    ///
    /// # Errors
    /// Why nobody answers.
    pub(super) async fn converse(
        &self,
        context: &Context,
        target: Target,
        carried: Vec<(String, String)>,
        body: Carried,
    ) -> Result<Response<Carried>, Fault> {
        let Target { namespace, service, endpoint } = target;
        let seat = self.seats.take()?;
        // The rules know an endpoint by its full name. Of what is not there, dispatch tells only those who may call it.
        let endpoint = self.local.table().endpoint(&namespace, &service, &endpoint).unwrap_or(endpoint);
        let mut head = self.local.head(context, service, &endpoint);
        head.namespace = namespace;
        head.metadata = carried;
        let limit = self.local.call_timeout(&head.namespace, &head.service);
        let goes_on = self.local.goes_on(&head.namespace, &head.service, &endpoint);
        let time = [context.deadline, limit.filter(|_| !goes_on)].into_iter().flatten().min();
        head.deadline_ms = time.map_or(DEADLINE_MS_NONE, |time| {
            u32::try_from(time.as_millis()).map_or(DEADLINE_MS_NONE - 1, |ms| ms.min(DEADLINE_MS_NONE - 1))
        });
        let (tenant, called) = (head.namespace.clone(), head.service.clone());
        let leash = Leash::hold(&self.local, context, move |local, context| {
            local.may_call(context, &tenant, called.as_str(), &endpoint)
        });
        let mut ending = Ending::new(time, leash, self.draining.clone());
        let answer = self.local.converse(context.origin, head, body);
        let response = tokio::select! {
            biased;
            fault = ending.come() => return Err(fault),
            fault = unbegun(limit) => return Err(fault),
            response = answer => response?,
        };
        let (head, body) = response.into_parts();
        // An answer of trailers only has its status in its head, and nothing behind it, not even a seat.
        let body = match head.headers.contains_key(Status::GRPC_STATUS) {
            true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            false => StreamBody::new(until(body, ending, seat)).boxed_unsync(),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// Returns when a call has to have begun to be answered, and that it has not.
async fn unbegun(limit: Option<Duration>) -> Fault {
    let Some(limit) = limit else { return pending().await };
    sleep(limit).await;
    let message = format!("the service gave no answer within the {} ms of its policy", limit.as_millis());
    Fault::new(Code::Timeout, message).effect_unknown()
}

/// The frames of an answer, until it has to end.
fn until<T: Send + 'static>(
    body: Carried,
    ending: Ending,
    seat: T,
) -> impl Stream<Item = Result<Frame<Bytes>, Fault>> + Send + 'static {
    stream::unfold(Some((BodyStream::new(body), ending, seat)), |state| async move {
        let (mut body, mut ending, seat) = state?;
        let frame = tokio::select! {
            biased;
            // First, or one who always has more to say would never be ended.
            fault = ending.come() => Err(fault),
            frame = body.next() => frame?,
        };
        let rest = frame.is_ok().then_some((body, ending, seat));
        Some((frame, rest))
    })
}

/// The frames of an answer. What goes wrong is told in trailers, as a status.
fn told(body: Carried) -> impl Stream<Item = Result<Frame<Bytes>, Status>> + Send + 'static {
    let frames = BodyStream::new(body);
    frames.map(|frame| Ok(frame.unwrap_or_else(|fault| Frame::trailers(trailers(&Status::from(fault))))))
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

/// That a request broke off: its caller has gone away, or sends what can't be read.
fn unreadable(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, format!("the request can't be read to its end: {error}"))
}
