//! A call of a service by name whose request or answer is a stream: gRPC, with JSON in its messages.

use super::{Node, node::Stake};
use crate::{
    proto::{MESSAGE_BYTES_MAX, RawCodec},
    wire::{Code, Fault},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, header::CONTENT_TYPE, uri::PathAndQuery};
use serde_json::Value;
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::Instant,
};
use tonic::{
    Request,
    client::Grpc,
    metadata::{Ascii, MetadataKey, MetadataValue},
};
use tower::util::MapRequest;

/// Messages in each direction that wait for the other side to take them. HTTP/2 has room for more behind them; here one
/// would do, and a few save a change of tasks for each when they are small.
const WAITING_MAX: usize = 8;
/// What the messages are.
const JSON: &str = "application/grpc+json";

/// A conversation that is being made up.
#[derive(Clone, Debug)]
#[must_use = "nothing is called until it begins"]
pub struct StreamCall {
    node: Node,
    service: String,
    endpoint: String,
    timeout: Option<Duration>,
    metadata: Vec<(String, String)>,
}

/// A call that goes on: what is said to the service, and what it answers. Take it apart to use both at once.
#[derive(Debug)]
pub struct Conversation {
    /// What is said to the service.
    pub requests: Requests,
    /// What it answers.
    pub answers: Answers,
}

/// The caller's side of a conversation. Dropped, it has no more to say; the answers go on.
#[derive(Debug)]
pub struct Requests(mpsc::Sender<Bytes>);

/// The service's side of a conversation: its messages, as they come, the last of which may be a fault. Dropped, it ends
/// the conversation, also for the service.
#[derive(Debug)]
pub struct Answers {
    messages: mpsc::Receiver<Result<Value, Fault>>,
    work: AbortHandle,
}

impl StreamCall {
    pub(super) fn new(node: Node, service: String, endpoint: String) -> StreamCall {
        StreamCall { node, service, endpoint, timeout: None, metadata: Vec::new() }
    }

    /// Ends the conversation after `timeout`. It goes on for as long as both sides wish unless this is set.
    pub fn timeout(mut self, timeout: Duration) -> StreamCall {
        self.timeout = Some(timeout);
        self
    }

    /// Sends a header along.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> StreamCall {
        self.metadata.push((name.into().to_ascii_lowercase(), value.into()));
        self
    }

    /// Says `request` and nothing else: for endpoints that take one message.
    ///
    /// # Errors
    /// As [`begin`](StreamCall::begin).
    pub fn ask(self, request: &Value) -> Result<Answers, Fault> {
        let Conversation { requests, answers } = self.begin()?;
        requests.0.try_send(message(request)).expect("nothing was said before, and somebody listens");
        Ok(answers)
    }

    /// Begins the conversation. What comes of it is told by its answers: `NotFound` if nobody offers it, `Denied`,
    /// `Unavailable`, `Timeout`, `Unreachable`, or the service's own fault.
    ///
    /// # Errors
    /// `Usage` for names that can't be sent, `Denied` if a token would leave this host unencrypted.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn begin(self) -> Result<Conversation, Fault> {
        let (said, mut to_say) = mpsc::channel(WAITING_MAX);
        let requests = stream::poll_fn(move |context| to_say.poll_recv(context));
        let (path, request) = (self.path()?, self.request(requests)?);
        let (heard, messages) = mpsc::channel(WAITING_MAX);
        let StreamCall { node, timeout, .. } = self;
        let deadline = timeout.map(|timeout| (timeout, Instant::now() + timeout));
        let work: JoinHandle<()> = tokio::spawn(async move {
            let told = heard.clone();
            let work = converse(&node, path, request, told);
            let ended = match deadline {
                None => work.await,
                Some((timeout, deadline)) => {
                    tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
                        Err(Fault::new(
                            Code::Timeout,
                            format!("the conversation was not over within {timeout:?}"),
                        )
                        .effect_unknown())
                    })
                }
            };
            if let Err(fault) = ended {
                // Nobody hears it who has dropped the answers.
                let _ = heard.send(Err(fault)).await;
            }
        });
        let answers = Answers { messages, work: work.abort_handle() };
        Ok(Conversation { requests: Requests(said), answers })
    }

    /// The path of the call: `/Handler/method`, or `/method` where the service has a sole handler.
    fn path(&self) -> Result<PathAndQuery, Fault> {
        let path = match self.endpoint.replace('/', ".").rsplit_once('.') {
            Some((handler, method)) => format!("/{handler}/{method}"),
            None => format!("/{}", self.endpoint),
        };
        path.parse().map_err(|_| Fault::new(Code::Usage, format!("{:?} is no endpoint", self.endpoint)))
    }

    fn request<S>(&self, requests: S) -> Result<Request<S>, Fault> {
        let mut request = self.node.request(requests)?;
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        let namespace = self.node.namespace().to_string();
        let own = [("micro-service", self.service.as_str()), ("micro-namespace", namespace.as_str())];
        let carried = self.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in carried.chain(own) {
            let unfit = || Fault::new(Code::Usage, format!("{name:?} is not a header that can be sent"));
            let key: MetadataKey<Ascii> = name.parse().map_err(|_| unfit())?;
            let value: MetadataValue<Ascii> = value.parse().map_err(|_| unfit())?;
            request.metadata_mut().insert(key, value);
        }
        Ok(request)
    }
}

/// Says `request`, and tells what comes as long as somebody hears it.
async fn converse<S: Stream<Item = Bytes> + Send + 'static>(
    node: &Node,
    path: PathAndQuery,
    request: Request<S>,
    told: mpsc::Sender<Result<Value, Fault>>,
) -> Result<(), Fault> {
    let failed = |status| node.fault(Stake::Call, node.timeout(), status);
    // tonic says of all messages that they are protobuf, for which a node would not translate.
    let channel = MapRequest::new(node.channel(), |mut request: http::Request<tonic::body::Body>| {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        request
    });
    let mut grpc = Grpc::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.map_err(|error| failed(tonic::Status::from_error(Box::new(error))))?;
    let mut messages = grpc.streaming(request, path, RawCodec).await.map_err(failed)?.into_inner();
    while let Some(message) = messages.message().await.map_err(failed)? {
        let value = serde_json::from_slice(&message).map_err(|error| {
            Fault::new(Code::Failed, format!("a message of the service is not JSON: {error}"))
                .effect_unknown()
        })?;
        if told.send(Ok(value)).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Conversation {
    /// Says a message, once there is room for it.
    ///
    /// # Errors
    /// As [`Requests::send`].
    pub async fn send(&self, request: &Value) -> Result<(), Fault> {
        self.requests.send(request).await
    }

    /// Has no more to say. The answers go on.
    pub fn finish(self) -> Answers {
        self.answers
    }
}

impl Requests {
    /// Says a message, once there is room for it.
    ///
    /// # Errors
    /// `Unreachable` if the conversation is over: its answers tell why.
    pub async fn send(&self, request: &Value) -> Result<(), Fault> {
        let over = |_| Fault::new(Code::Unreachable, "the conversation is over").help("its answers tell why");
        self.0.send(message(request)).await.map_err(over)
    }
}

impl Stream for Conversation {
    type Item = Result<Value, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.answers.poll_next_unpin(context)
    }
}

impl Stream for Answers {
    type Item = Result<Value, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_recv(context)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.work.abort();
    }
}

fn message(value: &Value) -> Bytes {
    value.to_string().into()
}
