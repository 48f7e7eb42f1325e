//! Services that take HTTP as it is: a request below their name, or at a route of theirs, is passed on with its method,
//! path, query, headers and body, and so is the answer.
//!
//! What is between two neighbours is not, nor what a caller shows to say who it is: the node says that, under names
//! that callers can't use.

use super::{Door, Entry, connection::Arrival, host, path::Path, problem::Refusal, tunnel::Tunnel};
use crate::doors::{claims::is_kept_back, grpc::Target as Called};
use axum::{body::Body, response::Response};
use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_LENGTH, HOST, VIA},
    request::Parts,
    uri::Scheme,
};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use micro_actors::{RawRequest, audit::Origin, strip_hops};
use micro_sdk::wire::{Code, Fault, ServiceName};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::time::Duration;
use tokio::time::timeout;

/// How long the head of an answer may take where neither the caller nor the policy of the service says less: what is
/// behind it may take as long as it likes.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How many headers are passed on, and how long all of them: the head of a call has room for no more.
const HEADERS_MAX: usize = 96;
const HEADERS_BYTES_MAX: usize = 12 << 10;
/// What stands for something else in a path, or in none (RFC 3986, 3.3; WHATWG URL, "path percent-encode set").
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// How often a request may pass doors of the mesh on its way: services may call each other, and not in a circle.
const PASSES_MAX: usize = 8;
/// What doors of the mesh are called in `Via` (RFC 9110, 7.6.3).
const PSEUDONYM: &str = "micro-node";
/// What a proxy says of its client; nobody is believed who says it here.
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// A path as it is authorized and sent on: one way to write what `path` means. `slash` is one at its end.
pub(super) fn canonical(path: &Path<'_>, slash: bool) -> String {
    let segments =
        path.segments().iter().map(|segment| format!("/{}", utf8_percent_encode(segment, ESCAPED)));
    let whole: String = segments.chain(slash.then(|| "/".to_owned())).collect();
    // The root of a host.
    if whole.is_empty() { "/".to_owned() } else { whole }
}

/// A path as those servers read it for which a semicolon begins parameters of a segment (RFC 3986, 3.3): who may not
/// call the one may not call the other.
fn without_parameters(path: &str) -> String {
    let plain = |segment: &'_ str| segment.split(';').next().unwrap_or_default().to_owned();
    let segments = path.split('/').skip(1).map(plain).filter(|segment| !segment.is_empty());
    segments.map(|segment| format!("/{segment}")).collect()
}

/// Passes a request on, and its answer back.
///
/// # Errors
/// 431 for too many headers, and why nobody answers.
pub(super) async fn answer(
    door: &Door,
    entry: &Entry<'_>,
    parts: &Parts,
    body: Body,
    service: ServiceName,
    path: String,
) -> Result<Response, Refusal> {
    door.may_call(entry, &service, &path)?;
    if path.contains(';') {
        door.may_call(entry, &service, &without_parameters(&path))?;
    }
    // What it answers holds what the node says of the caller, and is for who may read it (RFC 9110, 9.3.8).
    if parts.method == Method::TRACE {
        return Err(Refusal::method(&parts.method, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    }
    if passed_here(&parts.headers) >= PASSES_MAX {
        let message = "the request comes back here again and again: its services lead to each other";
        return Err(Refusal::of(StatusCode::LOOP_DETECTED, message));
    }
    let authority = host::authority(parts.version, &parts.uri, &parts.headers)?.unwrap_or(entry.host);
    let mut headers = passed_on(&parts.headers, authority, entry)?;
    let scheme = parts.extensions.get::<Arrival>().map_or(&Scheme::HTTP, Arrival::scheme);
    headers.push((FORWARDED_PROTO.to_owned(), scheme.to_string()));
    let (tunnel, said) = Tunnel::of(parts).unzip();
    if tunnel.is_some() {
        headers.extend(Tunnel::handshake(&parts.headers));
    }
    let length_told = parts.headers.contains_key(CONTENT_LENGTH);
    if !length_told && body.is_end_stream() && !matches!(parts.method, Method::GET | Method::HEAD) {
        headers.push((CONTENT_LENGTH.to_string(), "0".to_owned()));
    }
    let request = RawRequest {
        method: parts.method.clone(),
        path: path.clone(),
        query: parts.uri.query().map(str::to_owned),
        headers,
        socket: tunnel.is_some(),
    };
    let patience = entry.context.deadline.unwrap_or(HEAD_PATIENCE);
    let policy = door.local.call_timeout(&entry.namespace, &service);
    let patience = policy.map_or(patience, |policy| policy.min(patience));
    let called = Called { namespace: entry.namespace.clone(), service, endpoint: path };
    let gone = |error| Fault::new(Code::Usage, format!("the request can't be read to its end: {error}"));
    let body = said.unwrap_or_else(|| body.map_err(gone).boxed_unsync());
    let answer = door.services.converse(&entry.context, called, request.metadata(), body);
    let late = |_| {
        Fault::new(Code::Timeout, format!("the service gave no answer within {patience:?}")).effect_unknown()
    };
    let answer = timeout(patience, answer).await.map_err(late)?;
    let answer = answer.map_err(|fault| Refusal::from(fault).of_gateway())?;
    Ok(match tunnel {
        Some(tunnel) => tunnel.open(answer),
        None => answer.map(Body::new),
    })
}

/// The headers that the service is given.
fn passed_on(
    headers: &HeaderMap,
    authority: &str,
    entry: &Entry<'_>,
) -> Result<Vec<(String, String)>, Refusal> {
    let mut passed = Vec::new();
    // Before the node says its own: else a caller could have that taken for what is between neighbours.
    let mut headers = headers.clone();
    strip_hops(&mut headers);
    for (name, value) in headers.iter().filter(|(name, _)| !is_kept_back(name)) {
        if let Ok(value) = value.to_str() {
            passed.push((name.as_str().to_owned(), value.to_owned()));
        }
    }
    // In HTTP/2 the target says it, and the service is spoken to in HTTP/1.1, where there has to be a header.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host.is_none() && !authority.is_empty() {
        passed.push((HOST.to_string(), authority.to_owned()));
    }
    passed.push((VIA.to_string(), format!("1.1 {PSEUDONYM}")));
    passed.push((FORWARDED_HOST.to_owned(), host.unwrap_or(authority).to_owned()));
    if let Origin::Api(peer) = entry.context.origin {
        passed.push((FORWARDED_FOR.to_owned(), peer.ip().to_string()));
    }
    let bytes: usize = passed.iter().map(|(name, value)| name.len() + value.len()).sum();
    if passed.len() > HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
        let message =
            format!("at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes are passed on to a service");
        return Err(Refusal::of(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
    }
    Ok(passed)
}

/// How often a request says that it has passed a door of a mesh.
fn passed_here(headers: &HeaderMap) -> usize {
    let lists = headers.get_all(VIA).iter().filter_map(|list| list.to_str().ok());
    let by = lists.flat_map(|list| list.split(',')).filter_map(|pass| pass.split_whitespace().nth(1));
    by.filter(|by| *by == PSEUDONYM).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_with_a_semicolon_is_no_part_of_a_place() {
        for (path, expected) in [
            ("/raw/admin;x=1/users", "/raw/admin/users"),
            ("/raw/;/admin", "/raw/admin"),
            ("/raw/a;", "/raw/a"),
        ] {
            assert_eq!(without_parameters(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_has_one_way_to_be_written() {
        for (text, slash, expected) in [
            ("/shop/carts/7", false, "/shop/carts/7"),
            ("/shop/a%20b/%C3%BC", true, "/shop/a%20b/%C3%BC/"),
            ("/shop/%61:b@c", false, "/shop/a:b@c"),
            ("/shop/a%252fb", false, "/shop/a%252fb"),
            ("/shop/%3f%23", false, "/shop/%3F%23"),
            ("/", false, "/"),
        ] {
            let path = Path::parse(text).expect("a good path");
            assert_eq!(canonical(&path, slash), expected, "{text}");
            let again = expected.strip_suffix('/').filter(|rest| !rest.is_empty()).unwrap_or(expected);
            let again = Path::parse(again).expect("it is a path too");
            assert_eq!(again, path, "{text}");
        }
    }
}
