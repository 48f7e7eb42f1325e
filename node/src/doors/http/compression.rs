//! Answers are compressed for who takes that, where it is worth it.

use axum::body::Body;
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{ACCEPT_ENCODING, CONTENT_TYPE},
};
use std::{convert::Infallible, future::ready};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::compression::{CompressionLayer, predicate::Predicate};

/// The smallest answer that is worth to be compressed: less fits into a packet of Ethernet as it is.
const BYTES_MIN: u64 = 1024;

/// An answer as it goes to who has sent `asked` as `Accept-Encoding`: compressed, where that is worth it and wanted.
/// Most are not, and go as they are.
pub(super) async fn compressed(asked: Vec<HeaderValue>, response: Response<Body>) -> Response<Body> {
    if !Text.should_compress(&response) {
        return response;
    }
    let mut request = Request::new(());
    request.headers_mut().extend(asked.into_iter().map(|list| (ACCEPT_ENCODING, list)));
    tolerate(request.headers_mut());
    let mut response = Some(response);
    let answer = service_fn(|_: Request<()>| {
        let response = response.take().expect("it is asked once");
        ready(Ok::<_, Infallible>(response))
    });
    match CompressionLayer::new().compress_when(Text).layer(answer).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// Answers that may be compressed: texts of some size. The bytes of blobs may be anything, and their length is told.
#[derive(Clone, Copy)]
pub(super) struct Text;

impl Predicate for Text {
    fn should_compress<B: hyper::body::Body>(&self, response: &Response<B>) -> bool {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let text = kind.is_some_and(|kind| {
            ["application/json", "application/problem+json", "text/plain"]
                .iter()
                .any(|text| kind.starts_with(text))
        });
        text && response.body().size_hint().lower() >= BYTES_MIN
    }
}

/// Takes out of `Accept-Encoding` that an answer as it is would not be taken. It is told when all is done, and then an
/// answer that is not liked is better than none (RFC 9110, 12.5.3 leaves it open).
fn tolerate(headers: &mut HeaderMap) {
    let lists = || headers.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    let items = || lists().flat_map(|list| list.split(',')).map(str::trim);
    if !items().any(refuses_plain) {
        return;
    }
    let rest: Vec<&str> = items().filter(|item| !refuses_plain(item)).collect();
    match HeaderValue::from_str(&rest.join(", ")) {
        Ok(list) if !list.is_empty() => drop(headers.insert(ACCEPT_ENCODING, list)),
        _ => drop(headers.remove(ACCEPT_ENCODING)),
    }
}

/// Whether an item of `Accept-Encoding` says that an answer as it is will not be taken.
fn refuses_plain(item: &str) -> bool {
    let Some((coding, weight)) = item.split_once(';') else { return false };
    let weight = weight.trim().strip_prefix(['q', 'Q']).and_then(|weight| weight.trim().strip_prefix('='));
    let none = weight.is_some_and(|weight| weight.trim().parse() == Ok(0.0));
    none && ["identity", "*"].iter().any(|plain| coding.trim().eq_ignore_ascii_case(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_refuses_an_answer_as_it_is() {
        for (said, left) in [
            ("gzip, br;q=0.5", Some("gzip, br;q=0.5")),
            ("identity", Some("identity")),
            ("identity;q=0", None),
            ("*;q=0.000", None),
            ("gzip, *; q=0", Some("gzip")),
            ("identity ; Q=0, gzip;q=0", Some("gzip;q=0")),
            ("*;q=0.1", Some("*;q=0.1")),
        ] {
            let mut headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_str(said).expect("a list"))]);
            tolerate(&mut headers);
            let list = headers.get(ACCEPT_ENCODING).map(|list| list.to_str().expect("a list"));
            assert_eq!(list, left, "{said}");
        }
    }
}
