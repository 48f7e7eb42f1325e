//! The HTTP side of a service: reads a request, guards its handler, writes the answer.

use super::{Ctx, Inbox, Service, conversation::conversation, grpc, own_node::OwnNode, unknown_endpoint};
use crate::wire::{Code, Fault, Streams, limits::BODY_BYTES_MAX};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use std::{panic::AssertUnwindSafe, sync::Arc};

/// The routes: `POST /Handler/method`, also as gRPC (streams only so), and `GET /health`, which answers as long as the
/// process takes requests.
pub(crate) fn router(service: Arc<dyn Service>, own: Option<OwnNode>) -> Router {
    let door = Arc::new(Door {
        known: service.endpoints().into_iter().map(|endpoint| (endpoint.name, endpoint.streams)).collect(),
        service,
        own,
    });
    Router::new().route("/health", get(|| async { "ok" })).fallback(answer).with_state(door)
}

/// The same with the reserved endpoint `-.config`, which only a node asks for: it is in no listing, and a service can
/// offer none with such a name.
#[cfg(feature = "config")]
pub(crate) fn with_config(router: Router, config: crate::config::Config) -> Router {
    router.route("/-/config", axum::routing::post(async move || axum::Json(config.report())))
}

pub(super) struct Door {
    service: Arc<dyn Service>,
    /// The endpoints' names, and which are streams: asking the service makes every schema anew.
    known: Vec<(String, Streams)>,
    /// How handlers reach the node.
    own: Option<OwnNode>,
}

async fn answer(State(door): State<Arc<Door>>, request: Request) -> Response {
    if grpc::is_grpc(request.headers()) {
        return grpc::answer(door, request).await;
    }
    let (status, body) = match door.answer(request).await {
        Ok(body) => (StatusCode::OK, Body::from(body)),
        Err(fault) => {
            let status = StatusCode::from_u16(fault.code.http_status());
            let json = serde_json::to_vec(&fault).expect("a fault holds nothing that JSON can't");
            (status.expect("every code has a valid status"), Body::from(json))
        }
    };
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

impl Door {
    async fn answer(&self, request: Request) -> Result<Bytes, Fault> {
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

    async fn work(&self, endpoint: &str, ctx: Ctx, body: Body) -> Result<Bytes, Fault> {
        let body = axum::body::to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
            Fault::new(
                Code::Usage,
                format!("the request can't be read (its limit is {BODY_BYTES_MAX} bytes): {error}"),
            )
        })?;
        self.dispatch(endpoint, ctx, body).await
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

/// An answer that is not longer than what goes through the mesh.
fn within_limit(answer: Bytes) -> Result<Bytes, Fault> {
    if answer.len() <= BODY_BYTES_MAX {
        return Ok(answer);
    }
    let message = format!("an answer of {} bytes is over the limit of {BODY_BYTES_MAX}", answer.len());
    Err(Fault::new(Code::Failed, message).effect_unknown())
}
