//! The HTTP side of a service: reads a request, guards its handler, writes the answer.

use super::{Ctx, Inbox, Service, conversation::conversation, grpc, own_node::OwnNode, unknown_endpoint};
use crate::wire::{Code, Fault, Streams, limits::BODY_BYTES_MAX};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::{panic::AssertUnwindSafe, sync::Arc};
use tonic::body::Body;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The door of one service. It takes `POST /Handler/method`, also as gRPC (streams only so), and `GET /health`, which
/// it answers as long as the process takes requests.
///
/// It is no router: nearly all requests go one way, and each layer that they are carried through is paid for by all.
pub(super) struct Door {
    service: Arc<dyn Service>,
    /// The endpoints' names, and which are streams: asking the service makes every schema anew.
    known: Vec<(String, Streams)>,
    /// How handlers reach the node.
    own: Option<OwnNode>,
    /// What the reserved endpoint `-.config` tells, for which only a node asks: it is in no listing, and a service can
    /// offer none with such a name.
    #[cfg(feature = "config")]
    config: Option<crate::config::Config>,
}

impl Door {
    /// The door of `service`, which reaches its node as `own`.
    pub fn new(service: Arc<dyn Service>, own: Option<OwnNode>) -> Self {
        let known =
            service.endpoints().into_iter().map(|endpoint| (endpoint.name, endpoint.streams)).collect();
        Door {
            service,
            known,
            own,
            #[cfg(feature = "config")]
            config: None,
        }
    }

    /// The same of a service that is configured so.
    #[cfg(feature = "config")]
    pub fn with_config(self, config: Option<crate::config::Config>) -> Self {
        Door { config, ..self }
    }

    /// Answers a request. What is rare is boxed: the future of a call is moved about, and has room for the largest of
    /// all that it may become.
    pub async fn reply(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        if grpc::is_grpc(request.headers()) {
            return Box::pin(grpc::answer(self, request)).await;
        }
        if let Some(response) = self.own_page(&request) {
            return response;
        }
        match self.answer(request).await {
            Ok(body) => response(StatusCode::OK, JSON, body),
            Err(fault) => {
                let status = StatusCode::from_u16(fault.code.http_status());
                let text = serde_json::to_vec(&fault).expect("a fault holds nothing that JSON can't");
                response(status.expect("every code has a valid status"), JSON, text.into())
            }
        }
    }

    /// What is asked of the process, and not of the service.
    fn own_page(&self, request: &Request<Incoming>) -> Option<Response<Body>> {
        let (method, page) = match request.uri().path() {
            "/health" => (Method::GET, response(StatusCode::OK, TEXT, Bytes::from_static(b"ok"))),
            #[cfg(feature = "config")]
            "/-/config" => {
                let report = serde_json::to_vec(&self.config.as_ref()?.report());
                (Method::POST, response(StatusCode::OK, JSON, report.expect("a report is JSON").into()))
            }
            _ => return None,
        };
        if request.method() == method || (method == Method::GET && request.method() == Method::HEAD) {
            return Some(page);
        }
        let mut refusal = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, Bytes::new());
        let allowed = HeaderValue::from_str(method.as_str());
        refusal.headers_mut().insert(ALLOW, allowed.expect("the name of a method is a header"));
        Some(refusal)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Bytes, Fault> {
        let (endpoint, streams) = self.endpoint(request.uri().path())?;
        if streams.any() {
            let message = format!("{endpoint} is a stream, which goes over gRPC");
            return Err(
                Fault::new(Code::Usage, message).help("`micro-node stream SERVICE ENDPOINT` calls it")
            );
        }
        if request.method() != Method::POST {
            let message = format!("{endpoint} takes POST, not {}", request.method());
            return Err(Fault::new(Code::Usage, message));
        }
        let (parts, body) = request.into_parts();
        let ctx = self.ctx(parts.headers)?;
        self.guarded(endpoint, ctx.clone(), self.work(endpoint, ctx, body)).await
    }

    /// The context of a call that came with `headers`.
    pub(super) fn ctx(&self, headers: HeaderMap) -> Result<Ctx, Fault> {
        Ok(Ctx::of(headers)?.of_service(self.own.clone()))
    }

    /// The same of a call that is a stream.
    pub(super) fn ctx_of_stream(&self, headers: HeaderMap) -> Result<Ctx, Fault> {
        Ok(Ctx::of_stream(headers)?.of_service(self.own.clone()))
    }

    /// What comes of `work` on a call of `endpoint`: not a panic, and not later than the call's deadline.
    pub(super) async fn guarded<T>(
        &self,
        endpoint: &str,
        ctx: Ctx,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let given = ctx.remaining();
        let work = AssertUnwindSafe(work).catch_unwind();
        let ended = match ctx.deadline() {
            Some(deadline) => tokio::time::timeout_at(deadline, work).await,
            None => Ok(work.await),
        };
        match ended {
            Ok(Ok(result)) => result,
            // The panic's own text is on stderr, for those who run the service.
            Ok(Err(_panic)) => {
                let fault = Fault::new(Code::Failed, format!("{endpoint} panicked"));
                Err(fault.effect_unknown().help("the log of the service says where"))
            }
            Err(_late) => {
                let message =
                    format!("{endpoint} took longer than the {} ms it was given", given.as_millis());
                Err(Fault::new(Code::Timeout, message).effect_unknown())
            }
        }
    }

    async fn work(&self, endpoint: &str, ctx: Ctx, body: Incoming) -> Result<Bytes, Fault> {
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| {
            Fault::new(
                Code::Usage,
                format!("the request can't be read (its limit is {BODY_BYTES_MAX} bytes): {error}"),
            )
        })?;
        self.dispatch(endpoint, ctx, body.to_bytes()).await
    }

    /// Has the service answer.
    pub(super) async fn dispatch(&self, endpoint: &str, ctx: Ctx, body: Bytes) -> Result<Bytes, Fault> {
        self.service.dispatch(endpoint, ctx, body).await.and_then(within_limit)
    }

    /// The answers to a call of `endpoint`, in JSON, which says `messages`. An error is the last of them.
    pub(super) fn converse(
        self: Arc<Self>,
        endpoint: String,
        ctx: Ctx,
        messages: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, Fault>> + Send + 'static {
        let inbox = Inbox::new(messages);
        let answers = conversation(|outbox| {
            Box::pin(async move {
                let work = self.service.converse(&endpoint, ctx.clone(), inbox, outbox);
                self.guarded(&endpoint, ctx, work).await
            })
        });
        answers.map(|answer| answer.and_then(within_limit))
    }

    /// The endpoint that `path` means: `/Handler/method` is `Handler.method`; and which of its sides are streams.
    pub(super) fn endpoint(&self, path: &str) -> Result<(&str, Streams), Fault> {
        let asked = path.trim_matches('/').replace('/', ".");
        let known = self.known.iter().find(|(known, _)| *known == asked);
        let known = known.ok_or_else(|| unknown_endpoint(&*self.service, &asked))?;
        Ok((&known.0, known.1))
    }
}

fn response(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer that is not longer than what goes through the mesh.
fn within_limit(answer: Bytes) -> Result<Bytes, Fault> {
    if answer.len() <= BODY_BYTES_MAX {
        return Ok(answer);
    }
    let message = format!("an answer of {} bytes is over the limit of {BODY_BYTES_MAX}", answer.len());
    Err(Fault::new(Code::Failed, message).effect_unknown())
}
