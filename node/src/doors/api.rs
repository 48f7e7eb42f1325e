//! The HTTP api: `GET` and `POST` of `/SERVICE/METHOD` and `/SERVICE/HANDLER/METHOD`, JSON in and out; public blobs.

use super::{credentials, public_blobs};
use crate::node::Local;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HOST, ORIGIN},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use micro_sdk::wire::{Caller, Code, Fault, ServiceName, TraceId, limits::BODY_BYTES_MAX};
use serde_json::{Map, Value, json, value::RawValue};
use std::{net::Ipv4Addr, time::Duration};

/// What a browser says of the page that a request comes from (Fetch Metadata Request Headers, W3C).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Says how many milliseconds a call may take.
const DEADLINE_HEADER: &str = "micro-deadline-ms";
/// Says the trace that a call belonged to.
const TRACE_HEADER: &str = "micro-trace-id";
/// Headers that begin so are the node's own: callers can't set them.
const RESERVED_PREFIX: &str = "micro-";
/// How many headers a call may carry along, and how long all of them.
const METADATA_ENTRIES_MAX: usize = 32;
const METADATA_BYTES_MAX: usize = 8 << 10;

/// The router of the door, to which who shows no token is `nobody`.
pub(super) fn router(local: Local, nobody: Caller) -> Router {
    Router::new().fallback(handle).with_state((local, nobody))
}

async fn handle(State((local, nobody)): State<(Local, Caller)>, request: Request) -> Response {
    let trace = request.headers().get("traceparent").and_then(|value| value.to_str().ok()).and_then(trace_of);
    if public_blobs::wanted(&request) {
        return match public_blobs::answer(&local, &nobody, request.into_parts().0).await {
            Ok(response) => response,
            Err(refusal) => problem(&refusal, trace),
        };
    }
    match call(&local, &nobody, trace, request).await {
        Ok((trace, body)) => respond(StatusCode::OK, "application/json", body, Some(trace)),
        Err((trace, refusal)) => problem(&refusal, trace),
    }
}

/// A fault, and the status that says it in HTTP.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    fault: Fault,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.http_status());
        Refusal { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), fault }
    }
}

type Failure = (Option<TraceId>, Refusal);

async fn call(
    local: &Local,
    nobody: &Caller,
    trace: Option<TraceId>,
    request: Request,
) -> Result<(TraceId, Bytes), Failure> {
    let early = |fault: Fault| (trace, Refusal::from(fault));
    same_host(request.headers()).map_err(early)?;
    let (service, endpoint) = target(request.uri().path()).map_err(early)?;
    let mut context = credentials::context(local, request.headers(), nobody).map_err(early)?;
    context.trace = trace;
    context.deadline = deadline(request.headers()).map_err(early)?;
    let head = local.head(&context, service, &endpoint);
    let trace = head.trace;
    let body = input(request).await.map_err(|refusal| (Some(trace), refusal))?;
    let answer = local.call(head, body).await.map_err(|fault| (Some(trace), fault.into()))?;
    Ok((trace, answer.body))
}

/// What a request hands to the endpoint, as JSON.
async fn input(request: Request) -> Result<Bytes, Refusal> {
    match *request.method() {
        Method::GET => Ok(query(request.uri().query().unwrap_or(""))),
        Method::POST => Ok(json(collect(request.into_body()).await?)?),
        ref other => Err(Refusal {
            status: StatusCode::METHOD_NOT_ALLOWED,
            fault: Fault::new(Code::Usage, format!("{other} is not taken here")).help("use GET or POST"),
        }),
    }
}

/// Refuses what a browser was talked into: a page elsewhere that posts to this host, or a name that was pointed here.
pub(super) fn same_host(headers: &HeaderMap) -> Result<(), Fault> {
    let local = |authority: &str| {
        let name = authority.rsplit_once(':').map_or(authority, |(name, port)| {
            if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { authority }
        });
        // The whole of it must be an address: "127.evil.example" is a name like any other.
        matches!(name, "localhost" | "[::1]") || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
    };
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    if let Some(host) = text(HOST).filter(|host| !local(host)) {
        return Err(Fault::new(Code::Denied, format!("the host {host:?} is not this node's api"))
            .help("call it as 127.0.0.1 or localhost"));
    }
    // Images and links of a foreign page send no origin, but browsers say this of all that they send.
    if text(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site") {
        return Err(Fault::new(Code::Denied, "pages of other sites may not call this api"));
    }
    if let Some(origin) = text(ORIGIN)
        && !origin.split_once("://").is_some_and(|(_, authority)| local(authority))
    {
        return Err(Fault::new(Code::Denied, format!("pages of {origin:?} may not call this api")));
    }
    Ok(())
}

/// The service and endpoint that a path names.
fn target(path: &str) -> Result<(ServiceName, String), Fault> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let shape = || {
        Fault::new(Code::NotFound, format!("nothing is at {path:?}"))
            .help("call a service as /SERVICE/METHOD or /SERVICE/HANDLER/METHOD")
            .help("`micro-node services` lists them")
    };
    let word = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.';
        !text.is_empty() && text.len() <= 128 && text.bytes().all(plain)
    };
    let (service, endpoint) = match parts.as_slice() {
        [service, method] if word(method) => (service, (*method).to_owned()),
        [service, handler, method] if word(handler) && word(method) => {
            (service, format!("{handler}.{method}"))
        }
        _ => return Err(shape()),
    };
    service.parse().map(|service| (service, endpoint)).map_err(|_| shape())
}

fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let Some(value) = headers.get(DEADLINE_HEADER) else { return Ok(None) };
    let ms = value.to_str().ok().and_then(|text| text.parse::<u32>().ok()).filter(|ms| *ms > 0);
    let ms =
        ms.ok_or_else(|| Fault::new(Code::Usage, format!("{DEADLINE_HEADER} takes a number above 0")))?;
    Ok(Some(Duration::from_millis(ms.into())))
}

/// The trace id in a `traceparent` header (W3C Trace Context).
pub(super) fn trace_of(traceparent: &str) -> Option<TraceId> {
    let mut parts = traceparent.split('-');
    let (_version, trace) = (parts.next()?, parts.next()?);
    trace.parse().ok().filter(|trace: &TraceId| trace.0 != 0)
}

async fn collect(body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("the body is larger than the limit of {BODY_BYTES_MAX} bytes");
            let fault = Fault::new(Code::Usage, message).help("send less, or in parts");
            Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, fault })
        }
        Err(error) => Err(Fault::new(Code::Usage, format!("the body broke off: {error}")).into()),
    }
}

/// A body that is JSON; an empty one means `{}`.
pub(super) fn json(body: Bytes) -> Result<Bytes, Fault> {
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<&RawValue>(&body) {
        Ok(_) => Ok(body),
        Err(error) => Err(Fault::new(Code::Usage, format!("the body is not JSON: {error}"))
            .help("write it as {\"name\": \"Jane\"}")),
    }
}

/// The JSON object that a query string stands for: values are strings, repeated names lists.
fn query(query: &str) -> Bytes {
    let mut object = Map::new();
    for (name, value) in form_urlencoded(query) {
        match object.get_mut(&name) {
            None => {
                object.insert(name, Value::String(value));
            }
            Some(Value::Array(values)) => values.push(Value::String(value)),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(object).to_string().into()
}

fn form_urlencoded(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decoded(name), percent_decoded(value))
    })
}

pub(super) fn percent_decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The headers that a call carries along, checked and sorted.
pub(super) fn metadata(
    given: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<(String, String)>, Fault> {
    let mut metadata = Vec::new();
    let mut bytes = 0;
    for (name, value) in given {
        let name = name.to_ascii_lowercase();
        bytes += name.len() + value.len();
        let good = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(&value).is_ok();
        if !good {
            return Err(Fault::new(Code::Usage, format!("{name:?} is not a header that can be sent")));
        }
        let hop = matches!(
            name.as_str(),
            "host" | "content-length" | "content-type" | "transfer-encoding" | "connection"
        );
        if hop || name.starts_with(RESERVED_PREFIX) {
            return Err(Fault::new(Code::Usage, format!("the header {name:?} is set by the node")));
        }
        metadata.push((name, value));
    }
    if metadata.len() > METADATA_ENTRIES_MAX || bytes > METADATA_BYTES_MAX {
        let message =
            format!("at most {METADATA_ENTRIES_MAX} headers of {METADATA_BYTES_MAX} bytes are carried along");
        return Err(Fault::new(Code::Usage, message));
    }
    metadata.sort();
    Ok(metadata)
}

/// A failure as RFC 9457 has it, with our code beside.
fn problem(Refusal { status, fault }: &Refusal, trace: Option<TraceId>) -> Response {
    let body = json!({
        "title": status.canonical_reason().unwrap_or("error"),
        "status": status.as_u16(),
        "detail": fault.message,
        "code": fault.code.name(),
        "help": fault.help,
        "effect": fault.effect,
        "trace_id": trace.map(|trace| trace.to_string()),
    });
    respond(*status, "application/problem+json", body.to_string().into(), trace)
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes, trace: Option<TraceId>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    if let Some(trace) = trace.and_then(|trace| HeaderValue::from_str(&trace.to_string()).ok()) {
        headers.insert(TRACE_HEADER, trace);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_a_service_and_an_endpoint() {
        let service = |name: &str| name.parse::<ServiceName>().expect("a good name");
        assert_eq!(target("/helloworld/call"), Ok((service("helloworld"), "call".to_owned())));
        assert_eq!(target("/shop/Cart/add"), Ok((service("shop"), "Cart.add".to_owned())));
        for bad in
            ["/", "/shop", "/shop/", "/shop/a/b/c", "/Shop/a", "/shop/%2e%2e", "/../a", "//a", "/shop/a;b"]
        {
            assert!(target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_query_becomes_an_object() {
        assert_eq!(
            query("name=Jane+Doe&x=%C3%BC&x=2&y"),
            Bytes::from(r#"{"name":"Jane Doe","x":["ü","2"],"y":""}"#)
        );
        assert_eq!(query("a=%zz%4"), Bytes::from(r#"{"a":"%zz%4"}"#));
    }

    #[test]
    fn pages_of_other_hosts_are_refused() {
        let headers = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            pairs.collect::<HeaderMap>()
        };
        assert!(same_host(&headers(&[(HOST, "127.0.0.1:8080")])).is_ok());
        assert!(same_host(&headers(&[(HOST, "[::1]:8080"), (ORIGIN, "http://localhost:3000")])).is_ok());
        assert!(same_host(&headers(&[(HOST, "evil.example:8080")])).is_err());
        assert!(same_host(&headers(&[(HOST, "127.evil.example")])).is_err());
        assert!(same_host(&headers(&[(HOST, "localhost"), (ORIGIN, "https://evil.example")])).is_err());
        assert!(same_host(&headers(&[(ORIGIN, "null")])).is_err());
        assert!(same_host(&headers(&[(SEC_FETCH_SITE, "cross-site")])).is_err());
        assert!(same_host(&headers(&[(SEC_FETCH_SITE, "none")])).is_ok());
    }

    async fn refused(method: Method, body: Vec<u8>) -> (Response, Value) {
        let request = Request::builder().method(method).uri("/helloworld/call").body(Body::from(body));
        let refusal = input(request.expect("it is a request")).await.expect_err("it is not taken");
        let (parts, body) = problem(&refusal, None).into_parts();
        let body = body.collect().await.expect("it is in memory").to_bytes();
        let json = serde_json::from_slice(&body).expect("a problem is JSON");
        (Response::from_parts(parts, Body::empty()), json)
    }

    #[tokio::test]
    async fn another_method_is_told_which_are_taken() {
        for method in [Method::PUT, Method::DELETE, Method::OPTIONS] {
            let (response, json) = refused(method.clone(), Vec::new()).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[ALLOW], "GET, POST");
            assert_eq!((&json["status"], &json["code"]), (&json!(405), &json!("usage")));
            assert!(json["detail"].to_string().contains(method.as_str()), "{json}");
        }
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_told_the_limit() {
        let (response, json) = refused(Method::POST, vec![b' '; BODY_BYTES_MAX + 1]).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!((&json["status"], &json["code"]), (&json!(413), &json!("usage")));
        assert!(json["detail"].to_string().contains(&BODY_BYTES_MAX.to_string()), "{json}");
        let (response, json) = refused(Method::POST, b"{not json".to_vec()).await;
        assert_eq!((response.status(), &json["code"]), (StatusCode::BAD_REQUEST, &json!("usage")));
    }

    #[test]
    fn traces_are_read_from_traceparent() {
        let trace = trace_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        assert_eq!(trace.map(|trace| trace.to_string()).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
        assert_eq!(trace_of("00-00000000000000000000000000000000-b7ad6b7169203331-01"), None);
        assert_eq!(trace_of("nonsense"), None);
    }
}
