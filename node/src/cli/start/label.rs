//! The values of the flags of `start` that are names or addresses.

use crate::cli::unit;
use micro_sdk::client::Address;
use std::{net::SocketAddr, time::Duration};

/// The longest name: a DNS label's length, so that a node's name can become one.
const NAME_BYTES_MAX: usize = 63;

/// Reads the name of a node: a DNS label.
pub(super) fn name(text: &str) -> Result<String, String> {
    let inner = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !inner
        || text.is_empty()
        || text.len() > NAME_BYTES_MAX
        || text.starts_with('-')
        || text.ends_with('-')
    {
        return Err(
            "a name takes 1 to 63 of a-z, 0-9 and '-', and starts and ends with a letter or digit".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// The shortest life of a certificate: shorter, and links were replaced all the time.
const CERTIFICATE_LIFE_MIN: Duration = Duration::from_secs(10);
/// The longest: 90 days. A node that is gone for good is remembered for longer.
const CERTIFICATE_LIFE_MAX: Duration = Duration::from_secs(90 * 24 * 3600);

/// Reads the life of a certificate. Certificates tell whole seconds.
pub(super) fn certificate_life(text: &str) -> Result<Duration, String> {
    let life = unit::duration(text)?;
    match (CERTIFICATE_LIFE_MIN..=CERTIFICATE_LIFE_MAX).contains(&life) && life.subsec_nanos() == 0 {
        true => Ok(life),
        false => Err("it takes whole seconds, from 10s to 2160h (90 days)".to_owned()),
    }
}

/// The longest look for what comes next: with a longer one, a thread that a request reaches every millisecond would
/// take a processor for itself.
const BUSY_POLL_MAX: Duration = Duration::from_millis(1);

/// Reads for how long a thread looks for what comes next; zero if it does not.
pub(super) fn busy_poll(text: &str) -> Result<Duration, String> {
    match text {
        "off" => Ok(Duration::ZERO),
        text => unit::duration(text)
            .ok()
            .filter(|look| *look <= BUSY_POLL_MAX)
            .ok_or_else(|| "it takes a time up to 1ms, such as 200us, or off".to_owned()),
    }
}

/// Reads a cloud, region or zone: short, printable, and free of what separates them.
pub(super) fn place(text: &str) -> Result<String, String> {
    let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !good || text.len() > NAME_BYTES_MAX {
        return Err("a cloud, region or zone takes up to 63 of letters, digits, '-', '_' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

/// Reads a name that a host is called by, as it stands in a request: lowercase, without a port.
pub(super) fn host(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    let whole =
        !name.is_empty() && name.split('.').all(|label| !label.is_empty() && label.len() <= NAME_BYTES_MAX);
    match plain && whole && name.len() < 254 {
        true => Ok(name),
        false => Err("write the name alone, such as api.example.org".to_owned()),
    }
}

/// Reads an origin, as browsers write it (RFC 6454, 6.2): scheme and host, and the port unless it is the scheme's own.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let parts = text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme));
    let wrong = || "write it as browsers do, such as https://app.example.org or http://app.example.org:3000";
    let (scheme, authority) = parts.ok_or_else(wrong)?;
    let (name, port) = authority.split_once(':').map_or((authority, None), |(name, port)| (name, Some(port)));
    let usual = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    let number = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    if usual || !number || host(name)? != name {
        return Err(wrong().to_owned());
    }
    Ok(text.to_owned())
}

/// Reads an address to listen at.
pub(super) fn listener(text: &str) -> Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| "write it as IP:PORT, or as [IP]:PORT for IPv6".to_owned())
}

/// Reads an address to dial.
pub(super) fn place_on_network(text: &str) -> Result<Address, String> {
    match text.parse::<Address>() {
        Ok(address @ Address::Tcp { .. }) => Ok(address),
        Ok(Address::Unix(_)) => Err("a socket leads to this host only: write HOST:PORT".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_numeric_and_dialled_places_need_not_be() {
        assert_eq!(listener("localhost:0"), Ok(([127, 0, 0, 1], 0).into()));
        assert!(listener("[::1]:80").is_ok());
        assert!(listener("example.org:80").is_err());
        assert!(place_on_network("example.org:80").is_ok());
        assert!(place_on_network("unix:/x").is_err());
    }

    #[test]
    fn hosts_and_origins_are_as_browsers_write_them() {
        assert_eq!(host("API.example.org"), Ok("api.example.org".to_owned()));
        for bad in ["", "a b", "a:80", "a/b", ".a", "a..b", "*.a", &"a".repeat(64)] {
            assert!(host(bad).is_err(), "{bad}");
        }
        for good in ["https://app.example.org", "http://localhost:3000"] {
            assert_eq!(origin(good), Ok(good.to_owned()));
        }
        for bad in [
            "app.example.org",
            "https://app.example.org/",
            "https://APP.example.org",
            "https://app.example.org:443",
            "*",
            "null",
            "ftp://a",
            "https://a:0",
            "https://a:x",
            "https://u@a",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }
}
