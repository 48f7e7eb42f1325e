//! Whether the program behind a port is still the one that was there.
//!
//! Nobody asks it: a connection on which nothing is said ends with its program, and a server that stops in order closes
//! what is idle first. A stream that is held open would keep such a server from stopping.

use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// How long it may take to be connected on this host.
const DIAL_LIMIT: Duration = Duration::from_secs(1);

/// Returns once a server of HTTP/2 at a loopback address has closed the connection that is made to it here. Whether
/// there was one.
pub async fn until_gone(address: SocketAddr) -> bool {
    let dialled = timeout(DIAL_LIMIT, async {
        let stream = TcpStream::connect(address).await.ok()?;
        h2::client::handshake(stream).await.ok()
    });
    let Ok(Some((sender, connection))) = dialled.await else { return false };
    // However it ends: the program is not to be counted on any more.
    let _ = connection.await;
    drop(sender);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_lasts_as_long_as_its_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
        let address = listener.local_addr().expect("it has an address");
        let gone = tokio::spawn(until_gone(address));
        let (stream, _) = listener.accept().await.expect("it connects");
        let server = h2::server::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!gone.is_finished(), "its server is there");
        drop((server, listener));
        assert!(gone.await.expect("it does not panic"), "it was there");
        assert!(!until_gone(address).await, "nobody listens any more");
    }
}
