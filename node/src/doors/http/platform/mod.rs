//! The platform's own services as JSON, under `/-/v1/`: `POST /-/v1/store/write`, `GET /-/v1/config/get?path=shop`.
//!
//! A request is made the message that gRPC has for it, and is answered by the same method of the same service; so there
//! is one meaning, one place that authorizes, and nothing to keep in step. What goes on (a watch) is sent as events
//! (Server-Sent Events, WHATWG HTML 9.2), or as a line of JSON each for who does not ask for events.

mod answers;
mod events;
mod message;
mod methods;
mod need;
mod schema;

pub(super) use methods::{Method, Methods, PREFIX};
pub(super) use schema::PLACE;

use super::{
    Door, Entry,
    body::{self, Beside, Kind},
    call::answered,
    frames::framed,
    problem::Refusal,
    stream::wants_events,
};
use crate::doors::{
    credentials::{is_nobody, is_open, missing},
    grpc::kinds_of,
};
use answers::Answers;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderValue, Method as HttpMethod, Request,
    header::{CONTENT_TYPE, HeaderName},
    request::Parts,
};
use http_body_util::Full;
use micro_sdk::wire::{Code, Fault};
use serde_json::Value;

/// The last event that a page has seen of a stream that broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Answers a request below the prefix.
///
/// # Errors
/// 404 for what is not there, 405 for a change by `GET`, 400 for what is not the method's message; else as the method
/// answers.
pub(super) async fn answer(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    let methods = Methods::all();
    let method = methods.at(parts.uri.path()).ok_or_else(|| methods.nothing_at(parts.uri.path()))?;
    let reading = [HttpMethod::GET, HttpMethod::HEAD].contains(&parts.method) && method.is_safe();
    if !reading && parts.method != HttpMethod::POST {
        return Err(Refusal::method(&parts.method, method.taken()));
    }
    if is_nobody(&entry.context.caller) && !is_open(method.uri().path()) {
        // Whoever is nobody in particular sends nothing that is read. The method itself decides on all others.
        let missing = missing();
        door.refused(&entry.context, parts, &missing);
        return Err(missing.into());
    }
    let mut json = input(door, entry, parts, body, method).await?;
    resume(method, parts, &mut json)?;
    if method.is_stream() {
        let request = message::read(method.input(), json, &entry.namespace)?;
        let mut answers = Answers::of(ask(door, entry, method, request).await, method.output())?;
        let events = wants_events(&parts.headers);
        // What is refused at once is a problem like any other, and not the beginning of a stream.
        let first = answers.next().await?;
        return Ok(events::stream(first, answers, events, door.draining.clone()));
    }
    Ok(answered(Bytes::from(unary(door, entry, method, json).await?.to_string())))
}

/// What a method that answers once answers.
///
/// # Errors
/// As the method, or for JSON that is not its message.
pub(super) async fn unary(
    door: &Door,
    entry: &Entry<'_>,
    method: &Method,
    json: Value,
) -> Result<Value, Refusal> {
    let request = message::read(method.input(), json, &entry.namespace)?;
    let mut answers = Answers::of(ask(door, entry, method, request).await, method.output())?;
    let missing = || Fault::new(Code::Internal, "a method of the platform gave no answer");
    let answer = answers.next().await?.ok_or_else(missing)?;
    // What comes behind it says whether it counts.
    answers.next().await?;
    Ok(message::write(&answer))
}

/// What was sent, as JSON.
async fn input(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
    method: &Method,
) -> Result<Value, Refusal> {
    let posted = parts.method == HttpMethod::POST;
    let kind = if posted { Kind::of(&parts.headers)? } else { Kind::Json };
    let patience = entry.context.time();
    let held = match posted {
        true => {
            let more = || door.local.may_send_more(&entry.context, kinds_of(method.uri().path()));
            Some(door.shared.room.collect(&parts.headers, body, patience, more).await?)
        }
        false => None,
    };
    let bytes = held.as_ref().map(|held| held.bytes.clone()).unwrap_or_default();
    let schema = Some(Methods::all().schemas().message(&method.input()));
    let beside = Beside { query: parts.uri.query(), captured: &[], schema };
    let text = body::input(kind, bytes, beside).await?;
    Ok(body::parsed(&text)?)
}

/// Goes on behind the last event that was seen, where a stream can begin at a revision.
fn resume(method: &Method, parts: &Parts, json: &mut Value) -> Result<(), Refusal> {
    let Some(last) = parts.headers.get(LAST_EVENT_ID) else { return Ok(()) };
    let resumable = method.is_stream() && method.input().get_field_by_name(events::FROM).is_some();
    let Some(object) = json.as_object_mut().filter(|_| resumable) else { return Ok(()) };
    let last: u64 = last.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
        Refusal::from(Fault::new(Code::Usage, format!("the last event id is {last:?}, which is no revision")))
    })?;
    object.insert(events::FROM.to_owned(), last.saturating_add(1).into());
    Ok(())
}

/// Asks the service as a gRPC client would, in this process.
async fn ask(
    door: &Door,
    entry: &Entry<'_>,
    method: &Method,
    message: Vec<u8>,
) -> http::Response<tonic::body::Body> {
    let body = tonic::body::Body::new(Full::new(framed(&message)));
    let mut request = Request::new(body);
    *request.method_mut() = HttpMethod::POST;
    *request.uri_mut() = method.uri().clone();
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Some(deadline) = entry.context.deadline
        && let Ok(timeout) = HeaderValue::from_str(&format!("{}m", deadline.as_millis()))
    {
        headers.insert("grpc-timeout", timeout);
    }
    if let Some(trace) = entry.context.trace.map(|trace| trace.to_string())
        && let Ok(parent) = HeaderValue::from_str(&format!("00-{trace}-{}-01", &trace[16..]))
    {
        headers.insert("traceparent", parent);
    }
    let extensions = request.extensions_mut();
    extensions.insert(entry.context.caller.clone());
    extensions.insert(entry.context.origin);
    entry.context.token.iter().for_each(|token| drop(extensions.insert(token.clone())));
    match door.services.clone().call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
