//! The host that a request is for: whether it is this door's, and whose tenant's.
//!
//! A name on the web can be pointed to this host at any time (DNS rebinding), and a page of that name then counts as of
//! the same origin. So a name is taken only if somebody said that it is this door's.

use super::problem::Refusal;
use crate::doors::dns;
use http::{HeaderMap, Uri, Version, header::HOST};
use micro_sdk::wire::{Code, Fault, NameError, Namespace};
use std::{borrow::Cow, net::Ipv4Addr};

/// The header with the namespace that is called.
const NAMESPACE_HEADER: &str = "micro-namespace";
/// The name of every host for itself. No name below it leads elsewhere (RFC 6761, 6.3).
const LOCALHOST: &str = "localhost";

/// The names that the door goes by, beside those of loopback.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    names: Vec<String>,
    /// Whether this node tells the names of the mesh by DNS: whoever has looked one up calls by it. The domain is none
    /// of the web's, so that no page of a stranger has such a name.
    zone: bool,
}

impl Hosts {
    /// These names, and one label below each for a tenant; and the names of the `zone` that DNS tells, if it does.
    pub fn new(mut names: Vec<String>, zone: bool) -> Self {
        // The longest first: where www.example.org is one of them, it is no tenant of example.org.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Hosts { names, zone }
    }

    /// The tenant that a name of this door is for; none in it for all.
    ///
    /// # Errors
    /// [`Code::Denied`] if the name is not of this door.
    fn tenant<'a>(&self, name: &'a str) -> Result<Option<&'a str>, Fault> {
        if is_loopback(name) {
            return Ok(None);
        }
        if self.zone
            && let Some(tenant) = dns::tenant(name)
        {
            return Ok(tenant);
        }
        for own in self.names.iter().map(String::as_str).chain([LOCALHOST]) {
            match name.strip_suffix(own) {
                Some("") => return Ok(None),
                Some(rest) => {
                    if let Some(label) = rest.strip_suffix('.').filter(|label| !label.contains('.')) {
                        return Ok(Some(label));
                    }
                }
                None => {}
            }
        }
        Err(Fault::new(Code::Denied, format!("the host {name:?} is not this node's api"))
            .help("call it as 127.0.0.1 or localhost")
            .help("or start the node with --api-host, if that is a name of this host"))
    }

    /// The namespace that a request names: that of `Micro-Namespace`, else that of the host's first label, if any.
    ///
    /// # Errors
    /// 403 for a host that is not this door's, 400 for a name that is none.
    pub fn namespace(
        &self,
        authority: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Option<Namespace>, Refusal> {
        let name = authority.map(|authority| name_of(authority).to_ascii_lowercase());
        let tenant = name.as_deref().map(|name| self.tenant(name)).transpose()?.flatten();
        let mut given = headers.get_all(NAMESPACE_HEADER).iter();
        let named = match (given.next(), given.next()) {
            (None, _) => tenant,
            (Some(value), None) => Some(value.to_str().unwrap_or("?")),
            _ => return Err(Refusal::ambiguous("the header Micro-Namespace is there more than once")),
        };
        let parse = |named: &str| {
            named.parse().map_err(|error: NameError| Fault::new(Code::Usage, error.to_string()))
        };
        Ok(named.map(parse).transpose()?)
    }
}

/// Who a request is addressed to: the authority of its target, or its `Host` (RFC 9110, 7.2; RFC 9112, 3.2).
///
/// # Errors
/// 400 where there is none in HTTP/1.1, or more than one.
pub(super) fn authority<'a>(
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().unwrap_or("?")),
        _ => return Err(Refusal::ambiguous("the header Host is there more than once")),
    };
    match (uri.authority(), host) {
        (Some(target), Some(host)) if !target.as_str().eq_ignore_ascii_case(host) => {
            Err(Refusal::ambiguous(format!("the target is on {target}, but the header Host says {host:?}")))
        }
        (Some(target), _) => Ok(Some(target.as_str())),
        (None, None) if version == Version::HTTP_11 => Err(Refusal::ambiguous("the header Host is missing")),
        (None, host) => Ok(host),
    }
}

/// The name in an authority in lower case, in which nodes and routes have it: to names case means nothing (RFC 4343).
pub(super) fn lowercase(authority: &str) -> Cow<'_, str> {
    let name = name_of(authority);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

/// The name in an authority, without its port.
pub(super) fn name_of(authority: &str) -> &str {
    let name = authority.rsplit_once(':').map_or(authority, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { authority }
    });
    name.strip_suffix('.').unwrap_or(name)
}

/// Whether a name is loopback itself. The whole of it must be an address: "127.evil.example" is a name like any other.
pub(super) fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case(LOCALHOST)
        || name == "[::1]"
        || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn namespace(host: &str, header: Option<&'static str>) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(NAMESPACE_HEADER, HeaderValue::from_static(header));
        }
        let hosts = ["api.example.org", "example.net", "www.example.net"].map(str::to_owned);
        let hosts = Hosts::new(hosts.into(), true);
        hosts.namespace(Some(host), &headers).map(|named| named.unwrap_or_default().into())
    }

    #[test]
    fn the_namespace_is_the_headers_else_the_hosts_else_the_default() {
        for (host, header, expected) in [
            ("127.0.0.1:8080", None, "default"),
            ("[::1]:8080", None, "default"),
            ("localhost", None, "default"),
            ("LOCALHOST.", None, "default"),
            ("acme.localhost:8080", None, "acme"),
            ("api.example.org", None, "default"),
            ("Acme.api.example.org:443", None, "acme"),
            ("shop.example.net", None, "shop"),
            ("www.example.net", None, "default"),
            ("acme.localhost", Some("other"), "other"),
            ("127.0.0.1", Some("other"), "other"),
            ("helloworld.micro:8080", None, "default"),
            ("Shop.acme.micro.", None, "acme"),
            ("api.alpha.node.micro", None, "default"),
        ] {
            assert_eq!(namespace(host, header).ok().as_deref(), Some(expected), "{host} {header:?}");
        }
    }

    #[test]
    fn hosts_that_are_not_of_this_door_are_refused() {
        for host in [
            "evil.example:8080",
            "127.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "a.b.localhost",
            "xapi.example.org",
            "example.org",
            "192.168.0.1",
            "8.8.8.8:80",
            "[::2]",
            ".localhost",
            "",
            "localhost:x",
            "acme.localhost.evil.example",
            "user@localhost",
            "micro",
            "a.b.c.micro",
            "x_y.micro",
            "micro.evil.example",
        ] {
            assert!(namespace(host, None).is_err(), "{host}");
        }
        for header in ["", "A", "a/b", "-a"] {
            assert!(namespace("localhost", Some(header)).is_err(), "{header:?}");
        }
    }

    #[test]
    fn a_request_is_addressed_once() {
        let uri = |text: &str| text.parse::<Uri>().expect("a target");
        let with = |hosts: &[&'static str]| {
            hosts.iter().map(|host| (HOST, HeaderValue::from_static(host))).collect::<HeaderMap>()
        };
        let ask = |version, target: &str, hosts: &[&'static str]| {
            let (uri, headers) = (uri(target), with(hosts));
            authority(version, &uri, &headers).map(|found| found.map(str::to_owned)).ok()
        };
        assert_eq!(ask(Version::HTTP_11, "/", &["a"]), Some(Some("a".to_owned())));
        assert_eq!(ask(Version::HTTP_2, "http://a/", &[]), Some(Some("a".to_owned())));
        assert_eq!(ask(Version::HTTP_10, "/", &[]), Some(None));
        assert_eq!(ask(Version::HTTP_11, "/", &[]), None);
        assert_eq!(ask(Version::HTTP_11, "/", &["a", "b"]), None);
        assert_eq!(ask(Version::HTTP_11, "http://a/", &["b"]), None);
    }
}
