//! One request of a gRPC door and the answer to it (gRPC over HTTP/2: a request, a response, trailers).

use super::{
    Answering, context_of,
    resets::Resets,
    unary::{self, Arrived, BEGINNING_BYTES},
};
use crate::node::Context;
use bytes::Bytes;
use futures::FutureExt;
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use hyper::body::{Body, Frame};
use micro_sdk::wire::Fault;
use prost::Message;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{self, Poll, ready},
};
use tonic::Status;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_OK: HeaderValue = HeaderValue::from_static("0");

/// A request that waits for its answer. One that is dropped without any is reset, so that the client is told.
pub(in crate::doors) struct Exchange {
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    resets: Arc<Resets>,
}

/// What became of an answer; an error says that the client has gone.
type Sent = Result<(), h2::Error>;

impl Exchange {
    pub(super) fn new(
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        resets: Arc<Resets>,
    ) -> Self {
        Exchange { request, respond, resets }
    }

    /// The request, for what a door finds out about it.
    pub fn request_mut(&mut self) -> &mut Request<RecvStream> {
        &mut self.request
    }

    /// Where the request goes: `/package.Service/Method`.
    pub(super) fn path(&self) -> &str {
        self.request.uri().path()
    }

    /// Whether the request is one of gRPC: all others are answered as HTTP does (gRPC over HTTP/2, "Requests").
    ///
    /// # Errors
    /// The status that it deserves.
    pub(super) fn kind(&self) -> Result<(), StatusCode> {
        let kind = self.request.headers().get(CONTENT_TYPE);
        // What follows is a subtype or a parameter: `application/grpcx` is something else.
        let is_grpc = |kind: &HeaderValue| {
            let rest = kind.as_bytes().strip_prefix(GRPC.as_bytes());
            rest.is_some_and(|rest| rest.first().is_none_or(|next| b"+; ".contains(next)))
        };
        match kind.is_some_and(is_grpc) {
            _ if self.request.method() != Method::POST => Err(StatusCode::METHOD_NOT_ALLOWED),
            true => Ok(()),
            false => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        }
    }

    /// Answers one who does not speak gRPC.
    pub(super) fn refuse_as_http(mut self, status: StatusCode) {
        let mut head = Response::new(());
        *head.status_mut() = status;
        if status == StatusCode::METHOD_NOT_ALLOWED {
            head.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        self.resets.count_if_reset(&self.respond.send_response(head, true).map(drop));
    }

    /// Answers that nothing is done.
    pub fn refuse(mut self, status: &Status) {
        self.resets.count_if_reset(&send_status(&mut self.respond, status));
    }

    /// Answers one message with one message, on a task of its own. A client that goes away meanwhile does not stop
    /// `call`, which has its own deadline: most of these are changes, which are past recall once they are proposed.
    ///
    /// Of a message that is longer than a beginning, no more is read unless `more` says so.
    ///
    /// What is there of the request is read here and now, and so `call` begins here and now: each of these tasks lives
    /// on the heap and is moved there, so that what it does not carry is not copied either.
    pub(super) fn unary<Q, A, F>(
        self,
        more: impl FnOnce(&Context) -> Result<(), Fault> + Send + 'static,
        call: impl FnOnce(Context, Q) -> F + Send + 'static,
    ) where
        Q: Message + Default + 'static,
        A: Message,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let Exchange { request, respond, resets } = self;
        let (head, mut body) = request.into_parts();
        let reply = Reply { respond, resets };
        let context = match context_of(&head.headers, &head.extensions) {
            Ok(context) => context,
            Err(fault) => return reply.send(Err::<A, _>(fault.into())),
        };
        match unary::arrived(&mut body) {
            Arrived::Whole(Ok(message)) => {
                // No async block: one that waits for what it was given has room for it twice.
                tokio::spawn(call(context, message).map(|answer| reply.send(answer)));
            }
            Arrived::Whole(Err(status)) => reply.send(Err::<A, _>(status)),
            Arrived::Begun(first) => {
                tokio::spawn(async move {
                    let message = unary::read(first, &mut body, || more(&context)).await;
                    reply.send(match message {
                        Ok(message) => call(context, message).await,
                        Err(status) => Err(status),
                    });
                });
            }
        }
    }

    /// Answers as `service` does, message by message, as fast as the client reads. If the client goes away, the
    /// service's work on it is dropped.
    ///
    /// Of a body that is longer than a beginning, no more is read unless `more` says so.
    pub(super) async fn streamed(
        self,
        more: impl FnOnce(&Context) -> Result<(), Fault> + Send + 'static,
        service: impl FnOnce(Request<Received>) -> Answering,
    ) {
        let Exchange { request, mut respond, resets } = self;
        let (head, stream) = request.into_parts();
        let context = context_of(&head.headers, &head.extensions);
        let more: More = Box::new(move || more(&context?));
        let received = Received { stream, data_ended: false, left: BEGINNING_BYTES, more: Some(more) };
        let mut answering = service(Request::from_parts(head, received));
        let answer = poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Pending => respond.poll_reset(context).map(|_gone| None),
            Poll::Ready(answer) => Poll::Ready(answer.ok()),
        });
        let Some(answer) = answer.await else { return resets.count() };
        let sent = send_stream(respond, answer).await;
        resets.count_if_reset(&sent);
        if let Err(error) = sent {
            tracing::debug!(%error, "a client went away before its answer was complete");
        }
    }
}

/// Where the answer to one message goes.
struct Reply {
    respond: SendResponse<Bytes>,
    resets: Arc<Resets>,
}

impl Reply {
    fn send(mut self, answer: Result<impl Message, Status>) {
        self.resets.count_if_reset(&match answer {
            Ok(answer) => send_message(&mut self.respond, &answer),
            Err(status) => send_status(&mut self.respond, &status),
        });
    }
}

/// Sends an answer of one message, all at once: head, message, trailers.
fn send_message(respond: &mut SendResponse<Bytes>, answer: &impl Message) -> Sent {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, GRPC);
    let mut stream = respond.send_response(head, false)?;
    stream.send_data(unary::framed(answer), false)?;
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, GRPC_OK);
    stream.send_trailers(trailers)
}

/// Sends a status without any message.
fn send_status(respond: &mut SendResponse<Bytes>, status: &Status) -> Sent {
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    if let Err(unfit) = status.add_header(headers) {
        // A message that no header can carry still has a code.
        headers.insert(GRPC_STATUS, HeaderValue::from(unfit.code() as i32));
    }
    respond.send_response(head, true).map(drop)
}

async fn send_stream(mut respond: SendResponse<Bytes>, answer: Response<tonic::body::Body>) -> Sent {
    let (head, body) = answer.into_parts();
    let head = Response::from_parts(head, ());
    if body.is_end_stream() {
        return respond.send_response(head, true).map(drop);
    }
    let mut stream = respond.send_response(head, false)?;
    let mut body = pin!(body);
    loop {
        let frame = poll_fn(|context| match body.as_mut().poll_frame(context) {
            Poll::Pending => Poll::Ready(Err(h2::Error::from(ready!(stream.poll_reset(context))?))),
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
        });
        let Some(frame) = frame.await? else { return stream.send_data(Bytes::new(), true) };
        // tonic's bodies put their errors into the trailers; one that does not ends as a broken one.
        let Ok(frame) = frame else {
            stream.send_reset(h2::Reason::INTERNAL_ERROR);
            return Ok(());
        };
        match frame.into_data().map_err(Frame::into_trailers) {
            Ok(data) => send_data(&mut stream, data).await?,
            Err(Ok(trailers)) => return stream.send_trailers(trailers),
            Err(Err(_unknown)) => {}
        }
    }
}

/// Sends as the client gives room, so that no more than the send buffer waits here.
async fn send_data(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Sent {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        let room = match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(room) => room?,
            None => return Err(h2::Reason::CANCEL.into()),
        };
        stream.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

/// The body of a request, as it comes in. What is taken from it makes room for more.
pub(super) struct Received {
    stream: RecvStream,
    data_ended: bool,
    /// How much may come before it is asked whether more may.
    left: usize,
    /// None once it was asked.
    more: Option<More>,
}

/// Says whether more of a body may be read than its beginning.
type More = Box<dyn FnOnce() -> Result<(), Fault> + Send>;

impl Received {
    fn data(&mut self, data: Bytes) -> Result<Frame<Bytes>, Status> {
        self.stream.flow_control().release_capacity(data.len()).map_err(gone)?;
        match self.left.checked_sub(data.len()) {
            Some(left) => self.left = left,
            None => self.more.take().map_or(Ok(()), |more| more())?,
        }
        Ok(Frame::data(data))
    }
}

fn gone(error: h2::Error) -> Status {
    Status::cancelled(error.to_string())
}

impl Body for Received {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.data_ended {
            if let Some(data) = ready!(self.stream.poll_data(context)) {
                return Poll::Ready(Some(data.map_err(gone).and_then(|data| self.data(data))));
            }
            self.data_ended = true;
        }
        let trailers = ready!(self.stream.poll_trailers(context));
        Poll::Ready(trailers.map_err(gone).transpose().map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }
}
