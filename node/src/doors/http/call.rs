//! A call of a person's service: `/SERVICE/METHOD`, or a path of its own. Where the endpoint is a stream, what is below
//! `stream` goes on.

use super::{
    Door, Entry,
    body::{self, Beside, Held, Kind},
    path::Path,
    problem::Refusal,
    raw,
    routes::{METHODS, Target},
    stream,
};
use crate::request::Schema;
use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    request::Parts,
};
use micro_actors::RAW;
use micro_sdk::wire::{Code, Fault, Head};

/// The longest key by which calls go to the same instance: what is longer is no name of anything.
const STICKY_BYTES_MAX: usize = 1024;

/// Calls what a path names, and answers with what it answers.
///
/// # Errors
/// 404, 405, 413, 415, 400 for a request that is none; else what the service answers.
pub(super) async fn call(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    // A slash at the end means something to some of those that take HTTP as it is, and is a mistake to all others.
    let whole = parts.uri.path();
    let slashed = whole.strip_suffix('/').filter(|rest| !rest.is_empty());
    let path = Path::parse(slashed.unwrap_or(whole))?;
    // What may be asked by GET may be asked for its head alone (RFC 9110, 9.1).
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    let find = || door.routes().find(&entry.namespace, entry.host, method, &path);
    let mut found = find();
    let is_known = found.as_ref().is_ok_and(|target| target.offer.is_some());
    if !is_known && door.local.started().await {
        found = find();
    }
    if let Ok(Target { service, endpoint, .. }) = &found
        && endpoint == RAW
    {
        let path = raw::canonical(&path, slashed.is_some());
        return Box::pin(raw::answer(door, entry, parts, body, service.clone(), path)).await;
    }
    Path::parse(whole)?;
    let target = found?;
    // Nothing is read of those who may not call it; and of what is not there they do not learn that it is not.
    door.may_call(entry, &target.service, &target.endpoint)?;
    if target.offer.is_none() {
        // Only dispatch knows why a service is not to be had; nothing is read for one that is not.
        door.local.knows(&entry.namespace, &target.service)?;
        if !matches!(*method, Method::GET | Method::POST) {
            return Err(Refusal::method(&parts.method, METHODS));
        }
    }
    let streams = target.offer.as_ref().map(|offer| offer.streams_of(&target.endpoint)).unwrap_or_default();
    if streams.any() {
        if parts.method == Method::HEAD {
            return Err(Refusal::method(&parts.method, "GET, POST"));
        }
        return Box::pin(stream::answer(door, entry, parts, body, target, streams)).await;
    }
    if stream::is_socket(parts) {
        let (service, endpoint) = (&target.service, &target.endpoint);
        let message = format!("{service}/{endpoint} has one request and one answer, and takes no WebSocket");
        return Err(Fault::new(Code::Usage, message).help("POST the request as JSON").into());
    }
    let (input, _held) = input(door, entry, parts, body, &target).await?;
    let mut head = door.local.head(&entry.context, target.service, &target.endpoint);
    head.namespace = entry.namespace.clone();
    head.metadata = sticky(door, &head, parts);
    let answer = door.local.call(entry.context.origin, head, input).await?;
    Ok(answered(answer.body))
}

/// The header by which calls of the service go to the same instance, if there is one: nothing else of the request is
/// sent along.
fn sticky(door: &Door, head: &Head, parts: &Parts) -> Vec<(String, String)> {
    let Some(name) = door.local.sticky_header(&head.namespace, &head.service) else { return Vec::new() };
    let value = parts.headers.get(&name).and_then(|value| value.to_str().ok());
    let value = value.filter(|value| value.len() <= STICKY_BYTES_MAX);
    value.map(|value| (name, value.to_owned())).into_iter().collect()
}

/// What the endpoint is given, and the room of the body that it came from.
pub(super) async fn input(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
    target: &Target,
) -> Result<(Bytes, Option<Held>), Refusal> {
    let (kind, held) = match body::has_body(&parts.method) {
        true => {
            let kind = Kind::of(&parts.headers)?;
            // Whoever comes so far may call it.
            let held = door.shared.room.collect(&parts.headers, body, entry.context.time(), || Ok(()));
            (kind, Some(held.await?))
        }
        false => (Kind::Json, None),
    };
    let bytes = held.as_ref().map(|held| held.bytes.clone()).unwrap_or_default();
    let mut beside = Beside { query: parts.uri.query(), captured: &target.captured, schema: None };
    let typed = kind != Kind::Json || beside.query.is_some() || !beside.captured.is_empty();
    if let Some(offer) = target.offer.as_ref().filter(|_| typed) {
        let described = Box::pin(offer.described(&door.local)).await;
        let found = described.iter().find(|described| described.endpoint.name == target.endpoint);
        beside.schema = found.map(|described| Schema::of(&described.request));
    }
    Ok((body::input(kind, bytes, beside).await?, held))
}

/// An answer in JSON, or 204 for one of nothing.
pub(super) fn answered(body: Bytes) -> Response {
    let empty = body.is_empty();
    let mut response = Response::new(Body::from(body));
    if empty {
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // What a call answers now says nothing of what it answers next (RFC 9111, 5.2.2.5).
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
