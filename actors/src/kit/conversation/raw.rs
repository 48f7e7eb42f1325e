//! A request of HTTP as it stands in the head of a call, for instances that take it as it is.
//!
//! The endpoint of such a call is the path: what begins with a slash is the name of no other. An instance says that it
//! takes them by the endpoint `/`.

use super::Body;
use http::{HeaderName, HeaderValue, Method, Request};
use micro_sdk::wire::{Code, Fault, Head};
use std::net::SocketAddr;

/// The endpoint of an instance that takes requests as they are, and what their paths begin with.
pub const RAW: &str = "/";
/// What is no header is told under names that no header has (as HTTP/2 does).
const METHOD: &str = ":method";
const QUERY: &str = ":query";
const PROTOCOL: &str = ":protocol";
/// The protocol of connections that become something else than HTTP (RFC 6455). Others are of neighbours.
const WEBSOCKET: &str = "websocket";

/// Such a request without its body.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// The method.
    pub method: Method,
    /// The path, as it is authorized and as it is sent.
    pub path: String,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// Whether it asks for a WebSocket: then the body is what the caller says once it is one.
    pub socket: bool,
}

impl RawRequest {
    /// What goes with the call whose endpoint is the path.
    pub fn metadata(&self) -> Vec<(String, String)> {
        let mut metadata = vec![(METHOD.to_owned(), self.method.to_string())];
        metadata.extend(self.query.iter().map(|query| (QUERY.to_owned(), query.clone())));
        metadata.extend(self.socket.then(|| (PROTOCOL.to_owned(), WEBSOCKET.to_owned())));
        metadata.extend(self.headers.iter().cloned());
        metadata
    }

    /// The request of a call.
    ///
    /// # Errors
    /// [`Code::Usage`] if it is none.
    pub(crate) fn of(head: &Head) -> Result<Self, Fault> {
        let garbled =
            || Fault::new(Code::Usage, format!("the call of {} is no request of HTTP", head.endpoint));
        let (mut method, mut query, mut headers, mut socket) = (None, None, Vec::new(), false);
        for (name, value) in &head.metadata {
            match name.as_str() {
                METHOD => method = value.parse().ok(),
                QUERY => query = Some(value.clone()),
                PROTOCOL => socket = value == WEBSOCKET,
                _ => headers.push((name.clone(), value.clone())),
            }
        }
        let path = Some(head.endpoint.clone()).filter(|path| path.starts_with(RAW)).ok_or_else(garbled)?;
        Ok(RawRequest { method: method.ok_or_else(garbled)?, path, query, headers, socket })
    }

    /// The same for an instance at `address`, with a body.
    ///
    /// # Errors
    /// [`Code::Usage`] if a part of it can't be sent.
    pub(crate) fn into_request(self, address: SocketAddr, body: Body) -> Result<Request<Body>, Fault> {
        let RawRequest { method, path, query, headers, socket: _ } = self;
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("http://{address}{path}{query}"));
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
                request = request.header(name, value);
            }
        }
        request
            .body(body)
            .map_err(|error| Fault::new(Code::Usage, format!("{path:?} can't be sent: {error}")))
    }
}
