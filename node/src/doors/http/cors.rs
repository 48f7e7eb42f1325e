//! Pages that call this door from other origins (Fetch, "CORS protocol"): those on a list may, all others may not.
//!
//! A browser only keeps an answer from a page; the request has been sent and done by then. So a page that is not on the
//! list is refused here, and not merely left without the headers.

use super::host::{is_loopback, name_of};
use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};
use micro_sdk::wire::{Code, Fault};

/// What a browser says of the page that a request comes from (Fetch Metadata Request Headers, W3C).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Asked of a host on a private network for a page on a public one (Private Network Access, WICG).
const REQUEST_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The methods that there are endpoints for.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
/// The headers that this door reads. A page may send no others, since none would be used.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, grpc-timeout, idempotency-key, last-event-id, mcp-method, mcp-name, \
     mcp-protocol-version, mcp-session-id, micro-deadline-ms, micro-namespace, micro-service, traceparent, x-grpc-web, \
     x-request-id, x-user-agent",
);
/// The headers of an answer that a page may read beside the usual ones.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "etag, grpc-message, grpc-status, micro-fault-bin, micro-trace-id, retry-after, x-request-id",
);
/// How long a browser may keep what it was told, in seconds: as long as it takes to change the list and start again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ORIGIN_VALUE: HeaderValue = HeaderValue::from_static("origin");

/// The origins whose pages may call, each as `https://app.example.org`.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<String>);

/// Which page a request comes from, as far as that matters to the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// None, or one of this host: the answer says nothing of it.
    Own,
    /// One of this origin, which is on the list.
    Listed(HeaderValue),
}

impl Origins {
    /// Those on this list.
    pub fn new(origins: Vec<String>) -> Self {
        Origins(origins)
    }

    /// The page that a request comes from. `authority` is what the request is addressed to.
    ///
    /// # Errors
    /// [`Code::Denied`] for a page that may not call.
    pub fn page(&self, headers: &HeaderMap, authority: Option<&str>) -> Result<Page, Fault> {
        let mut origins = headers.get_all(ORIGIN).iter();
        if let Some(value) = origins.next() {
            if origins.next().is_some() {
                return Err(Fault::new(Code::Denied, "the header Origin is there more than once"));
            }
            let origin = value.to_str().unwrap_or("?");
            if self.0.iter().any(|listed| listed == origin) {
                return Ok(Page::Listed(value.clone()));
            }
            let of = origin.split_once("://").map(|(_, authority)| authority);
            if !of.is_some_and(|of| is_loopback(name_of(of)) || authority.is_some_and(|own| own == of)) {
                return Err(Fault::new(Code::Denied, format!("pages of {origin:?} may not call this api"))
                    .help("start the node with --api-cors-origin, if they should"));
            }
        }
        // Images and links of a foreign page send no origin, but browsers say this of all that they send.
        // Those of a sibling are foreign too, where it is not all one host.
        let here =
            authority.is_some_and(|own| is_loopback(name_of(own)) || name_of(own).ends_with(".localhost"));
        let foreign = |site: &HeaderValue| site == "cross-site" || (site == "same-site" && !here);
        if headers.get(SEC_FETCH_SITE).is_some_and(foreign) {
            return Err(Fault::new(Code::Denied, "pages of other sites may not call this api")
                .help("start the node with --api-cors-origin, if they should"));
        }
        Ok(Page::Own)
    }
}

impl Page {
    /// The answer to a browser that asks before it sends what a page wants sent; none if this is not such a question.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        if method != Method::OPTIONS || !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
        answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if headers.contains_key(REQUEST_PRIVATE) {
            answer.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
        }
        Some(response)
    }

    /// Lets the page read an answer.
    pub fn admit(self, answer: &mut HeaderMap) {
        let Page::Listed(origin) = self else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        answer.append(VARY, ORIGIN_VALUE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn page(pairs: &[(HeaderName, &'static str)]) -> Result<Page, Fault> {
        let origins = Origins::new(vec!["https://app.example.org".to_owned()]);
        origins.page(&headers(pairs), Some("acme.localhost:8080"))
    }

    #[test]
    fn pages_of_other_hosts_are_refused() {
        for pairs in [
            &[][..],
            &[(ORIGIN, "http://localhost:3000")],
            &[(ORIGIN, "http://127.0.0.1")],
            &[(ORIGIN, "http://acme.localhost:8080")],
            &[(SEC_FETCH_SITE, "none")],
            &[(SEC_FETCH_SITE, "same-origin")],
        ] {
            assert_eq!(page(pairs), Ok(Page::Own), "{pairs:?}");
        }
        for pairs in [
            &[(ORIGIN, "https://evil.example")][..],
            &[(ORIGIN, "http://app.example.org")],
            &[(ORIGIN, "https://app.example.org.evil.example")],
            &[(ORIGIN, "https://app.example.org:444")],
            &[(ORIGIN, "http://127.evil.example")],
            &[(ORIGIN, "http://beta.localhost:8080")],
            &[(ORIGIN, "null")],
            &[(ORIGIN, "https://app.example.org"), (ORIGIN, "https://app.example.org")],
            &[(SEC_FETCH_SITE, "cross-site")],
        ] {
            assert!(page(pairs).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn pages_of_siblings_are_foreign_but_on_this_host() {
        let origins = Origins::new(Vec::new());
        let sibling = headers(&[(SEC_FETCH_SITE, "same-site")]);
        for (authority, own) in [
            ("localhost:8080", true),
            ("acme.localhost:8080", true),
            ("127.0.0.1", true),
            ("api.example.org", false),
        ] {
            assert_eq!(origins.page(&sibling, Some(authority)).is_ok(), own, "{authority}");
        }
    }

    #[test]
    fn pages_on_the_list_are_admitted() {
        let listed = [(ORIGIN, "https://app.example.org"), (SEC_FETCH_SITE, "cross-site")];
        let page = page(&listed).expect("it is on the list");
        let asked = headers(&[(ACCESS_CONTROL_REQUEST_METHOD, "PUT"), (REQUEST_PRIVATE, "true")]);
        let answer = page.preflight(&Method::OPTIONS, &asked).expect("it is such a question");
        assert_eq!(answer.status().as_u16(), 204);
        assert_eq!(answer.headers()[ALLOW_PRIVATE], "true");
        assert!(page.preflight(&Method::POST, &asked).is_none());
        assert!(page.preflight(&Method::OPTIONS, &HeaderMap::new()).is_none());
        let mut answer = HeaderMap::new();
        page.admit(&mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.org");
        assert_eq!(answer[VARY], "origin");
    }
}
