//! A WebSocket of a service that takes HTTP as it is: the handshake is the service's, and bytes go both ways unread.

use super::{connection::Arrival, stream};
use crate::doors::credentials::is_bearer_protocol;
use axum::{body::Body, response::Response};
use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    request::Parts,
};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::Frame,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use micro_actors::Body as Carried;
use micro_sdk::wire::Fault;
use std::{
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    sync::mpsc,
    time::{sleep, timeout},
};

/// What is read at once, as long as the largest frame of HTTP/2 by default.
const PIECE_BYTES: usize = 16 << 10;
/// How many pieces wait for a service that is slow to read.
const PIECES_MAX: usize = 4;
/// How long the connection may take to become a WebSocket, and how long what the service says last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a caller may take for a piece of what it is sent, before it is left: it holds a place that others wait for.
const STALLED: Duration = Duration::from_secs(60);
/// How long both sides may be silent, at least: programs ask each other much sooner whether they live, and one whose
/// host has lost its power never closes anything.
const SILENCE_MAX: Duration = Duration::from_secs(3600);

/// One that is about to begin.
pub(super) struct Tunnel {
    upgrade: OnUpgrade,
    arrival: Option<Arrival>,
    /// Whether the caller named the protocol of this door, beside which it shows who it is.
    named: bool,
    said: mpsc::Sender<Result<Frame<Bytes>, Fault>>,
}

impl Tunnel {
    /// For a request that can't be anything but the beginning of one, with what stands for its body: what the caller
    /// will say. None for other requests.
    pub fn of(parts: &Parts) -> Option<(Tunnel, Carried)> {
        let upgrade = parts.extensions.get::<OnUpgrade>().cloned().filter(|_| stream::is_socket(parts))?;
        let (said, mut saying) = mpsc::channel(PIECES_MAX);
        let body = StreamBody::new(futures::stream::poll_fn(move |context| saying.poll_recv(context)));
        let named = stream::has_word(&parts.headers, SEC_WEBSOCKET_PROTOCOL, stream::PROTOCOL);
        let arrival = parts.extensions.get::<Arrival>().cloned();
        Some((Tunnel { upgrade, arrival, named, said }, body.boxed_unsync()))
    }

    /// What of a handshake is for the service: all but what is for the door.
    pub fn handshake(headers: &HeaderMap) -> Vec<(String, String)> {
        let own = |protocol: &&str| *protocol != stream::PROTOCOL && !is_bearer_protocol(protocol);
        let passed =
            [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL];
        let said =
            passed.iter().flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)));
        let said = said.filter_map(|(name, value)| {
            let value = value.to_str().ok()?;
            let value = match *name == SEC_WEBSOCKET_PROTOCOL {
                true => value.split(',').map(str::trim).filter(own).collect::<Vec<_>>().join(", "),
                false => value.to_owned(),
            };
            (!value.is_empty()).then(|| (name.to_string(), value))
        });
        said.collect()
    }

    /// Passes the answer of the service on. If it agrees, all that follows goes both ways.
    pub fn open(self, answer: Response<Carried>) -> Response {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return answer.map(Body::new);
        }
        let (head, heard) = answer.into_parts();
        let named = self.named;
        tokio::spawn(self.run(heard));
        let mut response = Response::from_parts(head, Body::empty());
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        // A page that names a protocol wants to be told of one.
        if named {
            let own = HeaderValue::from_static(stream::PROTOCOL);
            headers.entry(SEC_WEBSOCKET_PROTOCOL).or_insert(own);
        }
        response
    }

    async fn run(self, heard: Carried) {
        let Tunnel { upgrade, arrival, said, .. } = self;
        // The place of the connection is taken for as long as this goes on.
        let _arrival = arrival;
        let Ok(Ok(upgraded)) = timeout(PATIENCE, upgrade).await else {
            tracing::debug!("a connection did not become a WebSocket");
            return;
        };
        let (reader, writer) = split(TokioIo::new(upgraded));
        let moved = AtomicBool::new(false);
        let ended = async {
            let hearing = pin!(hear(writer, heard, &moved));
            let saying = pin!(say(reader, said, &moved));
            // Nobody listens to the caller once the service has ended; the service is given a moment for its last words
            // once the caller has gone.
            if let Either::Right(((), hearing)) = select(hearing, saying).await {
                let _ = timeout(PATIENCE, hearing).await;
            }
        };
        select(pin!(ended), pin!(silent(&moved))).await;
    }
}

/// Passes on what the caller says, until it or the service has gone.
async fn say(
    mut reader: ReadHalf<TokioIo<Upgraded>>,
    said: mpsc::Sender<Result<Frame<Bytes>, Fault>>,
    moved: &AtomicBool,
) {
    loop {
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        if !matches!(reader.read_buf(&mut piece).await, Ok(1..)) {
            return;
        }
        moved.store(true, Ordering::Relaxed);
        if said.send(Ok(Frame::data(piece.freeze()))).await.is_err() {
            return;
        }
    }
}

/// Passes on what the service says, until it or the caller has gone.
async fn hear(mut writer: WriteHalf<TokioIo<Upgraded>>, mut heard: Carried, moved: &AtomicBool) {
    while let Some(Ok(frame)) = heard.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        moved.store(true, Ordering::Relaxed);
        if !matches!(timeout(STALLED, writer.write_all(&data)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _ = timeout(PATIENCE, writer.shutdown()).await;
}

/// Returns once nothing has moved for so long, or for twice as long.
async fn silent(moved: &AtomicBool) {
    loop {
        sleep(SILENCE_MAX).await;
        if !moved.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_shows_to_say_who_it_is_goes_to_no_service() {
        let mut headers = HeaderMap::new();
        headers.append(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        for list in ["micro-node.v1, bearer.a.b.c, chat", "bearer.d"] {
            headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(list));
        }
        let passed = Tunnel::handshake(&headers);
        let expected =
            [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), ("sec-websocket-protocol", "chat")];
        assert_eq!(passed, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
