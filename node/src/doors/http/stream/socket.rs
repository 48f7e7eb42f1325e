//! A conversation over a WebSocket (RFC 6455): each message of text is one of JSON, both ways.
//!
//! An empty message says that the caller has no more to say; a close ends all. What goes wrong is told in a last
//! message, and in the code of the close:
//!
//! | code | why |
//! |---|---|
//! | 1000 | the service has no more to say |
//! | 1003 | a message was not text |
//! | 1007 | a message was not JSON |
//! | 1008 | it is not allowed, or not any more; or the request is wrong |
//! | 1009 | a message was too long |
//! | 1011 | the service failed |
//! | 1013 | nobody can do it just now, or the node stops: try again |

use super::{
    MESSAGE_BYTES_MAX, STALLED,
    talk::{Call, checked},
};
use crate::doors::http::{
    connection::Arrival,
    problem::{Refusal, in_band},
};
use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures::{
    Sink, SinkExt, Stream, StreamExt,
    future::{Either, select},
    stream,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
        UPGRADE,
    },
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use micro_sdk::wire::{Code, Fault, Streams};
use std::{pin::pin, time::Duration};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::CapacityError,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// The protocol that pages name which show their token beside it.
pub(in super::super) const PROTOCOL: &str = "micro-node.v1";
/// The version of the protocol that there is.
const VERSION: &str = "13";
/// How often the caller is asked whether it lives, and how long it may be silent: it answers each time.
const PING: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long the connection may take to become a WebSocket, and how long the caller to say good-bye.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest reason of a close.
const REASON_BYTES_MAX: usize = 123;

/// Whether a request wants to be one.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_word(headers, UPGRADE, "websocket")
}

/// Whether a request can't be anything but the beginning of one (RFC 6455, 4.1). An upgrade that is not offered is
/// ignored elsewhere (RFC 9110, 7.8).
pub(in super::super) fn is_begun(parts: &Parts) -> bool {
    let headers = &parts.headers;
    parts.method == Method::GET && is_asked_for(headers) && has_word(headers, CONNECTION, "upgrade")
}

/// Whether a header with a list has this word in it.
pub(in super::super) fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// The answer that makes a connection a WebSocket. `first` is what the request itself says.
///
/// # Errors
/// 400 for a handshake that is none, 426 for another version of the protocol.
pub(super) fn open(
    parts: &Parts,
    call: Call,
    streams: Streams,
    first: Option<Bytes>,
) -> Result<Response, Refusal> {
    let key = handshake(parts)?;
    let upgrade = parts.extensions.get::<OnUpgrade>().cloned();
    let upgrade = upgrade.ok_or_else(|| bad("this connection can't become a WebSocket"))?;
    let arrival = parts.extensions.get::<Arrival>().cloned();
    tokio::spawn(async move {
        // The place of the connection is taken for as long as this goes on.
        let _arrival = arrival;
        match timeout(PATIENCE, upgrade).await {
            Ok(Ok(upgraded)) => {
                let mut config = WebSocketConfig::default();
                // What is a little too long is read, and refused; what is more is cut off, which loses the reason.
                config.max_message_size = Some(2 * MESSAGE_BYTES_MAX);
                config.max_frame_size = Some(2 * MESSAGE_BYTES_MAX);
                let io = TokioIo::new(upgraded);
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
                converse(socket, call, streams, first).await;
            }
            _ => tracing::debug!("a connection did not become a WebSocket"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    if has_word(&parts.headers, SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

fn bad(message: &str) -> Refusal {
    Refusal::of(StatusCode::BAD_REQUEST, message)
}

/// What answers the key of a handshake (RFC 6455, 4.2).
fn handshake(parts: &Parts) -> Result<HeaderValue, Refusal> {
    if parts.method != Method::GET || parts.version != Version::HTTP_11 {
        return Err(bad("a WebSocket begins with a GET of HTTP/1.1"));
    }
    if !has_word(&parts.headers, CONNECTION, "upgrade") {
        return Err(bad("the header Connection does not say upgrade"));
    }
    if parts.headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(Refusal::upgrade("WebSockets of another version than 13 are not spoken here", VERSION));
    }
    let key = parts.headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let key = key.ok_or_else(|| bad("the header Sec-WebSocket-Key is missing, or is no key"))?;
    HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| bad("the key can't be answered"))
}

/// How it ended.
#[derive(Debug)]
enum Ended {
    /// The service has no more to say.
    Said,
    /// Why it can't go on, and the code that says so.
    Failed(Fault, CloseCode),
    /// The caller has gone away.
    Gone,
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        let code = match fault.code {
            Code::Usage | Code::Denied | Code::NotFound => CloseCode::Policy,
            Code::Unavailable | Code::Unreachable | Code::Limited | Code::Overloaded => CloseCode::Again,
            _ => CloseCode::Error,
        };
        Ended::Failed(fault, code)
    }
}

/// Talks until one side has said all, or goes away.
async fn converse<S>(socket: S, call: Call, streams: Streams, first: Option<Bytes>)
where
    S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + Unpin,
{
    let (mut sink, mut source) = socket.split();
    let (sender, mut receiver) = mpsc::channel(1);
    let sender = (streams.client || first.is_none()).then_some(sender);
    let said = stream::iter(first.map(Ok)).chain(stream::poll_fn(move |context| receiver.poll_recv(context)));
    let ended = {
        let telling = pin!(tell(&mut sink, call, said));
        let hearing = pin!(hear(&mut source, sender, streams));
        match select(telling, hearing).await {
            Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
        }
    };
    let frame = match ended {
        Ended::Gone => return,
        Ended::Said => CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() },
        Ended::Failed(fault, code) => {
            if send(&mut sink, Message::text(in_band(&fault).to_string())).await.is_err() {
                return;
            }
            let length = fault.message.floor_char_boundary(REASON_BYTES_MAX);
            CloseFrame { code, reason: fault.message[..length].to_owned().into() }
        }
    };
    if send(&mut sink, Message::Close(Some(frame))).await.is_ok() {
        // What is still on its way is not waited for.
        let good_bye = async { while let Some(Ok(_)) = source.next().await {} };
        let _ = timeout(PATIENCE, good_bye).await;
    }
}

/// Tells what the service says, and asks whether the caller is there.
async fn tell<S>(
    sink: &mut S,
    call: Call,
    said: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static,
) -> Ended
where
    S: Sink<Message, Error = Error> + Unpin,
{
    // The service may have nothing to say, not even a head, before it has heard all.
    let mut begun = pin!(call.begin(said));
    let mut talk = loop {
        tokio::select! {
            biased;
            begun = &mut begun => match begun {
                Ok(talk) => break talk,
                Err(refusal) => return refusal.into_fault().into(),
            },
            () = sleep(PING) => if send(sink, Message::Ping(Bytes::new())).await.is_err() {
                return Ended::Gone;
            },
        }
    };
    loop {
        let message = tokio::select! {
            biased;
            next = talk.next() => match next {
                Ok(Some(message)) => Utf8Bytes::try_from(message).map(Message::Text),
                Ok(None) => return Ended::Said,
                Err(fault) => return fault.into(),
            },
            () = sleep(PING) => Ok(Message::Ping(Bytes::new())),
        };
        // What is JSON is UTF-8.
        let Ok(message) = message else { continue };
        if send(sink, message).await.is_err() {
            return Ended::Gone;
        }
    }
}

/// Sends a message, if the caller takes it in time.
async fn send<S: Sink<Message, Error = Error> + Unpin>(sink: &mut S, message: Message) -> Result<(), ()> {
    timeout(STALLED, sink.send(message)).await.map_err(drop)?.map_err(drop)
}

/// Hears what the caller says, for as long as it is there. `sender` is none once it has said all that it may.
async fn hear<S>(
    source: &mut S,
    mut sender: Option<mpsc::Sender<Result<Bytes, Fault>>>,
    streams: Streams,
) -> Ended
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    loop {
        let message = match timeout(SILENCE_MAX, source.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. })))) => return too_long(),
            Ok(Some(Err(_)) | None) | Err(_) => return Ended::Gone,
        };
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => {
                return Ended::Failed(
                    Fault::new(Code::Usage, "a message is not text"),
                    CloseCode::Unsupported,
                );
            }
            Message::Close(_) => return Ended::Gone,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        if text.len() > MESSAGE_BYTES_MAX {
            return too_long();
        }
        if text.is_empty() {
            sender = None;
            continue;
        }
        let Some(listener) = &sender else {
            return Fault::new(Code::Usage, "there was a message behind the last one").into();
        };
        match checked(text.into()) {
            // Should nobody listen any more, the service says why.
            Ok(message) => drop(listener.send(Ok(message)).await),
            Err(fault) => return Ended::Failed(fault, CloseCode::Invalid),
        }
        if !streams.client {
            sender = None;
        }
    }
}

fn too_long() -> Ended {
    let message = format!("a message is longer than the limit of {MESSAGE_BYTES_MAX} bytes");
    Ended::Failed(Fault::new(Code::Usage, message), CloseCode::Size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(pairs: &[(&'static str, &'static str)]) -> Parts {
        let mut request = Request::get("/a").body(()).expect("a request");
        for (name, value) in pairs {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request.into_parts().0
    }

    const KEY: (&str, &str) = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");

    #[test]
    fn a_handshake_is_answered_as_the_rfc_has_it() {
        let asked = parts(&[
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            KEY,
        ]);
        assert!(is_asked_for(&asked.headers));
        assert_eq!(handshake(&asked).expect("a good one"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        let (upgrade, connection) = (("upgrade", "websocket"), ("connection", "upgrade"));
        for (pairs, status) in [
            (&[upgrade, ("sec-websocket-version", "13"), KEY][..], 400),
            (&[upgrade, connection, ("sec-websocket-version", "8"), KEY], 426),
            (&[upgrade, connection, KEY], 426),
            (&[upgrade, connection, ("sec-websocket-version", "13")], 400),
            (&[upgrade, connection, ("sec-websocket-version", "13"), ("sec-websocket-key", "x")], 400),
        ] {
            let refusal = handshake(&parts(pairs)).expect_err("it is none");
            let response = refusal.into_response(micro_sdk::wire::TraceId(1));
            assert_eq!(response.status().as_u16(), status, "{pairs:?}");
        }
    }
}
