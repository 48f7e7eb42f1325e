//! How an instance is spoken to over gRPC: a connection of its own beside that of calls, so that streams that nobody
//! reads hold up none of them.

mod answer;
mod sending;

use super::{
    connections::{Connections, Unreached, Windows, is_refusal},
    heading,
};
use crate::Body;
use answer::Answer;
use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use micro_sdk::wire::{Code, Fault, Head, ServiceName, limits::DEADLINE_MS_NONE};
use sending::Sending;
use std::net::SocketAddr;

/// What an instance may send ahead on one stream: loopback is quick, so that little is enough. On all of them: as many
/// as may be open with an instance by default can fill theirs, and none waits. Half of it is what short messages may
/// cost beside their bytes before h2 ends the connection, which is 5 MB for a window that is full of the shortest: for
/// a hundred callers who read nothing.
const WINDOWS: Windows = Windows { stream: 128 << 10, connection: 1 << 30 };

/// A connection to one instance for each thread.
pub(super) struct Channel {
    connections: Connections,
    address: SocketAddr,
}

impl Channel {
    pub(super) fn new(address: SocketAddr) -> Self {
        Channel { connections: Connections::new(address, WINDOWS), address }
    }

    /// Begins a call, whose request is read as the instance takes it.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it can't be reached, with nothing done if it has not looked at the request;
    /// [`Code::NotFound`] or [`Code::Failed`] if it does not answer as gRPC does.
    pub(super) async fn converse(&self, head: &Head, body: Body) -> Result<Response<Body>, Fault> {
        let (service, method) = head.endpoint.rsplit_once('.').unwrap_or(("", &head.endpoint));
        let mut request = Request::post(format!("http://{}/{service}/{method}", self.address))
            .body(())
            .map_err(|error| Fault::new(Code::Usage, format!("{:?} is no method: {error}", head.endpoint)))?;
        *request.headers_mut() = headers(head);
        let (answer, stream) = self.begin(request).await.map_err(|error| unreached(head, &error))?;
        let sending = Sending::begin(stream, body).await;
        let response = answer.await.map_err(|error| match is_refusal(&error) {
            true => unreached(head, &"it takes no more requests"),
            false => broken_off(&head.service, &error),
        })?;
        refuse_others(head, &response)?;
        let service = head.service.clone();
        let broken_off = move |error| broken_off(&service, &error);
        Ok(response.map(|stream| Answer::new(stream, sending).map_err(broken_off).boxed_unsync()))
    }

    async fn begin(&self, request: Request<()>) -> Result<(ResponseFuture, SendStream<Bytes>), Unreached> {
        let mut sender = self.connections.sender().await?;
        // One that has ended since it was found ready has sent nothing.
        sender.send_request(request, false).map_err(|error| Unreached(error.to_string()))
    }
}

fn broken_off(service: &ServiceName, why: &h2::Error) -> Fault {
    Fault::new(Code::Unavailable, format!("the answer of {service} broke off: {why}")).effect_unknown()
}

fn unreached(head: &Head, why: &impl std::fmt::Display) -> Fault {
    Fault::new(Code::Unavailable, format!("the instance of {} can't be reached: {why}", head.service))
}

/// What goes with a call: what the caller sent along, and what the node says of it, which wins.
fn headers(head: &Head) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(heading::HEADERS_MAX + 2 + head.metadata.len());
    for (name, value) in &head.metadata {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    }
    for (name, value) in heading::of(head) {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    headers.insert("te", HeaderValue::from_static("trailers"));
    if head.deadline_ms != DEADLINE_MS_NONE {
        headers.insert("grpc-timeout", heading::passing(timeout(head.deadline_ms)));
    }
    headers
}

/// A time as gRPC writes it: at most eight digits and a unit.
fn timeout(ms: u32) -> HeaderValue {
    let text = if ms < 100_000_000 { format!("{ms}m") } else { format!("{}S", ms / 1000) };
    HeaderValue::try_from(text).expect("digits and a letter are a header")
}

/// Refuses what is no answer of gRPC (its statuses, see "HTTP to gRPC Status Code Mapping").
fn refuse_others(head: &Head, response: &Response<RecvStream>) -> Result<(), Fault> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let grpc = kind.is_some_and(|kind| kind.starts_with("application/grpc"));
    match response.status() {
        StatusCode::OK if grpc => Ok(()),
        StatusCode::NOT_FOUND => {
            let message = format!("{} takes no gRPC call of {}", head.service, head.endpoint);
            Err(Fault::new(Code::NotFound, message))
        }
        status => {
            let message = format!("{} does not speak gRPC: it answered {status}", head.service);
            Err(Fault::new(Code::Failed, message).effect_unknown())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::heading::tests::head;
    use futures::{StreamExt, stream};
    use h2::{Reason, server};
    use http_body_util::StreamBody;
    use hyper::body::Frame;
    use micro_sdk::wire::{Caller, Effect};
    use std::{future::poll_fn, time::Duration};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        sync::mpsc,
        time::sleep,
    };

    type Pieces = mpsc::UnboundedSender<Result<Bytes, Fault>>;

    /// A request whose pieces are sent one by one.
    fn request() -> (Pieces, Body) {
        let (pieces, mut taken) = mpsc::unbounded_channel::<Result<Bytes, Fault>>();
        let frames = stream::poll_fn(move |context| taken.poll_recv(context));
        let frames = frames.map(|piece| piece.map(Frame::data));
        (pieces, StreamBody::new(frames).boxed_unsync())
    }

    async fn bound() -> (TcpListener, Channel) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let channel = Channel::new(listener.local_addr().expect("it has one"));
        (listener, channel)
    }

    /// An instance that answers a call with what it is sent, and its trailers with how the request ended.
    async fn echo(listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = server::handshake(stream).await.expect("HTTP/2");
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        let head = Response::builder().header(CONTENT_TYPE, "application/grpc");
                        let head = head.body(()).expect("a good head");
                        let mut answer = respond.send_response(head, false).expect("it is there");
                        let mut body = request.into_body();
                        while let Some(Ok(data)) = body.data().await {
                            let _ = body.flow_control().release_capacity(data.len());
                            answer.send_data(data, false).expect("it is there");
                        }
                        let trailers =
                            HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), 0.into())]);
                        answer.send_trailers(trailers).expect("it is there");
                    });
                }
            });
        }
    }

    #[tokio::test]
    async fn a_request_and_its_answer_go_on_together_and_end_well() {
        let (listener, channel) = bound().await;
        tokio::spawn(echo(listener));
        let (pieces, body) = request();
        pieces.send(Ok(Bytes::from_static(b"first"))).expect("it is read");
        let mut answer = channel.converse(&head(Caller::Admin), body).await.expect("it answers").into_body();
        assert_eq!(
            answer.frame().await.expect("a frame").expect("data").into_data().ok().as_deref(),
            Some(&b"first"[..])
        );
        // More than every window between.
        let long = Bytes::from(vec![7; 3 << 20]);
        pieces.send(Ok(long.clone())).expect("it is read");
        drop(pieces);
        let rest = answer.collect().await.expect("it ends well");
        assert_eq!(rest.trailers().and_then(|trailers| trailers.get("grpc-status")), Some(&0.into()));
        assert_eq!(rest.to_bytes(), long);
    }

    #[tokio::test]
    async fn an_instance_learns_that_a_request_breaks_off_or_nobody_waits() {
        let (listener, channel) = bound().await;
        let (resets, mut reset) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut connection = server::handshake(stream).await.expect("HTTP/2");
            while let Some(Ok((_request, mut respond))) = connection.accept().await {
                let resets = resets.clone();
                tokio::spawn(async move {
                    let head = Response::builder().header(CONTENT_TYPE, "application/grpc");
                    let head = head.body(()).expect("a good head");
                    let mut answer = respond.send_response(head, false).expect("it is there");
                    let reason = poll_fn(|context| answer.poll_reset(context)).await;
                    resets.send(reason.expect("the stream alone ends")).expect("it is read");
                });
            }
        });
        let broken = || Fault::new(Code::Usage, "the caller has gone");
        let (pieces, body) = request();
        let answer = channel.converse(&head(Caller::Admin), body).await.expect("it answers");
        pieces.send(Err(broken())).expect("it is read");
        assert_eq!(reset.recv().await, Some(Reason::CANCEL));
        assert!(answer.into_body().collect().await.is_err());
        // A request that goes on when nobody waits for the answer any more, and one that has ended.
        for ended in [false, true] {
            let (pieces, body) = request();
            let pieces = (!ended).then_some(pieces);
            drop(channel.converse(&head(Caller::Admin), body).await.expect("it answers"));
            assert_eq!(reset.recv().await, Some(Reason::CANCEL));
            drop(pieces);
        }
    }

    #[tokio::test]
    async fn nothing_is_done_where_nobody_listens_or_a_request_is_not_looked_at() {
        let (listener, channel) = bound().await;
        drop(listener);
        let fault = channel.converse(&head(Caller::Admin), request().1).await.expect_err("nobody is there");
        assert!(fault.code == Code::Unavailable && fault.effect == Effect::None, "{fault}");
        let (listener, channel) = bound().await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut connection = server::handshake(stream).await.expect("HTTP/2");
            for reason in [Reason::REFUSED_STREAM, Reason::INTERNAL_ERROR] {
                let (_, mut respond) = connection.accept().await.expect("a request").expect("a good one");
                respond.send_reset(reason);
            }
            while connection.accept().await.is_some() {}
        });
        for unknown in [false, true] {
            let fault = channel.converse(&head(Caller::Admin), request().1).await.expect_err("it is refused");
            assert!(
                fault.code == Code::Unavailable && (fault.effect == Effect::Unknown) == unknown,
                "{fault}"
            );
        }
    }

    /// The type, the flags and the content of the next frame of HTTP/2 (RFC 9113, 4.1).
    async fn frame(stream: &mut TcpStream) -> (u8, u8, Vec<u8>) {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut content = vec![0; length as usize];
        stream.read_exact(&mut content).await.expect("its content");
        (head[3], head[4], content)
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_request_has_two_frames_and_a_silent_instance_is_left_alone() {
        const DATA: u8 = 0;
        const HEADERS: u8 = 1;
        const END_STREAM: u8 = 1;
        let (listener, channel) = bound().await;
        let (pieces, body) = request();
        pieces.send(Ok(Bytes::from_static(b"a message"))).expect("it is read");
        drop(pieces);
        tokio::spawn(async move { channel.converse(&head(Caller::Admin), body).await });
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("a preface");
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.expect("it takes settings");
        let mut frames = Vec::new();
        while !frames.iter().any(|(kind, flags, _)| *kind == DATA && flags & END_STREAM != 0) {
            frames.push(frame(&mut stream).await);
        }
        let of_request: Vec<_> = frames.iter().filter(|(kind, ..)| [HEADERS, DATA].contains(kind)).collect();
        assert!(of_request.len() == 2 && of_request[1].2 == b"a message", "{of_request:?}");
        // The word that the settings are taken may still come, and nothing else for as long as nobody speaks.
        sleep(Duration::from_secs(3600)).await;
        let mut rest = [0; 64];
        let length = stream.try_read(&mut rest).unwrap_or(0);
        assert!(rest[..length].chunks(9).all(|frame| frame[3] == 4), "{:?}", &rest[..length]);
    }

    #[test]
    fn times_have_eight_digits_at_most() {
        for (ms, text) in
            [(1, "1m"), (99_999_999, "99999999m"), (100_000_000, "100000S"), (u32::MAX - 1, "4294967S")]
        {
            assert_eq!(timeout(ms), text);
        }
    }
}
