//! `/mcp`: every endpoint that a caller may use is a tool for programs that think (Model Context Protocol, "Streamable
//! HTTP"), by the same names, schemas and rules as everywhere.
//!
//! There are no sessions: each request stands for itself, so that any node can answer it, and none has to remember.

mod schema;
mod tool;
mod toolbox;

use super::{Door, Entry, problem::Refusal};
use axum::{body::Body, response::Response};
use http::{Method, Request, request::Parts};
use http_body_util::Full;
use micro_sdk::wire::limits::BODY_BYTES_MAX;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use std::sync::Arc;
use toolbox::Toolbox;

/// Where it is. No service can be called so.
pub(super) const PATH: &str = "/mcp";

/// Answers one message of the protocol.
///
/// # Errors
/// 405 for what is no `POST`: nothing is sent but answers. 413, 408, 503 as all bodies.
pub(super) async fn answer(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
) -> Result<Response, Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::method(&parts.method, "POST"));
    }
    // Which tool it is for stands in it, so whoever may use none sends no more than its beginning.
    let more = || door.local.may_send_more(&entry.context, &["service"]);
    let held = door.shared.room.collect(&parts.headers, body, entry.context.time(), more).await?;
    let mut request = Request::new(Full::new(held.bytes.clone()));
    (*request.method_mut(), *request.uri_mut()) = (parts.method.clone(), parts.uri.clone());
    *request.headers_mut() = parts.headers.clone();
    let toolbox =
        Toolbox { door: door.clone(), context: entry.context.clone(), namespace: entry.namespace.clone() };
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(toolbox.clone()), sessions, config());
    Ok(service.handle(request).await.map(Body::new))
}

/// Without sessions, answers as JSON. Hosts and pages were looked at by the door, as for all that it takes.
fn config() -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_sse_retry(None)
        .with_max_request_body_bytes(BODY_BYTES_MAX)
        .disable_allowed_hosts()
}
