//! The values of the flags of `start` that are names or addresses.

use micro_sdk::client::Address;
use std::net::SocketAddr;

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

/// Reads a cloud, region or zone: short, printable, and free of what separates them.
pub(super) fn place(text: &str) -> Result<String, String> {
    let good = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !good || text.len() > NAME_BYTES_MAX {
        return Err("a cloud, region or zone takes up to 63 of letters, digits, '-', '_' and '.'".to_owned());
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
}
