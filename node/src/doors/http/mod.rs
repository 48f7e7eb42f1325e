//! The HTTP api: people's services by path, typed by their schemas, and what is under the reserved prefix `/-/`.
//!
//! ```text
//! framing, host, page ─► preflight, or caller ─► path ─► what it names ─► body ─► dispatch ─► JSON, or a problem
//! ```

mod blobs;
mod body;
mod call;
mod compression;
pub(super) mod connection;
mod cors;
mod frames;
mod grpc_web;
mod health;
mod host;
mod mcp;
mod metadata;
mod metrics;
mod offer;
mod openapi;
mod path;
mod platform;
mod portions;
mod problem;
mod raw;
mod routes;
mod stream;
mod tunnel;

pub(super) use body::json_text;
pub(super) use metadata::{attempts, metadata, trace_of};

use crate::{
    config::HttpConfig,
    doors::{credentials::Credentials, grpc::Services, limits::Limits, tally::Tally},
    node::{Context, Local},
};
use axum::{body::Body, extract::Request, response::Response};
use body::Room;
use compression::compressed;
use connection::Arrival;
use cors::{Origins, Page};
use host::Hosts;
use http::{
    HeaderName, HeaderValue, Method, Version,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
    request::Parts,
};
use hyper::body::Body as _;
use micro_actors::audit::AuditEvent;
use micro_sdk::wire::{Fault, Namespace, ServiceName, TraceId};
use problem::Refusal;
use routes::{Latest, Routes};
use std::sync::Arc;
use tokio::{sync::watch, time::Instant};

/// Says the trace that a request belonged to.
const TRACE_HEADER: HeaderName = HeaderName::from_static("micro-trace-id");
/// What a caller calls its request, for its own logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest name of a request that is given back.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// What all threads of the door share.
pub(super) struct Shared {
    hosts: Hosts,
    origins: Origins,
    credentials: Arc<Credentials>,
    limits: Arc<Limits>,
    latest: Latest,
    room: Room,
    tally: Arc<Tally>,
}

impl Shared {
    /// For a door that is set up so. `named` says whether this node tells the names of the mesh, which then lead to the
    /// door.
    pub fn new(
        config: HttpConfig,
        named: bool,
        credentials: Arc<Credentials>,
        limits: Arc<Limits>,
        tally: Arc<Tally>,
    ) -> Arc<Self> {
        Arc::new(Shared {
            hosts: Hosts::new(config.hosts, named),
            origins: Origins::new(config.cors_origins),
            credentials,
            limits,
            latest: Latest::default(),
            room: Room::default(),
            tally,
        })
    }

    /// What callers may ask for.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }
}

/// What the door itself tells. No service can be called so.
#[derive(Clone, Copy)]
enum Document {
    Health,
    Ready,
    Metrics,
    OpenApi,
    Keys,
}

impl Document {
    fn at(path: &str) -> Option<Self> {
        match path {
            "/health" => Some(Document::Health),
            "/ready" => Some(Document::Ready),
            "/metrics" => Some(Document::Metrics),
            "/openapi.json" => Some(Document::OpenApi),
            "/.well-known/jwks.json" => Some(Document::Keys),
            _ => None,
        }
    }
}

/// The door, as one thread has it.
#[derive(Clone)]
struct Door {
    local: Local,
    shared: Arc<Shared>,
    services: Services,
    draining: watch::Receiver<bool>,
}

/// What is known of a request before its path is looked at.
struct Entry<'r> {
    /// Who calls, in which trace, until when.
    context: Context,
    /// The tenant.
    namespace: Namespace,
    /// The name of the host that is called; empty if none was said.
    host: &'r str,
}

/// The api, as the connections of one thread have it. Clones share everything.
#[derive(Clone)]
pub(super) struct Api(Arc<Door>);

impl Api {
    /// For the connections of the thread whose node `local` is.
    pub fn new(
        local: Local,
        services: Services,
        shared: Arc<Shared>,
        draining: watch::Receiver<bool>,
    ) -> Self {
        Api(Arc::new(Door { local, shared, services, draining }))
    }

    /// Answers a request. Where it came in is among its extensions.
    pub async fn answer(&self, request: Request) -> Response {
        let is_head = request.method() == Method::HEAD;
        let encodings = request.headers().get_all(ACCEPT_ENCODING).iter().cloned().collect();
        let response = self.0.handle(request).await;
        if is_head { without_body(response) } else { compressed(encodings, response).await }
    }
}

/// Whether what a caller calls its request may go into answers and logs: words of people's ids, and nothing that means
/// something to who shows it.
fn is_request_id(id: &HeaderValue) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    (1..=REQUEST_ID_BYTES_MAX).contains(&id.len()) && id.as_bytes().iter().all(fits)
}

/// A document of this kind.
fn of_kind(text: String, kind: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The answer to a HEAD: all but the body, whose length is told (RFC 9110, 9.3.2).
fn without_body(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    Response::from_parts(head, Body::empty())
}

impl Door {
    async fn handle(&self, request: Request) -> Response {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let trace = trace_of(&parts.headers).unwrap_or_else(|| self.local.trace());
        let (page, answer) = match self.page(&parts) {
            Ok(page) => {
                let answer = self.answer(&page, &parts, body, trace).await;
                (page, answer)
            }
            Err(refusal) => (Page::Own, Err(refusal)),
        };
        let mut response = answer.unwrap_or_else(|refusal| refusal.into_response(trace));
        let headers = response.headers_mut();
        page.admit(headers);
        if let Ok(mut trace) = HeaderValue::try_from(trace.to_string()) {
            // No two are alike: HTTP/2 need not remember it for the next answer (RFC 7541, 6.2.3).
            trace.set_sensitive(true);
            let own = parts.headers.get(REQUEST_ID).filter(|id| is_request_id(id));
            headers.insert(REQUEST_ID, own.cloned().unwrap_or_else(|| trace.clone()));
            headers.insert(TRACE_HEADER, trace);
        }
        self.shared.tally.answered(response.status().as_u16(), began.elapsed());
        response
    }

    /// The page that a request comes from, of a request that is one only in one way.
    fn page(&self, parts: &Parts) -> Result<Page, Refusal> {
        framed_once(parts)?;
        let authority = host::authority(parts.version, &parts.uri, &parts.headers)?;
        Ok(self.shared.origins.page(&parts.headers, authority)?)
    }

    async fn answer(
        &self,
        page: &Page,
        parts: &Parts,
        body: Body,
        trace: TraceId,
    ) -> Result<Response, Refusal> {
        let authority = host::authority(parts.version, &parts.uri, &parts.headers)?;
        let named = self.shared.hosts.namespace(authority, &parts.headers)?;
        if let Some(answer) = page.preflight(&parts.method, &parts.headers) {
            return Ok(answer);
        }
        let origin = parts.extensions.get::<Arrival>().map(Arrival::origin).unwrap_or_default();
        let known = self.shared.credentials.known_or_nobody(&parts.headers);
        let known = known.map_err(|fault| {
            let nobody = &self.shared.credentials.nobody;
            if let Err(exceeded) = self.shared.limits.admit(nobody, origin) {
                return exceeded.into();
            }
            self.refused(
                &Context { origin, trace: Some(trace), ..Context::of(nobody.clone()) },
                parts,
                &fault,
            );
            Refusal::from(fault).ask_who()
        })?;
        // Who looks whether the node lives must not be told that it is asked too often.
        if !matches!(Document::at(parts.uri.path()), Some(Document::Health | Document::Ready)) {
            self.shared.limits.admit(&known.caller, origin)?;
        }
        let own = known.caller.account().map(|own| own.namespace.clone());
        let namespace = named.or(own).unwrap_or_default();
        let mut context = Context { token: known.token, ..Context::of(known.caller) };
        (context.origin, context.trace) = (origin, Some(trace));
        context.deadline = metadata::deadline(&parts.headers)?;
        context.idempotency_key = metadata::idempotency_key(&parts.headers)?;
        context.attempts = attempts(&parts.headers)?;
        let host = authority.map(host::lowercase).unwrap_or_default();
        let entry = Entry { context, namespace, host: &host };
        self.named(&entry, parts, body).await
    }

    /// What the path names answers. All but calls is boxed, so that the future of a call, which is moved about, is not
    /// as large as the largest of the others.
    async fn named(&self, entry: &Entry<'_>, parts: &Parts, body: Body) -> Result<Response, Refusal> {
        if grpc_web::is_asked(&parts.headers) {
            return Ok(Box::pin(grpc_web::answer(self, entry, parts, body)).await);
        }
        let of_the_node = if blobs::wanted(parts) {
            Box::pin(blobs::answer(&self.local, &entry.context, parts)).await
        } else if parts.uri.path().starts_with(platform::PREFIX) {
            Box::pin(platform::answer(self, entry, parts, body)).await
        } else if let Some(document) = Document::at(parts.uri.path()) {
            match parts.method {
                Method::GET | Method::HEAD => Box::pin(self.document(document, entry)).await,
                _ => Err(Refusal::method(&parts.method, "GET, HEAD")),
            }
        } else if parts.uri.path() == mcp::PATH {
            Box::pin(mcp::answer(self, entry, parts, body)).await
        } else {
            // What a service refuses for reasons of its own is told as it says it.
            return call::call(self, entry, parts, body).await;
        };
        of_the_node.map_err(|refusal| refusal.told_to(&entry.context.caller))
    }

    /// Whether the caller may use an endpoint of a service.
    ///
    /// # Errors
    /// 403, or 401 for one who showed nothing.
    fn may_call(&self, entry: &Entry<'_>, service: &ServiceName, endpoint: &str) -> Result<(), Refusal> {
        let may = self.local.may_call(&entry.context, &entry.namespace, service.as_str(), endpoint);
        may.map_err(|fault| Refusal::from(fault).told_to(&entry.context.caller))
    }

    /// A document of the door's own.
    async fn document(&self, document: Document, entry: &Entry<'_>) -> Result<Response, Refusal> {
        match document {
            Document::Health => Ok(health::health()),
            Document::Ready => health::ready(self).await,
            // Whoever is shown a token may look who signed it.
            Document::Keys => Ok(of_kind(self.local.public_keys(), "application/jwk-set+json")),
            Document::OpenApi => Ok(call::answered(openapi::document(self, entry).await.to_string().into())),
            Document::Metrics => {
                self.local.may_read_public(&entry.context, "metrics")?;
                Ok(of_kind(metrics::expose(&self.local, &self.shared.tally), metrics::CONTENT_TYPE))
            }
        }
    }

    /// Tells that a caller is not let in. Of a path only its beginning is told: behind the name of a service, anything
    /// may be part of it.
    fn refused(&self, context: &Context, parts: &Parts, fault: &Fault) {
        let path = parts.uri.path();
        let told = match platform::Methods::all().at(path) {
            Some(_) => path,
            None => path.get(1..).and_then(|rest| rest.find('/')).map_or(path, |end| &path[..=end]),
        };
        let refused = AuditEvent::refused(context.asker(), "enter", told, &fault.message);
        self.local.guard().audit().tell(refused);
    }

    /// The routes as of now.
    fn routes(&self) -> Arc<Routes> {
        self.shared.latest.of(&self.local.table())
    }
}

/// Refuses a request whose end two programs could see in different places (RFC 9112, 6.1). One with a length beside its
/// chunks never comes so far as one: hyper takes the chunks, and ends the connection (RFC 9112, 6.3).
fn framed_once(parts: &Parts) -> Result<(), Refusal> {
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else { return Ok(()) };
    if parts.version < Version::HTTP_11 {
        return Err(Refusal::ambiguous("HTTP/1.0 has no Transfer-Encoding"));
    }
    if encodings.next().is_some() {
        return Err(Refusal::ambiguous("the header Transfer-Encoding is there more than once"));
    }
    match encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        true => Ok(()),
        false => Err(Refusal::ambiguous(format!("the Transfer-Encoding {encoding:?} is not taken"))
            .help("send chunks, or a Content-Length")),
    }
}
