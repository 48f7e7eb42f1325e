//! One HTTP/2 connection of a gRPC door, from its handshake to its end.
//!
//! It stands on h2 itself. A server around that would carry each request through one more task and several more
//! types, for things that gRPC has no use for: HTTP/1, upgrades, dates.

use super::{exchange::Exchange, gathered::Gathered, resets::Resets};
use crate::doors::acceptor::{KEEP_ALIVE, STREAMS_MAX};
use bytes::Bytes;
use h2::{Ping, PingPong, Reason, server};
use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, Sleep, sleep, timeout},
};

/// How long a client may take to begin: it has to send 24 bytes and its settings.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client may send ahead on one stream, and on all of them together: enough for a blob to fill a fast link.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// What short messages that wait may cost beside their bytes, each as much as lacks to 256. It is enough for a stream
/// whose window is full of the shortest that gRPC has, of six bytes: a handler that is slow must not cost its caller
/// the connection.
const DATA_FRAME_BUDGET: usize = 48 << 20;
/// How much of an answer may wait for a client that is slow to read: what more there is stays where it comes from.
const SEND_BUFFER: usize = 256 << 10;
/// How many requests may have been taken back before they were looked at, and how many streams may be in error by the
/// client's fault.
const RESETS_MAX: usize = 20;
const FAULTS_MAX: usize = 256;
/// The headers of one request. They are read before it is known who sends them.
const HEADERS_BYTES_MAX: u32 = 16 << 10;

/// A connection that requests come in on.
pub(in crate::doors) struct Connection<S> {
    http2: server::Connection<Gathered<S>, Bytes>,
    keep_alive: KeepAlive,
    draining: watch::Receiver<bool>,
    resets: Arc<Resets>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Greets a client on `stream`.
    ///
    /// # Errors
    /// If it does not speak HTTP/2, or says nothing for ten seconds.
    pub async fn open(stream: S, draining: watch::Receiver<bool>) -> io::Result<Self> {
        let mut builder = server::Builder::new();
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .data_frame_budget(DATA_FRAME_BUDGET)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(HEADERS_BYTES_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_local_error_reset_streams(Some(FAULTS_MAX));
        let greeting = builder.handshake(Gathered(stream));
        let mut http2 = timeout(HANDSHAKE_TIMEOUT, greeting).await?.map_err(io::Error::other)?;
        let pings = http2.ping_pong().ok_or_else(|| io::Error::other("the pings are taken"))?;
        let resets = Arc::default();
        Ok(Connection { http2, keep_alive: KeepAlive::new(pings), draining, resets })
    }

    /// Hands each request to `take`, which must not wait, until the client goes, or the node drains and what was
    /// begun is done.
    ///
    /// # Errors
    /// If the connection broke; [`io::ErrorKind::QuotaExceeded`] if the client took too many requests back.
    pub async fn serve(self, mut take: impl FnMut(Exchange)) -> io::Result<()> {
        let Connection { mut http2, mut keep_alive, mut draining, resets } = self;
        let mut drain = pin!(async move { drop(draining.wait_for(|draining| *draining).await) });
        let (mut closing, mut calmed) = (false, false);
        poll_fn(|context| {
            if !closing && drain.as_mut().poll(context).is_ready() {
                closing = true;
                http2.graceful_shutdown();
            }
            // To drop the connection tells everybody who waits for something of it.
            if keep_alive.poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            loop {
                if !calmed && resets.exhausted() {
                    calmed = true;
                    http2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
                match ready!(http2.poll_accept(context)) {
                    // What is dropped is reset.
                    Some(Ok(_)) if calmed => {}
                    Some(Ok((request, respond))) => take(Exchange::new(request, respond, resets.clone())),
                    Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                    None if calmed => return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into())),
                    None => return Poll::Ready(Ok(())),
                }
            }
        })
        .await
    }
}

/// What an error of the connection comes to.
fn broken(error: h2::Error) -> io::Error {
    match error.reason() {
        Some(Reason::ENHANCE_YOUR_CALM) => io::Error::new(io::ErrorKind::QuotaExceeded, error),
        _ => io::Error::other(error),
    }
}

/// Asks the other side now and then whether it is still there.
struct KeepAlive {
    pings: PingPong,
    /// When to ask next, or when an answer is overdue.
    timer: Pin<Box<Sleep>>,
    asked: bool,
}

impl KeepAlive {
    fn new(pings: PingPong) -> Self {
        KeepAlive { pings, timer: Box::pin(sleep(KEEP_ALIVE)), asked: false }
    }

    /// Is ready when the other side did not answer in time.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            // A broken connection is found out, and told, by who reads from it.
            if self.asked && matches!(self.pings.poll_pong(context), Poll::Ready(Ok(_))) {
                self.asked = false;
                self.timer.as_mut().reset(Instant::now() + KEEP_ALIVE);
            }
            ready!(self.timer.as_mut().poll(context));
            if self.asked {
                return Poll::Ready(());
            }
            self.asked = self.pings.send_ping(Ping::opaque()).is_ok();
            self.timer.as_mut().reset(Instant::now() + KEEP_ALIVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use h2::{RecvStream, client};
    use http::{HeaderMap, Request};
    use micro_sdk::{
        proto::{WriteRequest, WriteResponse},
        wire::Caller,
    };
    use prost::Message;

    /// A server that answers a write with the length of its value, and a client of it.
    async fn connected() -> (client::SendRequest<Bytes>, watch::Sender<bool>) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (drain, draining) = watch::channel(false);
        tokio::spawn(async move {
            let connection = Connection::open(far, draining).await?;
            let answer = |_, request: WriteRequest| async move {
                Ok(WriteResponse { version: request.value.len() as u64 })
            };
            let take = |mut exchange: Exchange| {
                exchange.request_mut().extensions_mut().insert(Caller::Admin);
                exchange.unary(|_| Ok(()), answer);
            };
            connection.serve(take).await
        });
        let (client, connection) = client::handshake(near).await.expect("it greets");
        tokio::spawn(connection);
        (client, drain)
    }

    fn message(value: usize) -> Bytes {
        let request = WriteRequest { value: vec![7; value].into(), ..WriteRequest::default() };
        super::super::unary::framed(&request)
    }

    /// The message of an answer, and its `grpc-status`.
    async fn ask(client: &client::SendRequest<Bytes>, pieces: &[Bytes]) -> (Option<u64>, String) {
        let mut client = client.clone().ready().await.expect("the connection lives");
        let request = Request::post("http://node/micro.v1.Store/Write").body(()).expect("a good request");
        let (answer, mut body) = client.send_request(request, false).expect("it is sent");
        for piece in pieces {
            // It may be refused before all of it is sent.
            let _refused = body.send_data(piece.clone(), false);
            tokio::task::yield_now().await;
        }
        let _refused = body.send_data(Bytes::new(), true);
        let (head, mut body) = answer.await.expect("it answers").into_parts();
        let message = body_of(&mut body).await;
        let trailers = body.trailers().await.expect("it ends well");
        let status = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().ok().map(str::to_owned);
        let status = status(&head.headers).or_else(|| status(&trailers?)).expect("a status");
        let version = || WriteResponse::decode(&message[5..]).expect("that message").version;
        ((!message.is_empty()).then(version), status)
    }

    async fn body_of(body: &mut RecvStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.data().await {
            bytes.extend_from_slice(&chunk.expect("it comes"));
        }
        bytes
    }

    #[tokio::test]
    async fn messages_arrive_whole_or_in_pieces() {
        let (client, _drain) = connected().await;
        let whole = message(40_000);
        let head_apart = [whole.slice(..3), whole.slice(3..5), whole.slice(5..20_000), whole.slice(20_000..)];
        assert_eq!(ask(&client, std::slice::from_ref(&whole)).await, (Some(40_000), "0".to_owned()));
        assert_eq!(ask(&client, &head_apart).await, (Some(40_000), "0".to_owned()));
        assert_eq!(ask(&client, &[message(0)]).await, (Some(0), "0".to_owned()), "an empty message is one");
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused_with_a_status() {
        let (client, _drain) = connected().await;
        let whole = message(100);
        let (internal, unimplemented, out_of_range) = ("13", "12", "11");
        let huge = Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]);
        let compressed = [Bytes::from_static(&[1]), whole.slice(1..)];
        let garbled = Bytes::from_static(&[0, 0, 0, 0, 2, 0xff, 0xff]);
        for (pieces, status) in [
            (vec![], internal),
            (vec![whole.slice(..50)], internal),
            (vec![whole.clone(), whole.clone()], internal),
            (vec![[&whole[..], &whole[..]].concat().into()], internal),
            (vec![garbled], internal),
            (compressed.to_vec(), unimplemented),
            (vec![huge], out_of_range),
        ] {
            assert_eq!(ask(&client, &pieces).await, (None, status.to_owned()), "{pieces:?}");
        }
        assert_eq!(ask(&client, &[whole]).await, (Some(100), "0".to_owned()), "the connection goes on");
    }

    #[tokio::test]
    async fn a_drain_ends_the_connection_when_what_was_begun_is_done() {
        let (client, drain) = connected().await;
        let request = Request::post("http://node/micro.v1.Store/Write").body(()).expect("a good request");
        let mut ready = client.ready().await.expect("it lives");
        let (answer, mut body) = ready.send_request(request, false).expect("it is sent");
        tokio::task::yield_now().await;
        drain.send_replace(true);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        body.send_data(message(9), true).expect("it is sent");
        let mut body = answer.await.expect("it answers").into_body();
        assert_eq!(WriteResponse::decode(&body_of(&mut body).await[5..]).expect("that message").version, 9);
        drop(body);
        assert!(ready.ready().await.is_err(), "nothing new is taken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_left() {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (_drain, draining) = watch::channel(false);
        let silent = Connection::open(far, draining.clone()).await.map(drop);
        assert_eq!(silent.expect_err("no greeting").kind(), io::ErrorKind::TimedOut);
        drop(near);

        let (mut near, far) = tokio::io::duplex(1 << 16);
        // It greets, and does not answer pings.
        let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        tokio::io::AsyncWriteExt::write_all(&mut near, greeting).await.expect("there is room");
        let connection = Connection::open(far, draining).await.expect("it greets");
        let ended = connection.serve(|_| ()).await;
        assert_eq!(ended.expect_err("no answer").kind(), io::ErrorKind::TimedOut);
    }
}
