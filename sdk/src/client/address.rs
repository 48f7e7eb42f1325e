//! Where a node is: a unix socket or a TCP port.

use crate::wire::{Code, Fault};
use std::{
    env,
    ffi::OsString,
    fmt,
    net::{IpAddr, Ipv6Addr},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The longest path of a unix socket on Linux: `sun_path` has 108 bytes, one of them for the end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// The environment variable that names the node to use.
pub(crate) const ADDRESS_VARIABLE: &str = "MICRO_NODE_ADDRESS";
/// The variable that names the socket of the node on this host, to the node and to clients.
const SOCKET_VARIABLE: &str = "MICRO_NODE_SOCKET";

/// Where a node takes clients: `unix:PATH` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// A unix socket: the node knows by the user id who is calling.
    Unix(PathBuf),
    /// A TCP port: the node wants the admin secret, or the token of an account.
    Tcp {
        /// A name or an IP address, without brackets.
        host: String,
        /// Never 0.
        port: u16,
    },
}

/// A text that is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address: {reason}")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl From<AddressError> for Fault {
    fn from(error: AddressError) -> Fault {
        Fault::new(Code::Usage, error.to_string()).help("write unix:PATH or HOST:PORT")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        parse(text).map_err(|reason| AddressError { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<Address, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.len() {
            0 => Err("a path is missing after unix:"),
            1..=SOCKET_PATH_BYTES_MAX if !path.contains('\0') => Ok(Address::Unix(path.into())),
            _ => Err("the path of a socket has at most 107 bytes, none of them 0"),
        };
    }
    if text.contains("://") {
        return Err("it takes no scheme");
    }
    if text.starts_with(['/', '.']) {
        return Err("a path needs unix: before it");
    }
    let (host, port) = text.rsplit_once(':').ok_or("it has no port")?;
    let port = match port.parse() {
        Ok(0) | Err(_) => return Err("a port is a number from 1 to 65535"),
        Ok(port) => port,
    };
    let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => {
            inner.parse::<Ipv6Addr>().map_err(|_| "what is in brackets is no IPv6 address")?.to_string()
        }
        None if host.contains(':') => return Err("an IPv6 address needs brackets around it"),
        None => host.to_owned(),
    };
    let letters = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    if host.is_empty() || !letters {
        return Err("a host is a name or an IP address");
    }
    Ok(Address::Tcp { host, port })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Address {
    /// The proxy port of a node on this host that was told nothing else.
    pub(crate) fn loopback() -> Address {
        Address::Tcp { host: "127.0.0.1".to_owned(), port: 8081 }
    }

    /// The address in `MICRO_NODE_ADDRESS`, if it is set.
    ///
    /// # Errors
    /// `Usage` if it holds no address.
    pub fn from_env() -> Result<Option<Address>, Fault> {
        let Some(text) = env::var_os(ADDRESS_VARIABLE).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let address = text.to_string_lossy().parse::<Address>().map_err(|error| {
            let fault = Fault::from(error);
            let message = format!("{ADDRESS_VARIABLE}: {}", fault.message);
            Fault { message, ..fault }
        })?;
        Ok(Some(address))
    }

    /// Whether it cannot lead off this host, so that nobody on a wire sees what is sent.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Address::Unix(_) => true,
            Address::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

/// The socket of the node on this host, for those who were told nothing else: that in `MICRO_NODE_SOCKET`, which a node
/// takes its own from too; else `$XDG_RUNTIME_DIR/micro-node.sock`, else `/run/micro-node.sock` for root, else
/// `/tmp/micro-node-UID.sock`.
///
/// Node and clients both ask here, so they agree.
pub fn default_socket() -> PathBuf {
    named_socket().unwrap_or_else(|| socket_of(env::var_os("XDG_RUNTIME_DIR"), own_uid()))
}

/// The socket in `MICRO_NODE_SOCKET`, if it is set. Whoever names one means no other node.
pub fn named_socket() -> Option<PathBuf> {
    env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn socket_of(runtime_dir: Option<OsString>, uid: Option<u32>) -> PathBuf {
    match (runtime_dir.filter(|dir| !dir.is_empty()), uid) {
        (Some(dir), _) => Path::new(&dir).join("micro-node.sock"),
        (None, Some(0) | None) => PathBuf::from("/run/micro-node.sock"),
        (None, Some(uid)) => PathBuf::from(format!("/tmp/micro-node-{uid}.sock")),
    }
}

/// The user id of this process: the owner of its entry in /proc. None where there is no /proc.
fn own_uid() -> Option<u32> {
    Path::new("/proc/self").metadata().ok().map(|metadata| metadata.uid())
}

/// The default socket, if it is there and belongs to this user or to root: in /tmp, anyone could have put
/// one.
pub(crate) fn existing_default_socket() -> Option<PathBuf> {
    let socket = default_socket();
    let metadata = socket.symlink_metadata().ok()?;
    let trusted = metadata.uid() == 0 || own_uid() == Some(metadata.uid());
    (metadata.file_type().is_socket() && trusted).then_some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_from_what_it_prints() {
        let texts =
            ["unix:/run/a b.sock", "unix:x", "127.0.0.1:8081", "localhost:1", "[::1]:65535", "a-b.c_d:80"];
        for text in texts {
            let address: Address = text.parse().expect("it is an address");
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        let long = format!("unix:/{}", "x".repeat(107));
        let cases = [
            ("", "no port"),
            ("unix:", "path is missing"),
            (long.as_str(), "at most 107"),
            ("/run/micro-node.sock", "needs unix:"),
            ("http://127.0.0.1:8081", "no scheme"),
            ("localhost", "no port"),
            ("localhost:0", "from 1 to 65535"),
            ("localhost:65536", "from 1 to 65535"),
            ("localhost:http", "from 1 to 65535"),
            (":8081", "a host is"),
            ("a b:1", "a host is"),
            ("::1:8081", "brackets"),
            ("[x]:8081", "no IPv6"),
        ];
        for (text, reason) in cases {
            let fault = Fault::from(text.parse::<Address>().expect_err(text));
            assert_eq!(fault.code, Code::Usage);
            assert!(fault.message.contains(reason), "{text:?}: {fault}");
        }
    }

    #[test]
    fn the_default_socket_belongs_to_the_user() {
        let dir = Some(OsString::from("/run/user/7"));
        assert_eq!(socket_of(dir, Some(7)), Path::new("/run/user/7/micro-node.sock"));
        assert_eq!(socket_of(None, Some(0)), Path::new("/run/micro-node.sock"));
        assert_eq!(socket_of(Some(OsString::new()), Some(7)), Path::new("/tmp/micro-node-7.sock"));
    }

    #[test]
    fn only_loopback_is_local() {
        for (text, local) in [
            ("unix:/x", true),
            ("127.0.0.9:1", true),
            ("[::1]:1", true),
            ("localhost:1", true),
            ("10.0.0.1:1", false),
            ("example.org:1", false),
        ] {
            assert_eq!(text.parse::<Address>().expect("it is an address").is_local(), local, "{text}");
        }
    }
}
