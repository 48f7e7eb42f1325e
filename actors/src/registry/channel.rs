//! How an instance is spoken to over gRPC: a connection of its own beside that of calls, so that streams that nobody
//! reads hold up none of them.

use super::heading;
use crate::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use micro_sdk::wire::{Code, Fault, Head, limits::DEADLINE_MS_NONE};
use std::{net::SocketAddr, time::Duration};

/// What an instance may send ahead on one stream: loopback is quick, so that little is enough.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same on all of them: as many as may be open with an instance by default can fill theirs, and none waits. Half of
/// it is what short messages may cost beside their bytes before h2 ends the connection, which is 5 MB for a window that
/// is full of the shortest: for a hundred callers who read nothing.
const CONNECTION_WINDOW: u32 = 1 << 30;
/// How often a silent instance is asked whether it lives, and how long it may take to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A connection to one instance, opened by the first call and again after a break.
pub(super) struct Channel {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
}

impl Channel {
    pub(super) fn new(connector: HttpConnector, address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(true)
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(KEEP_ALIVE)
            .http2_keep_alive_timeout(KEEP_ALIVE)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .build(connector);
        Channel { client, address }
    }

    /// Begins a call, whose request is read as the instance takes it.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it can't be reached, with nothing done if it could not be connected to;
    /// [`Code::NotFound`] or [`Code::Failed`] if it does not answer as gRPC does.
    pub(super) async fn converse(&self, head: &Head, body: Body) -> Result<Response<Body>, Fault> {
        let (service, method) = head.endpoint.rsplit_once('.').unwrap_or(("", &head.endpoint));
        let mut request = Request::post(format!("http://{}/{service}/{method}", self.address))
            .body(body)
            .map_err(|error| Fault::new(Code::Usage, format!("{:?} is no method: {error}", head.endpoint)))?;
        *request.headers_mut() = headers(head);
        let response = self.client.request(request).await.map_err(|error| {
            let message = format!("the instance of {} can't be reached: {error}", head.service);
            let fault = Fault::new(Code::Unavailable, message);
            if error.is_connect() { fault } else { fault.effect_unknown() }
        })?;
        refuse_others(head, &response)?;
        let service = head.service.clone();
        Ok(response.map(|body| {
            body.map_err(move |error| {
                Fault::new(Code::Unavailable, format!("the answer of {service} broke off: {error}"))
                    .effect_unknown()
            })
            .boxed_unsync()
        }))
    }
}

/// What goes with a call: what the caller sent along, and what the node says of it, which wins.
fn headers(head: &Head) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(heading::HEADERS_MAX + 2 + head.metadata.len());
    for (name, value) in &head.metadata {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    }
    for (name, value) in heading::of(head) {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    headers.insert("te", HeaderValue::from_static("trailers"));
    if head.deadline_ms != DEADLINE_MS_NONE {
        headers.insert("grpc-timeout", heading::passing(timeout(head.deadline_ms)));
    }
    headers
}

/// A time as gRPC writes it: at most eight digits and a unit.
fn timeout(ms: u32) -> HeaderValue {
    let text = if ms < 100_000_000 { format!("{ms}m") } else { format!("{}S", ms / 1000) };
    HeaderValue::try_from(text).expect("digits and a letter are a header")
}

/// Refuses what is no answer of gRPC (its statuses, see "HTTP to gRPC Status Code Mapping").
fn refuse_others(head: &Head, response: &Response<hyper::body::Incoming>) -> Result<(), Fault> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let grpc = kind.is_some_and(|kind| kind.starts_with("application/grpc"));
    match response.status() {
        StatusCode::OK if grpc => Ok(()),
        StatusCode::NOT_FOUND => {
            let message = format!("{} takes no gRPC call of {}", head.service, head.endpoint);
            Err(Fault::new(Code::NotFound, message))
        }
        status => {
            let message = format!("{} does not speak gRPC: it answered {status}", head.service);
            Err(Fault::new(Code::Failed, message).effect_unknown())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_eight_digits_at_most() {
        for (ms, text) in
            [(1, "1m"), (99_999_999, "99999999m"), (100_000_000, "100000S"), (u32::MAX - 1, "4294967S")]
        {
            assert_eq!(timeout(ms), text);
        }
    }
}
