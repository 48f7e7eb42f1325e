//! Answers that go on: as events for pages (Server-Sent Events, WHATWG HTML 9.2), or as a line of JSON each.
//!
//! Nothing is gathered here: the next message is asked for once the caller has room for it.

use super::{super::problem::in_band, answers::Answers, message};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::stream;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use micro_sdk::wire::Fault;
use prost_reflect::DynamicMessage;
use serde_json::Value;
use std::{convert::Infallible, time::Duration};
use tokio::{sync::watch, time::sleep};

/// The field of a request that says from which revision on.
pub(super) const FROM: &str = "from_revision";
/// How often a silent stream says that it lives: proxies give up on connections that are silent for a minute or so.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A comment, which pages ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// A stream that is being told.
struct Telling {
    first: Option<DynamicMessage>,
    answers: Answers,
    /// As events, else as lines.
    events: bool,
    draining: watch::Receiver<bool>,
    ended: bool,
}

/// The answer that tells `first`, and then all others.
pub(super) fn stream(
    first: Option<DynamicMessage>,
    answers: Answers,
    events: bool,
    draining: watch::Receiver<bool>,
) -> Response {
    let ended = first.is_none();
    let telling = Telling { first, answers, events, draining, ended };
    let pieces = stream::unfold(telling, |mut telling| async move {
        let piece = telling.next().await?;
        Some((Ok::<_, Infallible>(piece), telling))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let kind = if events { "text/event-stream" } else { "application/x-ndjson" };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(self.told(&first));
        }
        if self.ended {
            return None;
        }
        let next = tokio::select! {
            biased;
            next = self.answers.next() => next,
            _ = self.draining.wait_for(|draining| *draining) => Ok(None),
            () = sleep(KEEP_ALIVE), if self.events => return Some(COMMENT),
        };
        match next {
            Ok(Some(message)) => Some(self.told(&message)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(fault) => {
                self.ended = true;
                Some(self.failed(&fault))
            }
        }
    }

    fn told(&self, message: &DynamicMessage) -> Bytes {
        let json = message::write(message);
        if !self.events {
            return format!("{json}\n").into();
        }
        match revision(&json) {
            Some(revision) => format!("id: {revision}\ndata: {json}\n\n").into(),
            None => format!("data: {json}\n\n").into(),
        }
    }

    fn failed(&self, fault: &Fault) -> Bytes {
        let json = in_band(fault);
        match self.events {
            true => format!("event: error\ndata: {json}\n\n").into(),
            false => format!("{json}\n").into(),
        }
    }
}

/// The revision up to which a message of a watch tells everything.
fn revision(json: &Value) -> Option<u64> {
    let within = |name: &str| json.get(name)?.get("revision")?.as_u64();
    within("changes").or_else(|| within("mark"))
}
