//! How an instance that takes HTTP as it is gets it: the request of the caller, over HTTP/1.1, streamed both ways.

use super::{heading, health::deepest, hops::strip_hops, socket};
use crate::{Body, kit::RawRequest};
use http::{HeaderName, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, upgrade};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use micro_sdk::wire::{Code, Fault, Head};
use std::{net::SocketAddr, time::Duration};

/// How long a connection without a request is kept: less than what servers close theirs after.
const IDLE: Duration = Duration::from_secs(4);

/// Connections to one instance, opened as they are needed.
pub(super) struct Plain {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
}

impl Plain {
    pub(super) fn new(connector: HttpConnector, address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .set_host(false)
            .build(connector);
        Plain { client, address }
    }

    /// Sends a request on, which is read as the instance takes it.
    ///
    /// # Errors
    /// [`Code::Unavailable`] if it can't be reached, with nothing done if it could not be connected to.
    pub(super) async fn send(&self, head: &Head, body: Body) -> Result<Response<Body>, Fault> {
        let request = RawRequest::of(head)?;
        // What is said on a WebSocket is no body of the request that begins it.
        let (body, said) = if request.socket { (nothing(), Some(body)) } else { (body, None) };
        let mut request = request.into_request(self.address, body)?;
        strip_hops(request.headers_mut());
        put_in(head, &mut request);
        if said.is_some() {
            socket::ask_for(request.headers_mut());
        }
        let response = self.client.request(request).await.map_err(|error| unanswered(head, &error))?;
        match said {
            _ if response.status() != StatusCode::SWITCHING_PROTOCOLS => Ok(passed(head, response)),
            Some(said) => switched(head, response, said).await,
            None => {
                let message =
                    format!("the instance of {} went over to another protocol than HTTP", head.service);
                Err(Fault::new(Code::Failed, message).effect_unknown())
            }
        }
    }
}

/// No body.
fn nothing() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Why there is no answer.
fn unanswered(head: &Head, error: &Error) -> Fault {
    let (service, why) = (&head.service, deepest(error));
    if error.is_connect() {
        return Fault::new(Code::Unavailable, format!("the instance of {service} can't be reached: {why}"));
    }
    let message = format!("the instance of {service} took the request and gave no answer: {why}");
    Fault::new(Code::Unavailable, message).effect_unknown().help(format!(
        "see what its program says; `micro-node policy get {service}` shows what is tried again"
    ))
}

/// An answer as it is passed on.
fn passed(head: &Head, response: Response<Incoming>) -> Response<Body> {
    let service = head.service.clone();
    let mut response = response.map(|body| {
        let broken = move |error| {
            Fault::new(Code::Unavailable, format!("the answer of {service} broke off: {error}"))
                .effect_unknown()
        };
        body.map_err(broken).boxed_unsync()
    });
    strip_hops(response.headers_mut());
    response
}

/// The answer that has made a connection a WebSocket, whose bytes follow.
async fn switched(
    head: &Head,
    mut response: Response<Incoming>,
    said: Body,
) -> Result<Response<Body>, Fault> {
    let upgraded = upgrade::on(&mut response).await.map_err(|error| {
        let message = format!("the WebSocket with {} broke off: {error}", head.service);
        Fault::new(Code::Unavailable, message).effect_unknown()
    })?;
    let mut response = response.map(|_| socket::both_ways(upgraded, said));
    strip_hops(response.headers_mut());
    Ok(response)
}

/// Says who calls. What callers said under these names is gone: it is dropped at the door, and here once more.
fn put_in(head: &Head, request: &mut Request<Body>) {
    let headers = request.headers_mut();
    headers.remove(AUTHORIZATION);
    let own: Vec<HeaderName> =
        headers.keys().filter(|name| heading::is_reserved(name.as_str())).cloned().collect();
    own.into_iter().for_each(|name| drop(headers.remove(name)));
    for (name, value) in heading::of(head) {
        let theirs = name == heading::TRACEPARENT && headers.contains_key(&name);
        if let (false, Ok(value)) = (theirs, value) {
            headers.insert(name, value);
        }
    }
}
