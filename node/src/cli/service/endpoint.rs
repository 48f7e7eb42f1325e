//! What is offered: a program that listens, and what it speaks; a folder; a program that is run once a call.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// How endpoints are written.
const FORMS: &str = "write it as http://127.0.0.1:5000, grpc://127.0.0.1:6000, file:///srv/site or exec:///usr/local/bin/resize";

/// What is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Endpoint {
    /// A program that listens here for HTTP.
    Http(SocketAddr),
    /// A program that listens here for gRPC.
    Grpc(SocketAddr),
    /// The files of a folder.
    File(PathBuf),
    /// A program that is run once a call, as it was written.
    Exec(String),
}

impl Endpoint {
    /// Whether it takes HTTP as it is, with paths of its own.
    pub fn takes_paths(&self) -> bool {
        matches!(self, Endpoint::Http(_) | Endpoint::File(_))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Http(address) => write!(f, "http://{address}"),
            Endpoint::Grpc(address) => write!(f, "grpc://{address}"),
            Endpoint::File(path) => write!(f, "file://{}", path.display()),
            Endpoint::Exec(path) => write!(f, "exec://{path}"),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(FORMS)?;
        match scheme {
            "http" => Ok(Endpoint::Http(loopback(rest)?)),
            "grpc" => Ok(Endpoint::Grpc(loopback(rest)?)),
            "file" => Ok(Endpoint::File(path(rest)?.into())),
            "exec" => Ok(Endpoint::Exec(path(rest)?.to_owned())),
            _ => Err(FORMS.to_owned()),
        }
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let place = text.strip_suffix('/').unwrap_or(text);
    if place.contains('/') {
        return Err("it has no path: all paths of the program are its own".to_owned());
    }
    // Not looked up: the node wants an address, and that of this name is known.
    let place = match place.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => place.to_owned(),
    };
    let address: SocketAddr = place.parse().map_err(|_| FORMS)?;
    match address.ip().is_loopback() && address.port() > 0 {
        true => Ok(address),
        false => Err("it has to be on loopback of the node's host, with a port".to_owned()),
    }
}

/// A path as it was written. What stands where a URL has its host is no path: `exec://resize` may mean either.
fn path(text: &str) -> Result<&str, String> {
    if text.contains('\0') || !["/", "./", "../"].iter().any(|begin| text.starts_with(begin)) {
        return Err(
            "a path begins with /, ./ or ../ behind the scheme: file:///srv/site, exec://./resize".to_owned()
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_place_on_this_host() {
        let at = |address: &str| address.parse().expect("an address");
        for (text, endpoint, shown) in [
            ("http://127.0.0.1:5000", Endpoint::Http(at("127.0.0.1:5000")), "http://127.0.0.1:5000"),
            ("http://localhost:5000/", Endpoint::Http(at("127.0.0.1:5000")), "http://127.0.0.1:5000"),
            ("grpc://[::1]:6000", Endpoint::Grpc(at("[::1]:6000")), "grpc://[::1]:6000"),
            ("file:///srv/my site", Endpoint::File("/srv/my site".into()), "file:///srv/my site"),
            ("file://../site/", Endpoint::File("../site/".into()), "file://../site/"),
            ("exec://./resize", Endpoint::Exec("./resize".to_owned()), "exec://./resize"),
        ] {
            assert_eq!(endpoint.to_string(), shown);
            assert_eq!(text.parse(), Ok(endpoint), "{text}");
        }
        for text in [
            "",
            "127.0.0.1:5000",
            "https://127.0.0.1:1",
            "http://127.0.0.1",
            "http://10.0.0.1:80",
            "http://127.0.0.1:0",
            "file://",
            "file://host/srv",
            "file:/srv",
            "exec://resize",
            "exec://",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?} was taken for an endpoint");
        }
        assert!("http://127.0.0.1:1/x".parse::<Endpoint>().is_err_and(|why| why.contains("path")));
    }
}
