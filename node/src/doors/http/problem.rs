//! A failure as HTTP shows it: a status, and a document of the kind `application/problem+json` (RFC 9457).

use crate::doors::{
    credentials::is_nobody,
    limits::{self, Exceeded},
};
use axum::{body::Body, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{
        ACCEPT_ENCODING, ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_VERSION,
        WWW_AUTHENTICATE,
    },
};
use micro_sdk::wire::{Caller, Code, Effect, Fault, TraceId};
use serde_json::{Value, json};
use tonic::Status;

/// What kinds of bodies a `POST` may have (RFC 7694 for encodings; this one is of Linked Data Platform, 7.1).
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// How long a caller should wait where this node, or all instances, have too much to do: calls take less than this.
const RETRY_AFTER_S: u16 = 1;

/// A fault, and the status that says it in HTTP.
#[derive(Clone, Debug)]
pub(in crate::doors) struct Refusal {
    status: StatusCode,
    fault: Fault,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.http_status());
        Refusal { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), fault, headers: Vec::new() }
    }
}

impl From<Exceeded> for Refusal {
    fn from(exceeded: Exceeded) -> Self {
        let seconds = exceeded.retry_after.as_secs().to_string();
        Refusal::from(exceeded.fault).header(RETRY_AFTER, &seconds)
    }
}

impl From<Status> for Refusal {
    /// What a method of the platform refuses, with when to ask again if it says so.
    fn from(status: Status) -> Self {
        let after = status.metadata().get(limits::RETRY_AFTER).and_then(|after| after.to_str().ok());
        let after = after.map(str::to_owned);
        let refusal = Refusal::from(Fault::from(status));
        match after {
            Some(after) => refusal.header(RETRY_AFTER, &after),
            None => refusal,
        }
    }
}

impl Refusal {
    /// A fault of the caller that HTTP has a status of its own for.
    pub fn of(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, fault: Fault::new(Code::Usage, message), headers: Vec::new() }
    }

    /// 404 (RFC 9110, 15.5.5).
    pub fn not_found(message: impl Into<String>) -> Self {
        Fault::new(Code::NotFound, message).into()
    }

    /// 405, with the methods that are taken (RFC 9110, 15.5.6).
    pub fn method(asked: &http::Method, taken: &str) -> Self {
        let message = format!("{asked} is not taken here");
        let refusal = Refusal::of(StatusCode::METHOD_NOT_ALLOWED, message).help(format!("use {taken}"));
        refusal.header(ALLOW, taken)
    }

    /// 413, with the limit (RFC 9110, 15.5.14).
    pub fn too_large(what: &str, limit: usize) -> Self {
        let message = format!("{what} is larger than the limit of {limit} bytes");
        Refusal::from(Fault::new(Code::TooLarge, message)).help("send less, or in parts").close()
    }

    /// 415, with what is taken (RFC 9110, 15.5.16).
    pub fn media_type(message: impl Into<String>, taken: &'static str) -> Self {
        Refusal::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
            .help(format!("send one of {taken}"))
            .header(ACCEPT_POST, taken)
    }

    /// 415 for a body that is compressed (RFC 7694).
    pub fn encoding(message: impl Into<String>) -> Self {
        Refusal::of(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
            .help("send it as it is")
            .header(ACCEPT_ENCODING, "identity")
    }

    /// 426, with the version that is spoken (RFC 6455, 4.4).
    pub fn upgrade(message: &str, version: &'static str) -> Self {
        Refusal::of(StatusCode::UPGRADE_REQUIRED, message).header(SEC_WEBSOCKET_VERSION, version)
    }

    /// 400 for a request that two programs may read differently. The connection ends with it: where the next request
    /// begins is not sure (RFC 9112, 11.2).
    pub fn ambiguous(message: impl Into<String>) -> Self {
        Refusal::of(StatusCode::BAD_REQUEST, message).close()
    }

    /// The same with a line of help.
    #[must_use]
    pub fn help(mut self, line: impl Into<String>) -> Self {
        self.fault = self.fault.help(line);
        self
    }

    /// The same, after which the connection ends.
    #[must_use]
    pub fn close(self) -> Self {
        self.header(CONNECTION, "close")
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The same where credentials would help: one who has not said who they are is asked (RFC 9110, 15.5.2).
    #[must_use]
    pub fn told_to(self, caller: &Caller) -> Self {
        match self.fault.code == Code::Denied && is_nobody(caller) {
            true => self.ask_who(),
            false => self,
        }
    }

    /// 401, with how to say who one is (RFC 6750, 3), for who is denied; anything else stays what it is.
    #[must_use]
    pub fn ask_who(mut self) -> Self {
        if self.fault.code != Code::Denied {
            return self;
        }
        self.status = StatusCode::UNAUTHORIZED;
        self.header(WWW_AUTHENTICATE, "Bearer realm=\"micro-node\"")
    }

    /// What it is about, for who does not speak HTTP.
    pub fn into_fault(self) -> Fault {
        self.fault
    }

    /// 502 for who was reached and gave no answer.
    #[must_use]
    pub fn of_gateway(mut self) -> Self {
        if self.fault.code == Code::Unavailable && self.fault.effect == Effect::Unknown {
            self.status = StatusCode::BAD_GATEWAY;
        }
        self
    }

    /// The same with what to do next, where nobody said it who knows more.
    fn with_next_step(self) -> Self {
        // Of a request that is none by HTTP, no description says how it is right.
        let spoken = !self.headers.iter().any(|(name, _)| *name == CONNECTION);
        match self.status {
            _ if !self.fault.help.is_empty() => self,
            StatusCode::BAD_REQUEST if spoken => self.help("/openapi.json describes what is taken"),
            StatusCode::GATEWAY_TIMEOUT => {
                self.help("allow more time, in milliseconds: micro-deadline-ms: 60000")
            }
            _ => self,
        }
    }

    /// The answer that tells it.
    pub fn into_response(self, trace: TraceId) -> Response {
        let Refusal { status, fault, headers } = self.with_next_step();
        let body = json!({
            "title": status.canonical_reason().unwrap_or("error"),
            "status": status.as_u16(),
            "detail": fault.message,
            "code": fault.code.name(),
            "help": fault.help,
            "effect": fault.effect,
            "trace_id": trace.to_string(),
        });
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        let busy = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
        // Whether to ask again is the caller's to know where it may have been done.
        if busy && fault.effect == Effect::None {
            response.headers_mut().entry(RETRY_AFTER).or_insert(RETRY_AFTER_S.into());
        }
        response
    }
}

/// A failure behind the beginning of an answer, where it is too late for a status.
pub(super) fn in_band(fault: &Fault) -> Value {
    let Fault { code, message, help, effect } = fault;
    json!({ "error": { "code": code.name(), "detail": message, "help": help, "effect": effect } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn told(refusal: Refusal) -> (http::response::Parts, Value) {
        let (parts, body) = refusal.into_response(TraceId(7)).into_parts();
        let body = body.collect().await.expect("it is in memory").to_bytes();
        (parts, serde_json::from_slice(&body).expect("a problem is JSON"))
    }

    #[tokio::test]
    async fn a_problem_says_code_help_and_trace() {
        let fault = Fault::new(Code::NotFound, "no service \"a\"").help("see there");
        let (parts, json) = told(fault.into()).await;
        assert_eq!((parts.status, &json["status"]), (StatusCode::NOT_FOUND, &json!(404)));
        assert_eq!(parts.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!((&json["code"], &json["help"][0]), (&json!("not_found"), &json!("see there")));
        assert_eq!(json["trace_id"], "00000000000000000000000000000007");
        assert_eq!(json["effect"], "none");
    }

    #[tokio::test]
    async fn who_got_it_wrong_is_told_the_next_step() {
        for (fault, step) in [
            (Fault::new(Code::Usage, "no"), "/openapi.json describes what is taken"),
            (Fault::new(Code::Usage, "no").help("so"), "so"),
            (Fault::new(Code::Timeout, "late"), "allow more time, in milliseconds: micro-deadline-ms: 60000"),
        ] {
            assert_eq!(told(fault.into()).await.1["help"], json!([step]));
        }
    }

    #[tokio::test]
    async fn statuses_come_with_the_headers_that_explain_them() {
        let (parts, json) = told(Refusal::method(&http::Method::PUT, "GET, POST")).await;
        assert_eq!(
            (parts.status.as_u16(), &parts.headers[ALLOW]),
            (405, &"GET, POST".parse().expect("text"))
        );
        assert!(json["detail"].to_string().contains("PUT"), "{json}");
        let (parts, json) = told(Refusal::too_large("the body", 7)).await;
        assert_eq!(parts.status.as_u16(), 413);
        assert!(json["detail"].to_string().contains('7') && parts.headers[CONNECTION] == "close", "{json}");
        let (parts, _) = told(Refusal::media_type("no", "application/json")).await;
        assert_eq!((parts.status.as_u16(), parts.headers.contains_key("accept-post")), (415, true));
    }

    #[tokio::test]
    async fn who_is_nobody_yet_is_asked_who_they_are() {
        let denied = || Refusal::from(Fault::new(Code::Denied, "no"));
        let (parts, _) = told(denied().told_to(&Caller::Anonymous)).await;
        assert_eq!((parts.status.as_u16(), parts.headers.contains_key(WWW_AUTHENTICATE)), (401, true));
        let (parts, _) = told(denied().told_to(&Caller::Admin)).await;
        assert_eq!((parts.status.as_u16(), parts.headers.contains_key(WWW_AUTHENTICATE)), (403, false));
        let busy = Refusal::from(Fault::new(Code::Unavailable, "busy"));
        assert_eq!(told(busy).await.0.headers[RETRY_AFTER], "1");
    }
}
