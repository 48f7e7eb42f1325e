//! Makes the one HTTP/2 connection to a node, and makes it again when it is lost.

use super::Address;
use crate::wire::{Code, Fault};
use hyper_util::rt::TokioIo;
use std::{error::Error, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tonic::transport::{Channel, Endpoint};

/// How long a connection may take: a node on this host answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a connection with work in flight is probed, and how long the answer may take: so a node that
/// hangs is noticed after 15 s at most, which no busy node takes to answer a ping.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// What may be under way unacknowledged: a large body is not held up by round trips.
const WINDOW_BYTES: u32 = 1 << 20;
/// The same on all streams together. Each is bounded by itself; this is half of what short messages may cost beside
/// their bytes, beyond which h2 ends the connection: a window full of the shortest costs 42 MB while nobody reads it.
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// What to do when a node's socket is not for this user.
pub const SOCKET_HELP: &str = "run it as root or as the node's own user, or use the node's gRPC proxy with --address \
                               IP:PORT, as an account or with the admin secret";

/// A connection, of either kind.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Why there is no connection. Nothing was sent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot reach a node at {address}: {reason}")]
pub(crate) struct DialError {
    address: Address,
    reason: String,
    /// Whether somebody is there who is only not for this user.
    forbidden: bool,
}

impl DialError {
    fn new(address: &Address, error: &io::Error) -> DialError {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::TimedOut => "no answer".to_owned(),
            _ => error.to_string().to_lowercase(),
        };
        // A socket's file says who may connect to it. On TCP it is a firewall that says so, of nobody in particular.
        let forbidden =
            error.kind() == io::ErrorKind::PermissionDenied && matches!(address, Address::Unix(_));
        DialError { address: address.clone(), reason, forbidden }
    }

    /// The dial error among the causes of `error`, if there is one.
    pub(crate) fn among<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a DialError> {
        causes(error).find_map(|error| error.downcast_ref())
    }
}

impl From<&DialError> for Fault {
    fn from(error: &DialError) -> Fault {
        if error.forbidden {
            return Fault::new(Code::Denied, error.to_string()).help(SOCKET_HELP);
        }
        Fault::new(Code::Unreachable, error.to_string()).help("start one with `micro-node start`")
    }
}

/// A channel to the node at `address`, connected.
///
/// # Errors
/// `Unreachable` if no connection can be made now. Later losses show in the requests that meet them.
pub(crate) async fn channel(address: &Address) -> Result<Channel, Fault> {
    // The authority is nobody's: what is dialled is the address.
    let endpoint = Endpoint::from_static("http://localhost")
        .http2_keep_alive_interval(PROBE_INTERVAL)
        .keep_alive_timeout(PROBE_TIMEOUT)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    let dialled = address.clone();
    let connector = tower::service_fn(move |_| dial(dialled.clone()));
    let channel = endpoint.connect_with_connector(connector);
    channel.await.map_err(|error| match DialError::among(&error) {
        Some(dial) => Fault::from(dial),
        None => {
            Fault::from(&DialError { address: address.clone(), reason: root_cause(&error), forbidden: false })
        }
    })
}

async fn dial(address: Address) -> Result<TokioIo<Box<dyn Socket>>, DialError> {
    let socket = timeout(CONNECT_TIMEOUT, open(&address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    socket.map(TokioIo::new).map_err(|error| DialError::new(&address, &error))
}

async fn open(address: &Address) -> io::Result<Box<dyn Socket>> {
    match address {
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
    }
}

/// The innermost cause: the outer ones say "transport error".
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, |error| error.to_string().to_lowercase())
}

/// `error`, its cause, the cause of that, and so on.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_that_is_not_for_this_user_is_denied_and_not_unreachable() {
        let fault = |address: &str, kind: io::ErrorKind| {
            let address = address.parse().expect("it is an address");
            Fault::from(&DialError::new(&address, &kind.into()))
        };
        let denied = fault("unix:/run/micro-node.sock", io::ErrorKind::PermissionDenied);
        assert_eq!((denied.code, &denied.help[..]), (Code::Denied, &[SOCKET_HELP.to_owned()][..]));
        assert!(denied.message.contains("/run/micro-node.sock: permission denied"), "{denied}");
        for (address, kind) in [
            ("unix:/run/micro-node.sock", io::ErrorKind::ConnectionRefused),
            ("127.0.0.1:8081", io::ErrorKind::PermissionDenied),
        ] {
            assert_eq!(fault(address, kind).code, Code::Unreachable);
        }
    }
}
