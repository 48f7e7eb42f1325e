//! What a service answers, as lines of JSON, or as events for pages (Server-Sent Events, WHATWG HTML 9.2).

use super::{super::problem::in_band, LAST_EVENT_ID, STALLED, talk::Talk, wants_events};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::stream;
use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use micro_sdk::wire::{Code, Fault};
use serde_json::Value;
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

/// How often a silent stream of events says that it lives: proxies give up on connections that are silent for a minute
/// or so, and of a page that is gone one only learns by writing to it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a stream of lines may be silent, which can say nothing else than lines.
const SILENCE_MAX: Duration = Duration::from_secs(3600);
/// A comment, which pages ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
/// Says that there is no more. A page that hears nothing of it would ask again.
const END: Bytes = Bytes::from_static(b"event: end\ndata: {}\n\n");

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A message is a line.
    Lines,
    /// A message is an event, the first of them with the number behind this one.
    Events(u64),
}

impl Form {
    /// What a caller takes. Events are numbered behind the last one that it has seen.
    pub fn asked_for(headers: &HeaderMap) -> Self {
        let last = headers.get(LAST_EVENT_ID).and_then(|last| last.to_str().ok()?.parse().ok());
        if wants_events(headers) { Form::Events(last.unwrap_or(0)) } else { Form::Lines }
    }

    fn kind(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Form::Lines => "application/x-ndjson",
            Form::Events(_) => "text/event-stream",
        })
    }

    fn message(&mut self, message: &Bytes) -> Bytes {
        let Form::Events(number) = self else { return [message, &b"\n"[..]].concat().into() };
        *number += 1;
        let id = own_id(message).unwrap_or_else(|| number.to_string());
        [b"id: ", id.as_bytes(), b"\ndata: ", message, b"\n\n"].concat().into()
    }

    fn failure(self, fault: &Fault) -> Bytes {
        let json = in_band(fault);
        match self {
            Form::Lines => format!("{json}\n").into(),
            Form::Events(_) => format!("event: error\ndata: {json}\n\n").into(),
        }
    }
}

/// What a message calls itself: its field `id`, if that can be the id of an event.
fn own_id(message: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(message).ok()?.get("id")? {
        Value::String(id) => Some(id.clone()).filter(|id| !id.is_empty() && !id.contains(char::is_control)),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// The answer that tells `first`, if that has come, and then all others. None of it is the end.
pub(super) fn told(first: Option<Option<Bytes>>, talk: Talk, form: Form) -> Response {
    let (sender, receiver) = mpsc::channel(1);
    let (stall, stalled) = oneshot::channel();
    tokio::spawn(async move {
        if (Telling { first, talk, form, over: false }).run(&sender).await.is_err() {
            let _ = stall.send(());
        }
    });
    let pieces = stream::unfold(Some((receiver, stalled)), |state| async move {
        let (mut receiver, mut stalled) = state?;
        match receiver.recv().await {
            Some(piece) => Some((Ok(piece), Some((receiver, stalled)))),
            // A body that only ended would look as if it were whole.
            None => stalled
                .try_recv()
                .is_ok()
                .then(|| (Err(std::io::Error::other("the reader is too slow")), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.kind());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A stream that is being told.
struct Telling {
    first: Option<Option<Bytes>>,
    talk: Talk,
    form: Form,
    over: bool,
}

/// The caller takes nothing.
struct Stalled;

impl Telling {
    /// Tells until there is no more, or nobody listens any more.
    async fn run(mut self, sender: &mpsc::Sender<Bytes>) -> Result<(), Stalled> {
        loop {
            let piece = tokio::select! {
                biased;
                () = sender.closed() => return Ok(()),
                piece = self.next() => piece,
            };
            let Some(piece) = piece else { return Ok(()) };
            match timeout(STALLED, sender.send(piece)).await {
                Ok(Ok(())) => {}
                Ok(Err(_gone)) => return Ok(()),
                Err(_late) => return Err(Stalled),
            }
        }
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let patience = if self.form == Form::Lines { SILENCE_MAX } else { KEEP_ALIVE };
        let next = match self.first.take() {
            Some(first) => Ok(first),
            None => tokio::select! {
                biased;
                next = self.talk.next() => next,
                () = sleep(patience) => match self.form {
                    Form::Events(_) => return Some(COMMENT),
                    Form::Lines => Err(Fault::new(Code::Timeout, format!("nothing was said for {SILENCE_MAX:?}"))),
                },
            },
        };
        match next {
            Ok(Some(message)) => Some(self.form.message(&message)),
            Ok(None) => {
                self.over = true;
                (self.form != Form::Lines).then_some(END)
            }
            Err(fault) => {
                self.over = true;
                Some(self.form.failure(&fault))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ACCEPT;

    #[test]
    fn messages_are_lines_or_events_with_ids() {
        let message = Bytes::from_static(b"{\"count\":1}");
        assert_eq!(Form::Lines.message(&message), "{\"count\":1}\n");
        let mut events = Form::Events(7);
        assert_eq!(events.message(&message), "id: 8\ndata: {\"count\":1}\n\n");
        let named = Bytes::from_static(b"{\"id\":\"a-1\"}");
        assert_eq!(events.message(&named), "id: a-1\ndata: {\"id\":\"a-1\"}\n\n");
        assert_eq!(events.message(&message), "id: 10\ndata: {\"count\":1}\n\n");
        for unfit in [&b"{\"id\":\"a\\nb\"}"[..], b"{\"id\":\"\"}", b"{\"id\":{}}", b"[1]"] {
            assert_eq!(own_id(unfit), None);
        }
        let failed = Form::Events(0).failure(&Fault::new(Code::Conflict, "no"));
        assert!(
            failed.starts_with(b"event: error\ndata: {\"error\":{") && failed.ends_with(b"}\n\n"),
            "{failed:?}"
        );
    }

    #[test]
    fn who_asks_for_events_has_them_from_where_they_were() {
        let form = |pairs: &[(http::HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            Form::asked_for(&pairs.collect())
        };
        assert_eq!(form(&[(ACCEPT, "*/*")]), Form::Lines);
        assert_eq!(form(&[(ACCEPT, "text/event-stream")]), Form::Events(0));
        assert_eq!(form(&[(ACCEPT, "application/json, Text/Event-Stream; q=0.5")]), Form::Events(0));
        assert_eq!(form(&[(ACCEPT, "application/x-ndjson, text/event-stream;q=0")]), Form::Lines);
        assert_eq!(form(&[(ACCEPT, "text/event-stream"), (LAST_EVENT_ID, "41")]), Form::Events(41));
        assert_eq!(form(&[(ACCEPT, "text/event-stream"), (LAST_EVENT_ID, "a-1")]), Form::Events(0));
    }
}
