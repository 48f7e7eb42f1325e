//! Calls of people's services whose request or answer is a stream: as lines of JSON, as events for pages, or over a
//! WebSocket.
//!
//! ```text
//! body, query, lines, or messages of a socket ─► gRPC with JSON in it ─► the service ─► lines, events, or messages
//! ```
//!
//! Nothing is gathered: the next message is asked for when there is room for it. What goes wrong before the first
//! message is a problem like any other; behind it, it is told where messages are.

mod lines;
mod socket;
mod talk;
mod told;

pub(super) use socket::{PROTOCOL, has_word, is_begun as is_socket};
pub(super) use talk::{Call, Talk};

use super::{
    Door, Entry,
    call::{answered, input},
    problem::Refusal,
    routes::Target,
};
use crate::doors::grpc::Target as Called;
use axum::{body::Body, response::Response};
use futures::{future::ready, stream};
use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, CONTENT_TYPE},
    request::Parts,
};
use micro_sdk::wire::{Code, Fault, Streams};
use std::time::Duration;
use tokio::time::timeout;

/// The last event that a page has seen of a stream that broke off.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The longest message of a caller: what it sends in one piece is counted against the room for bodies, but messages
/// come without an end.
const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// How long the head of an answer waits for the first message, which may be a refusal: then it can still be a status.
/// Longer, and pages and proxies would take it for a service that is not there.
const HEAD_PATIENCE: Duration = Duration::from_secs(1);
/// How long a caller may take for what it is sent, before it is left: it holds a place that others wait for.
const STALLED: Duration = Duration::from_secs(60);

/// Begins a conversation with what a path names, and answers as it goes on.
///
/// # Errors
/// As for a call, and why a WebSocket can't be opened.
pub(super) async fn answer(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
    target: Target,
    streams: Streams,
) -> Result<Response, Refusal> {
    let carried = carried(&parts.headers)?;
    let called = Called {
        namespace: entry.namespace.clone(),
        service: target.service.clone(),
        endpoint: target.endpoint.clone(),
    };
    if socket::is_asked_for(&parts.headers) {
        let alone = parts.uri.query().is_none() && target.captured.is_empty();
        let first = match alone {
            true => None,
            false => Some(input(door, entry, parts, Body::empty(), &target).await?.0),
        };
        let call = Call { services: door.services.clone(), context: entry.context.clone(), called, carried };
        return socket::open(parts, call, streams, first);
    }
    let call = Call { services: door.services.clone(), context: entry.context.clone(), called, carried };
    let mut talk = match streams.client && lines::are_sent(&parts.headers) {
        true => call.begin(lines::messages(body)).await?,
        false => {
            let (message, _held) = input(door, entry, parts, body, &target).await?;
            call.begin(stream::once(ready(Ok(message)))).await?
        }
    };
    if !streams.server {
        return sole(talk).await;
    }
    let first = match timeout(HEAD_PATIENCE, talk.next()).await {
        Ok(first) => Some(first?),
        Err(_later) => None,
    };
    Ok(told::told(first, talk, told::Form::asked_for(&parts.headers)))
}

/// What is answered once, to any number of messages.
async fn sole(mut talk: Talk) -> Result<Response, Refusal> {
    let answer = talk.next().await?;
    let answer = answer.ok_or_else(|| Fault::new(Code::Failed, "the service gave no answer"))?;
    // What comes behind it says whether it counts.
    talk.next().await?;
    Ok(answered(answer))
}

/// Says that the messages are JSON.
pub(super) fn in_json() -> (String, String) {
    (CONTENT_TYPE.as_str().to_owned(), "application/grpc+json".to_owned())
}

/// What goes to the service beside the messages.
fn carried(headers: &HeaderMap) -> Result<Vec<(String, String)>, Fault> {
    let mut carried = vec![in_json()];
    if let Some(last) = headers.get(LAST_EVENT_ID) {
        let unfit = |_| Fault::new(Code::Usage, format!("the last event id {last:?} can't be passed on"));
        carried.push((LAST_EVENT_ID.as_str().to_owned(), last.to_str().map_err(unfit)?.to_owned()));
    }
    Ok(carried)
}

/// Whether a caller asks for events.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    let lists = headers.get_all(ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("text/event-stream"));
        // With a weight of nothing it is named to be left out (RFC 9110, 12.4.2).
        let weights = parts.filter_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
        named && weights.into_iter().all(|weight| weight > 0.0)
    })
}
