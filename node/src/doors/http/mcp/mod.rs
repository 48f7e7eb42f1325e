//! `/mcp`: every endpoint that a caller may use is a tool for programs that think (Model Context Protocol, "Streamable
//! HTTP"), by the same names, schemas and rules as everywhere.
//!
//! A stream is a tool too: what the caller says is given at once, and what the service says is gathered.
//!
//! There are no sessions: each request stands for itself, so that any node can answer it, and none has to remember.

mod dialogue;
mod schema;
mod tool;
mod toolbox;

use super::{Door, Entry, call::answered, problem::Refusal};
use axum::{body::Body, response::Response};
use http::{Method, Request, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::Full;
use micro_sdk::wire::limits::BODY_BYTES_MAX;
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde::de::IgnoredAny;
use serde_json::json;
use std::sync::Arc;
use toolbox::Toolbox;

/// Where it is. No service can be called so.
pub(super) const PATH: &str = "/mcp";

/// Answers one message of the protocol.
///
/// # Errors
/// 405 for what is no `POST`: nothing is sent but answers. 413, 408, 503 as all bodies. Why a tool is not for one who
/// shows nothing.
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
    let toolbox = Toolbox::of(door, entry);
    let unproven = toolbox.unproven();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(toolbox.clone()), sessions, config());
    let response = service.handle(request).await.map(Body::new);
    // Programs look for how to say who they are in the status, and not in what a tool answers.
    if let Some(fault) = unproven.get() {
        return Err(fault.clone().into());
    }
    let json =
        parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    // Of JSON that is no message the library says that it is of another kind.
    if response.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE && json {
        return Ok(not_understood(&held.bytes));
    }
    Ok(response)
}

/// The answer to what is no message of JSON-RPC (its specification, 5.1).
fn not_understood(body: &[u8]) -> Response {
    let (code, message) = match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => (-32600, "the body is no request of JSON-RPC 2.0, of which each is sent by itself"),
        Err(_) => (-32700, "the body is no JSON"),
    };
    let answer = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
    let mut response = answered(answer.to_string().into());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
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
