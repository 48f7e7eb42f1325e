//! An explicit way to an endpoint over HTTP, beside the path that its name gives: a method and a template of a path.

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::IpAddr};

/// The longest path or host of a route: each travels by gossip to every node.
pub const ROUTE_BYTES_MAX: usize = 256;

/// What stands for all methods. It is for what takes HTTP as it is: any other endpoint is told nothing of a method.
pub const ROUTE_METHOD_ANY: &str = "*";

/// The methods that a route can be for, beside all of them.
pub const ROUTE_METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A way to an endpoint: `GET /greet/{name}`.
///
/// In a path, `{name}` stands for one segment and `{name=**}`, which comes last, for one or more. What they stand for
/// is given to the endpoint as the field of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Route {
    /// One of [`ROUTE_METHODS`], or [`ROUTE_METHOD_ANY`].
    pub method: String,
    /// The template.
    pub path: String,
    /// The host that is called, without port; empty for any.
    pub host: String,
}

/// One part of a template between slashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Itself.
    Literal(&'a str),
    /// One segment, given as the field of this name.
    One(&'a str),
    /// All that is left, given as the field of this name.
    Rest(&'a str),
}

/// What is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the route \"{method} {path}\" can't be: {why}")]
pub struct RouteError {
    method: String,
    path: String,
    why: String,
}

impl RouteError {
    /// Why it can't be.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl Route {
    /// Whether it can be a route.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), RouteError> {
        let bad = |why: String| Err(RouteError { method: self.method.clone(), path: self.path.clone(), why });
        if !self.takes_any() && !ROUTE_METHODS.contains(&self.method.as_str()) {
            return bad(format!("the method is one of {}", ROUTE_METHODS.join(", ")));
        }
        if self.path.len() > ROUTE_BYTES_MAX || self.host.len() > ROUTE_BYTES_MAX {
            return bad(format!("a path or a host has at most {ROUTE_BYTES_MAX} bytes"));
        }
        let host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        if !self.host.bytes().all(host) {
            return bad(format!("the host {:?} is no name in lowercase", self.host));
        }
        // The root of a host is for what takes all of it, where that is not all that a node is asked.
        let apart = !self.host.is_empty() && !is_of_every_node(&self.host);
        let goes_on = self.path.len() > 1 || (self.takes_any() && apart);
        if !self.path.starts_with('/') || !goes_on {
            return bad("the path begins with a slash, and goes on".to_owned());
        }
        let mut fields = BTreeSet::new();
        let last = self.path.matches('/').count() - 1;
        for (index, segment) in self.segments().enumerate() {
            match segment {
                Segment::Literal(text) if !is_literal(text) => {
                    return bad(format!("{text:?} is neither a plain word nor {{field}} nor {{field=**}}"));
                }
                Segment::One(_) | Segment::Rest(_) if index == 0 && !apart => {
                    let why = "without a host, or at one that every node goes by, the first segment is a plain word";
                    return bad(why.to_owned());
                }
                Segment::Rest(_) if index != last => return bad("{field=**} comes last".to_owned()),
                Segment::One(name) | Segment::Rest(name) if !is_field(name) => {
                    return bad(format!("{name:?} is not the name of a field"));
                }
                Segment::One(name) | Segment::Rest(name) if !fields.insert(name) => {
                    return bad(format!("the field {name:?} is there twice"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether it is for all methods.
    pub fn takes_any(&self) -> bool {
        self.method == ROUTE_METHOD_ANY
    }

    /// Whether there is a method that both routes are for.
    pub fn shares_method(&self, other: &Route) -> bool {
        self.takes_any() || other.takes_any() || self.method == other.method
    }

    /// The parts of the path, in order: none of `/`, the root of a host.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let parts = if self.path == "/" { 0 } else { usize::MAX };
        self.path.split('/').skip(1).take(parts).map(|text| {
            match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
                None => Segment::Literal(text),
                Some(name) => match name.strip_suffix("=**") {
                    Some(name) => Segment::Rest(name),
                    None => Segment::One(name.strip_suffix("=*").unwrap_or(name)),
                },
            }
        })
    }

    /// The same for all routes that take the same requests: host, method, and path without the names of fields.
    pub fn shape(&self) -> String {
        let mut shape = format!("{} {}", self.method, self.host);
        for segment in self.segments() {
            shape.push('/');
            shape.push_str(match segment {
                Segment::Literal(text) => text,
                Segment::One(_) => "{}",
                Segment::Rest(_) => "{**}",
            });
        }
        shape
    }
}

/// Letters that mean themselves in a path, however it is written (RFC 3986, 2.3), and that no filing system reads as
/// the folder above.
fn is_literal(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(plain)
}

fn is_field(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// Whether a host is what every node goes by, so that who calls any service there would be led to this one.
pub(super) fn is_of_every_node(host: &str) -> bool {
    let own = |name: &str| host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    host.parse::<IpAddr>().is_ok() || own("localhost") || own("micro")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str, host: &str) -> Route {
        Route { method: method.to_owned(), path: path.to_owned(), host: host.to_owned() }
    }

    #[test]
    fn what_can_be_a_route() {
        for (method, path, host) in [
            ("GET", "/greet/{name}", ""),
            ("POST", "/a", ""),
            ("PUT", "/files/{path=**}", ""),
            ("GET", "/{a}", "shop.example.org"),
            ("DELETE", "/a/{b=*}/c.json", ""),
            ("*", "/a/{b=**}", ""),
            ("*", "/", "shop.example.org"),
            ("GET", "/a", "localhost"),
        ] {
            assert_eq!(route(method, path, host).check(), Ok(()), "{method} {path}");
        }
        for (method, path, host, why) in [
            ("get", "/a", "", "one of GET"),
            ("HEAD", "/a", "", "one of GET"),
            ("GET", "a", "", "slash"),
            ("GET", "/", "", "slash"),
            ("*", "/", "", "slash"),
            ("GET", "/", "shop.example.org", "slash"),
            ("GET", "/a//b", "", "plain word"),
            ("GET", "/a/../b", "", "plain word"),
            ("GET", "/a/%41", "", "plain word"),
            ("GET", "/a/x{b}", "", "plain word"),
            ("GET", "/{a}", "", "first segment"),
            ("*", "/{a=**}", "localhost", "first segment"),
            ("*", "/{a=**}", "127.0.0.1", "first segment"),
            ("*", "/", "web.micro", "slash"),
            ("GET", "/a/{b=**}/c", "", "comes last"),
            ("GET", "/a/{b}/{b}", "", "twice"),
            ("GET", "/a/{}", "", "name of a field"),
            ("GET", "/a", "Shop", "lowercase"),
            ("GET", &format!("/{}", "x".repeat(256)), "", "at most"),
        ] {
            let error = route(method, path, host).check().expect_err(path).to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn routes_that_take_the_same_have_the_same_shape() {
        assert_eq!(route("GET", "/a/{b}/c", "").shape(), route("GET", "/a/{x}/c", "").shape());
        for other in [route("PUT", "/a/{b}/c", ""), route("GET", "/a/b/c", ""), route("GET", "/a/{b}/c", "h")]
        {
            assert_ne!(route("GET", "/a/{b}/c", "").shape(), other.shape());
        }
        let any = route("*", "/a", "");
        assert!(any.shares_method(&route("PUT", "/a", "")) && route("PUT", "/a", "").shares_method(&any));
        assert!(!route("PUT", "/a", "").shares_method(&route("GET", "/a", "")));
    }
}
