//! The path of a request: decoded once, and Micro's rules for which service and endpoint it names.
//!
//! | path | service | endpoint |
//! |---|---|---|
//! | `/foo` | foo | `call` |
//! | `/foo/bar` | foo | `bar` |
//! | `/v1/foo/bar` | v1-foo, else v1 | `bar`, else `foo.bar` |
//! | `/a/b/c` | a | `b.c` |
//! | `/a/b/c/d` | a-b | `c.d` |
//!
//! Micro writes `v1.foo` and `a.b`; here the name of a service is a label of DNS, which has no dots.

use super::problem::Refusal;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// The most segments of a path: a service's name has room for half as many words.
const SEGMENTS_MAX: usize = 64;

/// The segments of a path, decoded. None is empty, goes up, or holds a slash or a control character: whatever reads
/// them later reads the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path<'a> {
    segments: Vec<Cow<'a, str>>,
}

/// A service and an endpoint, as a path names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// The service.
    pub service: Cow<'a, str>,
    /// The handler, if the path names one.
    pub handler: Option<&'a str>,
    /// The method of the handler.
    pub method: &'a str,
}

/// What is called where a path names a service only.
const METHOD_DEFAULT: &str = "call";

impl<'a> Path<'a> {
    /// Reads a path as it stands in a request (RFC 3986, 3.3).
    ///
    /// # Errors
    /// 400 for one that may mean different things to different programs.
    pub fn parse(path: &'a str) -> Result<Self, Refusal> {
        let bad = |why: &str| Err(Refusal::of(StatusCode::BAD_REQUEST, format!("the path {path:?} {why}")));
        let Some(rest) = path.strip_prefix('/') else { return bad("does not begin with a slash") };
        let mut segments = Vec::with_capacity(4);
        if rest.is_empty() {
            return Ok(Path { segments });
        }
        for text in rest.split('/') {
            if segments.len() == SEGMENTS_MAX {
                return bad("has too many segments");
            }
            let Ok(segment) = decoded(text) else {
                return bad("is not UTF-8, or has a % that begins no escape");
            };
            if segment.is_empty() {
                return bad("has an empty segment");
            }
            if segment == "." || segment == ".." || segment.contains(unsafe_in_segment) {
                return bad("has a segment that could mean another place");
            }
            segments.push(segment);
        }
        Ok(Path { segments })
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Cow<'a, str>] {
        &self.segments
    }

    /// What the path may name by Micro's rules, first the one to prefer.
    pub fn named(&self) -> impl Iterator<Item = Named<'_>> {
        let plain = self.segments.iter().all(|segment| is_word(segment));
        let words: &[Cow<'_, str>] = if plain { &self.segments } else { &[] };
        let (first, second) = match words {
            [] => (None, None),
            [service] => (Some(named(&[service], None, METHOD_DEFAULT)), None),
            [service, method] => (Some(named(&[service], None, method)), None),
            [service, handler, method] => {
                let plain = named(&[service], Some(handler), method);
                match is_version(service) {
                    true => (Some(named(&[service, handler], None, method)), Some(plain)),
                    false => (Some(plain), None),
                }
            }
            [service @ .., handler, method] => {
                let service: Vec<&str> = service.iter().map(AsRef::as_ref).collect();
                (Some(named(&service, Some(handler), method)), None)
            }
        };
        first.into_iter().chain(second)
    }
}

fn named<'a>(service: &[&'a str], handler: Option<&'a str>, method: &'a str) -> Named<'a> {
    let service = match service {
        [one] => Cow::Borrowed(*one),
        several => Cow::Owned(several.join("-")),
    };
    Named { service, handler, method }
}

/// A segment decoded once: what is encoded twice stays so.
fn decoded(text: &str) -> Result<Cow<'_, str>, ()> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let escapes = text.split('%').skip(1);
    let whole =
        |rest: &str| rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if !escapes.into_iter().all(whole) {
        return Err(());
    }
    percent_decode_str(text).decode_utf8().map_err(drop)
}

fn unsafe_in_segment(letter: char) -> bool {
    letter == '/' || letter == '\\' || letter.is_control()
}

/// Whether a segment can be part of a name: no service or endpoint is called anything else.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    text.len() <= 128 && text.bytes().all(plain)
}

/// `v1`, `v23`.
fn is_version(text: &str) -> bool {
    let digits = text.strip_prefix('v').unwrap_or("");
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a path names, each as `service endpoint`.
    fn names(path: &str) -> Vec<String> {
        let path = Path::parse(path).expect("a good path");
        let name = |named: Named<'_>| match named.handler {
            Some(handler) => format!("{} {handler}.{}", named.service, named.method),
            None => format!("{} {}", named.service, named.method),
        };
        path.named().map(name).collect()
    }

    #[test]
    fn paths_name_services_by_micros_rules() {
        for (path, expected) in [
            ("/foo", &["foo call"][..]),
            ("/foo/bar", &["foo bar"]),
            ("/v1/foo/bar", &["v1-foo bar", "v1 foo.bar"]),
            ("/v1/foo", &["v1 foo"]),
            ("/vx/foo/bar", &["vx foo.bar"]),
            ("/a/b/c", &["a b.c"]),
            ("/a/b/c/d", &["a-b c.d"]),
            ("/v1/a/b/c", &["v1-a b.c"]),
            ("/a/b/c/d/e", &["a-b-c d.e"]),
            ("/h%65llo/Greeter.call", &["hello Greeter.call"]),
            ("/", &[]),
            ("/a;b/c", &[]),
            ("/ü/c", &[]),
            ("/a/b%3fc", &[]),
        ] {
            assert_eq!(names(path), expected, "{path}");
        }
    }

    #[test]
    fn paths_that_could_mean_another_place_are_refused() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "/a//b",
            "/a/",
            "/.",
            "/..",
            "/a/../b",
            "/a/%2e%2e/b",
            "/%2E/a",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0d%0a",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%ff",
            "/a%c0%ae",
        ] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
        assert!(Path::parse(&"/a".repeat(SEGMENTS_MAX)).is_ok());
        assert!(Path::parse(&"/a".repeat(SEGMENTS_MAX + 1)).is_err());
        // Encoded twice is not decoded twice.
        let twice = Path::parse("/a%252e%252e").expect("it is a name with a % in it");
        assert_eq!(twice.segments(), ["a%2e%2e"]);
    }
}
