//! DNS: the names of the mesh, for programs that look hosts up and know nothing of micro-node.
//!
//! | name | types | what it tells |
//! |---|---|---|
//! | `SERVICE.micro`, `SERVICE.NAMESPACE.micro` | A, AAAA, SRV, TXT | where its HTTP api is; its versions |
//! | `_http._tcp.SERVICE.micro`, `_https.…`, `_grpc.…` | SRV | the same for one protocol (RFC 2782) |
//! | `_SERVICE._tcp.micro` | SRV | as `SERVICE.micro`, for programs that always ask so |
//! | `NODE.node.micro` | A, AAAA | a node that is up |
//! | `api.NODE.node.micro`, `proxy.NODE.node.micro` | A, AAAA | a door of it: where SRV points to |
//! | `micro` | SOA, NS | this node |
//!
//! People's services listen on loopback of their own hosts, and are reached through a node. So the address of a service
//! is that of a door: who connects to what SRV says (host and port), or to what A says at the port of the HTTP api, and
//! speaks HTTP or gRPC there, reaches the service, wherever it runs. The first of these doors is always this node's
//! own, since it passes calls on to the nearest instance and to the next one if that fails. It is the only one where
//! the doors of other nodes are on loopback, as is usual: naming these would name nobody. Nodes whose HTTP api other
//! hosts reach (inside TLS) tell so by gossip; those that have instances follow: first those of the same zone, then of
//! the same region, of the same cloud, and all others, each by round trip. In SRV that is the priority, and the weight
//! within it the number of instances. Who asks from another host is told none of the doors that are on loopback.
//!
//! What is told is what this node's registry has. Nothing is asked of others: a name outside `micro` is refused.
//! Discovery follows the rules: a service is told of to who may call any of its endpoints; nodes, and that a name is
//! not there, to who may call any service at all. To all others everything is refused alike. What stands beneath a
//! service (`_ftp._tcp.SERVICE.micro`, `www.SERVICE.micro`) is not there, to who is told of that service, unless they
//! are told of a tenant of that name. Nobody shows who they are, so it is by the listener: on loopback they are
//! anonymous, else strangers.
//!
//! What is known to be weak: a listener on all interfaces of a host with several addresses may answer a datagram from
//! another than it was asked at. `--dns` takes one of them.

mod meaning;
mod message;
mod reach;
mod view;
mod zone;

pub(super) use meaning::tenant;
pub(super) use reach::OwnDoors;
pub use reach::beyond;

use super::{
    limits::Limits,
    tally::{DoorName, Reason, Tally},
};
use crate::node::{Context, Local};
use message::{QUERY_BYTES_MAX, Transport};
use micro_actors::audit::Origin;
use micro_sdk::wire::Caller;
use std::{
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::watch,
    time::{sleep, timeout},
};
use view::LocalView;
use zone::Zone;

/// How long a connection may be silent, or take for one query: a resolver that has more to ask has asked by then
/// (RFC 7766, 6.2.3).
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take for an answer that it asked for.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after the socket has failed: whatever it was may be over soon.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// The door. It answers one query of a socket or a connection after another, out of what is in memory: so there are no
/// more in work than there are connections, and one.
#[derive(Clone)]
pub(super) struct Dns {
    local: Local,
    own: OwnDoors,
    nobody: Caller,
    limits: Arc<Limits>,
    tally: Arc<Tally>,
}

impl Dns {
    /// A door that tells of this node's `own` doors, to callers that count as `nobody`.
    pub fn new(local: Local, own: OwnDoors, nobody: Caller, limits: Arc<Limits>, tally: Arc<Tally>) -> Self {
        Dns { local, own, nobody, limits, tally }
    }

    /// Answers datagrams until the node drains.
    pub async fn serve_udp(self, socket: UdpSocket, mut draining: watch::Receiver<bool>) {
        let mut packet = vec![0; QUERY_BYTES_MAX];
        loop {
            let received = tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => return,
                received = socket.recv_from(&mut packet) => received,
            };
            let (length, peer) = match received {
                Ok(received) => received,
                Err(error) => {
                    tracing::debug!(%error, "a datagram could not be received");
                    sleep(RECEIVE_PAUSE).await;
                    continue;
                }
            };
            // Nobody listens at port 0, and who floods is not answered at all: the address may be a victim's.
            if peer.port() == 0 || !self.admits(peer) {
                continue;
            }
            if let Some(answer) = self.answer(&packet[..length], Transport::Udp, peer) {
                let sent = timeout(SEND_TIMEOUT, socket.send_to(&answer, peer)).await;
                tracing::trace!(?sent, %peer, "a datagram was answered");
            }
        }
    }

    /// Answers the queries of a connection, one after another, until it ends or the node drains.
    pub async fn serve_tcp(self, stream: TcpStream, peer: SocketAddr, draining: watch::Receiver<bool>) {
        if let Err(error) = self.converse(stream, peer, draining).await {
            tracing::debug!(%error, %peer, "a connection of DNS has ended");
        }
    }

    async fn converse(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        mut draining: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let mut packet = Vec::with_capacity(QUERY_BYTES_MAX.min(512));
        loop {
            let length = tokio::select! {
                biased;
                _ = draining.wait_for(|draining| *draining) => return Ok(()),
                length = timeout(IDLE_TIMEOUT, stream.read_u16()) => length,
            };
            let Ok(length) = length else { return Ok(()) };
            let length = usize::from(length?);
            if length > QUERY_BYTES_MAX || !self.admits(peer) {
                return Ok(());
            }
            packet.resize(length, 0);
            if let Ok(read) = timeout(IDLE_TIMEOUT, stream.read_exact(&mut packet)).await {
                read?;
            } else {
                self.tally.refused(DoorName::Dns, Reason::Late);
                return Ok(());
            }
            let Some(answer) = self.answer(&packet, Transport::Tcp, peer) else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            // In one piece: some clients take the length and the message to come together.
            let whole = [&length.to_be_bytes()[..], &answer].concat();
            timeout(SEND_TIMEOUT, stream.write_all(&whole)).await??;
        }
    }

    fn admits(&self, peer: SocketAddr) -> bool {
        self.limits.admit(&self.nobody, Origin::Dns(peer)).is_ok()
    }

    /// The answer to a packet; none to what is no query.
    fn answer(&self, packet: &[u8], transport: Transport, peer: SocketAddr) -> Option<Vec<u8>> {
        let answering = || {
            let context = Context { origin: Origin::Dns(peer), ..Context::of(self.nobody.clone()) };
            let view = LocalView { local: &self.local, context, own: &self.own };
            let near = peer.ip().to_canonical().is_loopback();
            message::reply(packet, transport, |query| Zone { view: &view, near }.answer(query))
        };
        // Others' code takes the packet apart: should it fail at one, it is that one which is not answered.
        let answered = catch_unwind(AssertUnwindSafe(answering)).unwrap_or_else(|_| {
            tracing::error!(%peer, "a packet of DNS could not be answered: that is a defect");
            None
        })?;
        self.tally.resolved(answered.rcode);
        Some(answered.bytes)
    }
}
