//! What a caller sends along with a gRPC call, as far as it is for the service.

use crate::doors::claims::is_kept_back;
use http::HeaderMap;
use micro_sdk::wire::{Code, Fault};

/// How many entries a call may carry along, and how long all of them: their head has to fit that of a call.
const ENTRIES_MAX: usize = 64;
const BYTES_MAX: usize = 8 << 10;
/// What is between two neighbours of HTTP, or for the node itself: who calls is told by the node, and with what they
/// show for it they could be taken for them.
const KEPT_BACK: [&str; 5] = ["te", "host", "connection", "content-length", "grpc-timeout"];

/// The entries that go with the call, in their order. What callers say under names of the node's own is for the node,
/// or is nothing. What is no text has no place in gRPC, and is left out.
///
/// # Errors
/// [`Code::Limited`] if it is too much.
pub(super) fn carried(headers: &HeaderMap) -> Result<Vec<(String, String)>, Fault> {
    let mut carried = Vec::new();
    let mut bytes = 0;
    for (name, value) in headers {
        if KEPT_BACK.contains(&name.as_str()) || is_kept_back(name) {
            continue;
        }
        let name = name.as_str();
        if let Ok(value) = value.to_str() {
            bytes += name.len() + value.len();
            carried.push((name.to_owned(), value.to_owned()));
        }
    }
    if carried.len() <= ENTRIES_MAX && bytes <= BYTES_MAX {
        return Ok(carried);
    }
    let message =
        format!("at most {ENTRIES_MAX} entries of metadata are carried along, of {BYTES_MAX} bytes");
    Err(Fault::new(Code::Limited, message).help("send what is longer in the message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn what_is_for_the_service_is_carried_and_nobody_says_who_they_are() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/grpc+json"),
            ("grpc-timeout", "1S"),
            ("grpc-encoding", "gzip"),
            ("authorization", "Bearer a.b.c"),
            ("micro-caller", "admin"),
            ("micro_caller", "admin"),
            ("micro-service", "shop"),
            ("te", "trailers"),
            ("colour", "red"),
            ("colour", "blue"),
            ("key-bin", "AAEC"),
        ] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let carried = carried(&headers).expect("it is little");
        let carried: Vec<String> = carried.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "content-type=application/grpc+json",
            "grpc-encoding=gzip",
            "colour=red",
            "colour=blue",
            "key-bin=AAEC",
        ];
        assert_eq!(carried, expected);
    }

    #[test]
    fn too_much_is_refused() {
        let headers = (0..=ENTRIES_MAX).map(|number| {
            (HeaderName::try_from(format!("a{number}")).expect("a name"), HeaderValue::from_static("1"))
        });
        assert_eq!(carried(&headers.collect()).expect_err("too many").code, Code::Limited);
        let long = HeaderValue::try_from("x".repeat(BYTES_MAX)).expect("a value");
        let headers = HeaderMap::from_iter([(HeaderName::from_static("a"), long)]);
        assert_eq!(carried(&headers).expect_err("too long").code, Code::Limited);
    }
}
