//! Where a program listens, and what it speaks.

use std::{net::SocketAddr, str::FromStr};

/// What a program speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Speech {
    Http,
    Grpc,
}

/// Where a program listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Endpoint {
    pub speech: Speech,
    pub address: SocketAddr,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write it as http://127.0.0.1:5000 or grpc://127.0.0.1:6000".to_owned();
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let speech = match scheme {
            "http" => Speech::Http,
            "grpc" => Speech::Grpc,
            _ => return Err(wrong()),
        };
        let place = rest.strip_suffix('/').unwrap_or(rest);
        if place.contains('/') {
            return Err("it has no path: all paths of the program are its own".to_owned());
        }
        // Not looked up: the node wants an address, and that of this name is known.
        let place = match place.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => place.to_owned(),
        };
        let address: SocketAddr = place.parse().map_err(|_| wrong())?;
        match address.ip().is_loopback() && address.port() > 0 {
            true => Ok(Endpoint { speech, address }),
            false => Err("it has to be on loopback of the node's host, with a port".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_scheme_and_a_loopback_address() {
        for (text, speech, address) in [
            ("http://127.0.0.1:5000", Speech::Http, "127.0.0.1:5000"),
            ("http://localhost:5000/", Speech::Http, "127.0.0.1:5000"),
            ("grpc://[::1]:6000", Speech::Grpc, "[::1]:6000"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(text.parse(), Ok(Endpoint { speech, address }), "{text}");
        }
        for text in ["", "127.0.0.1:5000", "https://127.0.0.1:1", "http://127.0.0.1", "http://10.0.0.1:80"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?} was taken for an endpoint");
        }
        assert!("http://127.0.0.1:1/x".parse::<Endpoint>().is_err_and(|why| why.contains("path")));
        assert!("http://127.0.0.1:0".parse::<Endpoint>().is_err());
    }
}
