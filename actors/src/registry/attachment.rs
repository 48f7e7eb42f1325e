//! An instance attached to this node: its connection and its permits.

use super::{
    channel::Channel,
    concurrency::{Concurrency, Permit},
    heading,
    health::Vitals,
    line::{Line, LineError},
    offer::Offer,
    plain::Plain,
    translation,
};
use crate::{
    kit::{Body, RAW, holding},
    policy::LimitPolicy,
    protobuf::{Contract, is_reflection, reflect},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::CONTENT_TYPE,
    uri::{self, Authority, Scheme},
};
use hyper_util::client::legacy::connect::HttpConnector;
use micro_sdk::wire::{Code, Endpoint, Fault, Head, Instance, limits::BODY_BYTES_MAX};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How often an instance is asked that has certainly done nothing: its connection may have ended under the first.
const TRIES: usize = 2;
/// How long a call may take, in milliseconds.
const DEADLINE: HeaderName = HeaderName::from_static("micro-deadline-ms");

/// Answers calls inside this process: services in simulations.
pub type InsideHandler = Arc<dyn Fn(Head, Bytes) -> BoxFuture<'static, Result<Bytes, Fault>> + Send + Sync>;

/// How an instance is reached.
pub enum Backend {
    /// An HTTP/2 server on a loopback port, and what its messages are.
    Http(SocketAddr, Encoding),
    /// A handler in this process.
    Inside(InsideHandler),
}

/// What the messages of a server are. Callers that have others are translated for, where a contract says how.
pub enum Encoding {
    /// JSON, over HTTP and gRPC.
    Json(Option<Contract>),
    /// Protobuf, over gRPC.
    Protobuf(Contract),
}

enum Connection {
    Http { line: Line, authority: Authority, channel: Channel, plain: Plain, encoding: Encoding },
    Inside(InsideHandler),
}

/// An instance attached to this node.
pub struct Attachment {
    /// As it was attached: how it is may have changed.
    pub instance: Arc<Instance>,
    /// Its endpoints with their schemas.
    pub endpoints: Vec<Endpoint>,
    /// Where it listens, if it does.
    pub(super) address: Option<SocketAddr>,
    /// How it is.
    pub(super) vitals: Vitals,
    connection: Connection,
    concurrency: Arc<Concurrency>,
    /// The calls that its program wants at once, at most.
    permits: u32,
}

impl Attachment {
    pub(crate) fn new(instance: Instance, offer: Offer, backend: Backend, permits: usize) -> Self {
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let address = match &backend {
            Backend::Http(address, _) => Some(*address),
            Backend::Inside(_) => None,
        };
        let connection = match backend {
            Backend::Inside(handler) => Connection::Inside(handler),
            Backend::Http(address, encoding) => {
                let mut connector = HttpConnector::new();
                connector.set_nodelay(true);
                connector.set_connect_timeout(Some(Duration::from_secs(1)));
                let authority = address.to_string().parse().expect("an address is an authority");
                let line = Line::new(address);
                let plain = Plain::new(connector, address);
                let channel = Channel::new(address);
                Connection::Http { line, authority, channel, plain, encoding }
            }
        };
        Attachment {
            instance: Arc::new(instance),
            endpoints: offer.endpoints,
            address,
            vitals: Vitals::new(offer.care, Instant::now()),
            connection,
            concurrency: Concurrency::new(permits),
            permits,
        }
    }

    /// The instance as it is now.
    pub(super) fn as_it_is(&self) -> Instance {
        Instance { health: self.vitals.health(), ..(*self.instance).clone() }
    }

    /// Calls the instance and waits for its answer within the call's deadline.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if it has too many calls in work, [`Code::Unavailable`] if it can't be reached,
    /// [`Code::Timeout`], or what it answers.
    pub async fn call(&self, head: &Head, body: Bytes) -> Result<Bytes, Fault> {
        let permit = self.permit(head)?;
        let answer = self.answer(head, body).await;
        permit.answered();
        answer
    }

    /// Has it work within these bounds from now on, and never more at once than its program wants.
    pub(super) fn bound(&self, limit: &LimitPolicy) {
        self.concurrency.bound(limit.most.min(self.permits), limit.least, limit.adaptive);
    }

    async fn answer(&self, head: &Head, body: Bytes) -> Result<Bytes, Fault> {
        let deadline = Duration::from_millis(head.deadline_ms.into());
        let answer = async {
            match &self.connection {
                Connection::Inside(handler) => handler(head.clone(), body).await,
                Connection::Http { channel, encoding: Encoding::Protobuf(contract), .. } => {
                    Box::pin(translation::to_protobuf(contract, channel, head, body)).await
                }
                Connection::Http { line, authority, .. } => call_http(line, authority, head, body).await,
            }
        };
        timeout(deadline, answer).await.unwrap_or_else(|_| {
            let message = format!("{}/{} did not answer in time", head.service, head.endpoint);
            Err(Fault::new(Code::Timeout, message).effect_unknown())
        })
    }

    /// Begins a gRPC call of the instance, or sends a request of HTTP on, which holds a permit for as long as its
    /// answer is there.
    ///
    /// # Errors
    /// As [`call`](Self::call) before anything is done, and [`Code::NotFound`] if it does not speak gRPC.
    pub async fn converse(self: Arc<Self>, head: &Head, body: Body) -> Result<Response<Body>, Fault> {
        let permit = self.permit(head)?;
        if let Some(contract) = self.contract().filter(|_| is_reflection(&head.endpoint)) {
            let response = reflect(contract, &head.endpoint, body).await?;
            return Ok(response.map(|body| holding(body, permit)));
        }
        match &self.connection {
            Connection::Inside(_) => {
                Err(Fault::new(Code::NotFound, format!("{} takes no gRPC calls", head.service)))
            }
            Connection::Http { plain, .. } if head.endpoint.starts_with(RAW) => {
                Ok(plain.send(head, body).await?.map(|body| holding(body, permit)))
            }
            Connection::Http { channel, encoding: Encoding::Json(Some(contract)), .. }
                if translation::is_protobuf(head) && contract.is_stream(&head.endpoint) =>
            {
                let response = translation::messages_to_json(contract, channel, head, body).await?;
                Ok(response.map(|body| holding(body, permit)))
            }
            Connection::Http { encoding: Encoding::Json(Some(contract)), .. }
                if translation::is_protobuf(head) =>
            {
                let method = contract.unary(&head.endpoint)?.clone();
                let head = translation::json_head(head);
                let call = move |body| async move { self.answer(&head, body).await };
                let response = translation::from_protobuf(method, call, body).await;
                Ok(response.map(|body| holding(body, permit)))
            }
            Connection::Http { channel, encoding: Encoding::Protobuf(contract), .. }
                if translation::is_json(head) =>
            {
                let response = translation::messages_to_protobuf(contract, channel, head, body).await?;
                Ok(response.map(|body| holding(body, permit)))
            }
            Connection::Http { channel, .. } => {
                let response = channel.converse(head, body).await?;
                Ok(response.map(|body| holding(body, permit)))
            }
        }
    }

    /// What its methods and messages are, if it has told.
    fn contract(&self) -> Option<&Contract> {
        match &self.connection {
            Connection::Http { encoding: Encoding::Json(contract), .. } => contract.as_ref(),
            Connection::Http { encoding: Encoding::Protobuf(contract), .. } => Some(contract),
            Connection::Inside(_) => None,
        }
    }

    fn permit(&self, head: &Head) -> Result<Permit, Fault> {
        self.concurrency.permit().ok_or_else(|| {
            let (service, limit) = (&head.service, self.concurrency.limit());
            Fault::new(
                Code::Overloaded,
                format!("this instance of {service} has {limit} calls in work, and takes no more"),
            )
            .help("try again in a moment, or start another instance")
        })
    }
}

async fn call_http(line: &Line, authority: &Authority, head: &Head, body: Bytes) -> Result<Bytes, Fault> {
    let mut tries = 0;
    let answered = loop {
        let request = request(authority, head).map_err(|error| {
            Fault::new(Code::Usage, format!("the call can't be put into an HTTP request: {error}"))
        })?;
        tries += 1;
        match line.ask(request, body.clone(), BODY_BYTES_MAX).await {
            Err(LineError::Unreached(_)) if tries < TRIES => {}
            answered => break answered,
        }
    };
    let (status, body) = answered.map_err(|error| {
        let message = format!("the instance of {} can't be reached: {error}", head.service);
        match error {
            LineError::Unreached(_) => Fault::new(Code::Unavailable, message),
            LineError::Broken(_) => Fault::new(Code::Unavailable, message).effect_unknown(),
            LineError::BrokenOff(_) | LineError::TooLong(_) => {
                Fault::new(Code::Failed, format!("{}: {error}", head.service)).effect_unknown()
            }
        }
    })?;
    if status.is_success() {
        return Ok(body);
    }
    // The SDK answers with a fault in JSON; any other program with whatever it likes.
    Err(serde_json::from_slice(&body).unwrap_or_else(|_| {
        let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        let code = if status == StatusCode::NOT_FOUND { Code::NotFound } else { Code::Failed };
        Fault::new(code, format!("{} answered {status}: {text}", head.service))
    }))
}

/// The request that a call is. Not by http's builder, which moves all of it with each header.
fn request(authority: &Authority, head: &Head) -> Result<Request<()>, http::Error> {
    let mut target = uri::Parts::default();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Some(authority.clone());
    target.path_and_query = Some(["/", &head.endpoint.replace('.', "/")].concat().try_into()?);
    let mut request = Request::new(());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_parts(target)?;
    let headers = request.headers_mut();
    headers.reserve(heading::HEADERS_MAX + 2 + head.metadata.len());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(DEADLINE, heading::passing(head.deadline_ms.into()));
    for (name, value) in heading::of(head) {
        headers.append(name, value?);
    }
    for (name, value) in &head.metadata {
        headers.append(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
    }
    Ok(request)
}
