//! A place of the HTTP api from which all requests go to a service that takes HTTP as it is.

use super::{ROUTE_METHOD_ANY, Route, route::is_of_every_node};
use std::{fmt, str::FromStr};

/// What stands for all that is below a place.
const BELOW: &str = "{rest=**}";

/// A place of the HTTP api beside the one that a service's name gives: `/docs` on any host, `docs.example.org/` for all
/// of one host, `docs.example.org/v2` for a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    host: String,
    /// Without a slash at its end: empty for all of the host.
    prefix: String,
}

/// What is no place for a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MountError(String);

impl Mount {
    /// What all paths below it begin with; empty for all of a host.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The explicit routes that lead there: to the place itself, and to all below.
    pub fn routes(&self) -> [Route; 2] {
        let whole = if self.prefix.is_empty() { "/" } else { &self.prefix };
        [whole.to_owned(), format!("{}/{BELOW}", self.prefix)].map(|path| Route {
            method: ROUTE_METHOD_ANY.to_owned(),
            path,
            host: self.host.clone(),
        })
    }
}

impl FromStr for Mount {
    type Err = MountError;

    fn from_str(text: &str) -> Result<Self, MountError> {
        let refused = |why: &str| Err(MountError(why.to_owned()));
        let Some(slash) = text.find('/') else {
            return refused("write it as /PREFIX, HOST/ or HOST/PREFIX");
        };
        let (host, prefix) = text.split_at(slash);
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if prefix.is_empty() && host.is_empty() {
            return refused(
                "all of it is where all services are: give a prefix such as /docs, or a host such as docs.example.org/",
            );
        }
        if ["/-", "/."].iter().any(|own| prefix.starts_with(own)) || prefix.contains(['{', '}']) {
            return refused(
                "what begins with a dash or a dot is the platform's own, and braces are no part of a path",
            );
        }
        if is_of_every_node(host) {
            return refused(
                "a host is a name that nodes go by, as their --api-host says: those of a machine for itself, addresses, and names \
                 below .micro lead to all services",
            );
        }
        let mount = Mount { host: host.to_owned(), prefix: prefix.to_owned() };
        for route in mount.routes() {
            route.check().map_err(|error| MountError(error.why().to_owned()))?;
        }
        Ok(mount)
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.host, if self.prefix.is_empty() { "/" } else { &self.prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_prefix_or_a_host_or_both() {
        for (text, prefix, routes) in [
            ("/docs", "/docs", ["* /docs", "* /docs/{rest=**}"]),
            ("/docs/v2/", "/docs/v2", ["* /docs/v2", "* /docs/v2/{rest=**}"]),
            ("docs.example.org/", "", ["* docs.example.org/", "* docs.example.org/{rest=**}"]),
            ("docs.local/a", "/a", ["* docs.local/a", "* docs.local/a/{rest=**}"]),
        ] {
            let mount: Mount = text.parse().expect(text);
            let shown = mount.routes().map(|route| format!("{} {}{}", route.method, route.host, route.path));
            assert_eq!((mount.prefix(), shown), (prefix, routes.map(str::to_owned)), "{text}");
            assert_eq!(mount.to_string().parse(), Ok(mount), "{text}");
        }
        for (text, why) in [
            ("", "PREFIX"),
            ("docs", "PREFIX"),
            ("/", "all services"),
            ("/-/v1", "platform"),
            ("/.well-known", "platform"),
            ("host.example/-/v1", "platform"),
            ("/a//b", "plain word"),
            ("/a/../b", "plain word"),
            ("/a%20b", "plain word"),
            ("/{a}", "braces"),
            ("Docs.example.org/", "lowercase"),
            ("http://docs.example.org/", "lowercase"),
            ("localhost/", "all services"),
            ("acme.localhost/docs", "all services"),
            ("127.0.0.1/", "all services"),
            ("shop.micro/", "all services"),
        ] {
            let error = text.parse::<Mount>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
