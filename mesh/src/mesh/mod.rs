//! A node's place in the mesh: one UDP port, its peers, what is called over them.

mod config;
mod credentials;
mod inner;
mod surroundings;
mod wayfinding;

pub use config::{LINK_TIMEOUT, LINK_TIMEOUT_MAX, LINK_TIMEOUT_MIN, MeshConfig, MeshError, WAY_LEEWAY};
pub(crate) use credentials::Credentials;
pub(crate) use inner::Inner;

use crate::{
    Candidate, FrameReceiver, FrameSender, Gossip, Handler, Heard, Identity, Lane, LinkReport, LinkState,
    RenewalGrant, Route, Said, Socket, Trust,
    call::{check_body, deadline, send_call, timed_out, work_call},
    conversation::ask,
    door,
    link::{Expulsion, Link, Outgoing, StreamGuard, close_code, describe, introduce},
    prelude::Kind,
    relay::{self, Tunnel, TunnelSocket},
    renewal,
    route::in_order,
    tls,
};
use bytes::Bytes;
use micro_sdk::wire::{ClusterId, Code, Fault, Head, NodeId};
use quinn::{Endpoint, RecvStream};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long a clean close may take: peers that are gone don't acknowledge it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a mesh that drains looks whether it has.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How long a finished bulk transfer may take to arrive.
const BULK_FAREWELL: Duration = Duration::from_secs(30);

/// A node's place in the mesh. Clones are the same place; it ends with [`Mesh::close`], or when the last one
/// goes.
#[derive(Clone)]
pub struct Mesh {
    inner: Arc<Inner>,
    _life: Arc<Life>,
}

/// Ends all tasks when the last [`Mesh`] is dropped: they hold [`Inner`] themselves.
struct Life(Arc<Inner>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.end("the node is gone");
    }
}

impl Mesh {
    /// Takes the node's place in the mesh. Must be called within a tokio runtime, which everything then runs
    /// on.
    ///
    /// It dials and gossips from now on, but takes no connection before [`Mesh::serve`].
    ///
    /// # Errors
    /// If the identity or the socket can't be used, its authority is not believed, or there is no runtime.
    pub fn start(
        config: MeshConfig,
        identity: Identity,
        trust: Trust,
        socket: Socket,
    ) -> Result<Mesh, MeshError> {
        tokio::runtime::Handle::try_current().map_err(|_| MeshError::Runtime)?;
        let transport = tls::Transport::new(socket.segments(), config.link_timeout);
        let local_addr = socket.local_addr()?;
        let mut advertise = config.advertise;
        if advertise.port() == 0 {
            advertise.set_port(local_addr.port());
        }
        let nowhere = |address: &&SocketAddr| address.ip().is_unspecified() || address.port() == 0;
        if let Some(address) = [&advertise].into_iter().chain(&config.also).find(nowhere) {
            return Err(MeshError::Advertise(*address));
        }
        let credentials = Credentials::new(identity, trust, &config.seams, transport, 0)?;
        let server = (*credentials.server(local_addr)).clone();
        let runtime = Arc::new(quinn::TokioRuntime);
        let (tunnel, outbox) = Tunnel::new(local_addr);
        let tunnel = Arc::new(tunnel);
        let socket = TunnelSocket { socket: socket.into_quinn(&*runtime)?, tunnel: tunnel.clone() };
        let endpoint = Endpoint::new_with_abstract_socket(
            tls::endpoint(&config.seams),
            Some(server),
            Arc::new(socket),
            runtime,
        )?;
        let inner = Inner::new(&config, advertise, local_addr, transport, credentials, endpoint, tunnel);
        let inner = Arc::new(inner);
        inner.gossip().bind(&inner);
        tokio::spawn(inner.gossip().clone().run(Arc::new(inner.clone())));
        tokio::spawn(relay::send(inner.clone(), outbox));
        Ok(Mesh { _life: Arc::new(Life(inner.clone())), inner })
    }

    /// Begins to take connections and hands their work to `handler`. A later call only changes the handler.
    ///
    /// The mesh holds the handler until it closes: one that holds the mesh in turn keeps both alive until
    /// then.
    pub fn serve(&self, handler: Arc<dyn Handler>) {
        if self.inner.hand_to(handler) {
            tokio::spawn(door::accept(self.inner.clone()));
        }
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// The mesh that it is of.
    pub fn cluster(&self) -> ClusterId {
        self.inner.cluster
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// Where other nodes reach this one.
    pub fn advertise(&self) -> SocketAddr {
        self.inner.advertise
    }

    /// Where else they may.
    pub fn also(&self) -> &[SocketAddr] {
        &self.inner.also
    }

    /// Puts a node into the address book, or moves it there. It is linked from now on in a small mesh; in a larger
    /// one if it is one of those that hold the mesh together, or while somebody calls it. A node that was forgotten
    /// is known again.
    pub fn learn(&self, node: NodeId, address: SocketAddr) {
        self.inner.want(node, address);
    }

    /// Has a node dialled at this address too, until it says itself where else it is reached. For what was known at the
    /// last start.
    pub fn learn_also(&self, node: NodeId, address: SocketAddr) {
        if let Some(peer) = self.inner.peer(node) {
            peer.may_be_at(address);
        }
    }

    /// Links the node of this mesh that answers at `address`, whichever it is: one whose address is not known, or is
    /// another by now. It is dialled there too from now on. Takes 4 s at most.
    ///
    /// # Errors
    /// `Unreachable` if nothing answers there, `Usage` if it is this node itself; `Conflict` if it is of another mesh,
    /// was removed from this one, or does not take this node. Nothing has changed then.
    pub async fn connect(&self, address: SocketAddr) -> Result<NodeId, Fault> {
        introduce(&self.inner, address).await
    }

    /// All places where another node is dialled, in the order in which they are tried.
    pub fn addresses(&self, node: NodeId) -> Vec<SocketAddr> {
        if node == self.inner.node {
            return [self.inner.advertise].into_iter().chain(self.inner.also.iter().copied()).collect();
        }
        self.inner.peer(node).map(|peer| peer.addresses()).unwrap_or_default()
    }

    /// Where a node is dialled, if that is known. This node's own is the one that it advertises.
    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        if node == self.inner.node {
            return Some(self.inner.advertise);
        }
        self.inner.peer(node).map(|peer| peer.address())
    }

    /// Calls `to` and waits for its answer, up to the head's deadline. A call to this node itself goes
    /// straight to its handler.
    ///
    /// # Errors
    /// - `Usage`: head or body are too long; nothing was sent.
    /// - `Unreachable`: the node is not known or can't be dialled (nothing was done), or the link broke
    ///   (unknown).
    /// - `Timeout`: the effect is none if nothing was sent, else unknown.
    /// - Whatever the peer's handler answers.
    pub async fn call(&self, to: NodeId, head: &Head, body: Bytes) -> Result<Bytes, Fault> {
        check_body("a body", &body)?;
        if to == self.inner.node {
            let handler = self.inner.handler_now();
            let handler =
                handler.ok_or_else(|| Fault::new(Code::Unavailable, "this node does not serve yet"))?;
            return work_call(&*handler, to, head.clone(), body).await;
        }
        let deadline = deadline(head);
        let peer = self.inner.known(to)?;
        let sent = AtomicBool::new(false);
        let exchange = async {
            let link = peer.link(deadline).await?;
            let answer = send_call(&link, head, body.clone(), deadline, &sent).await;
            if answer.is_ok() || !link.was_idle() {
                return answer;
            }
            // The other end closed it as nothing was on it, before it saw the call.
            sent.store(false, Ordering::Relaxed);
            send_call(&peer.link(deadline).await?, head, body, deadline, &sent).await
        };
        match timeout_at(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(timed_out(head, sent.load(Ordering::Relaxed))),
        }
    }

    /// Begins a conversation with `to`, which is told what `said` gives, and waits for a link up to `patience`. Returns
    /// what the peer says; dropped, that ends the conversation.
    ///
    /// # Errors
    /// `Usage` if the head is too long, `Unreachable` or `Timeout` if the node can't be had. Nothing was done.
    pub async fn converse(
        &self,
        to: NodeId,
        head: &Head,
        said: Said,
        patience: Duration,
    ) -> Result<Heard, Fault> {
        let deadline = Instant::now() + patience;
        let peer = self.inner.known(to)?;
        let begun = async {
            let link = peer.link(deadline).await?;
            ask(&link, head, said).await
        };
        let late =
            || Fault::new(Code::Timeout, format!("no link to node {to} within {} ms", patience.as_millis()));
        timeout_at(deadline, begun).await.unwrap_or_else(|_| Err(late()))
    }

    /// Opens a lane to `to`, waiting up to `ttl` for a link. A snapshot or a blob gets a connection of its own.
    ///
    /// # Errors
    /// `Unreachable` or `Timeout`; nothing was done.
    pub async fn open(
        &self,
        to: NodeId,
        lane: Lane,
        ttl: Duration,
    ) -> Result<(FrameSender, FrameReceiver), Fault> {
        let deadline = Instant::now() + ttl;
        let peer = self.inner.known(to)?;
        let opening = async {
            let link = peer.link(deadline).await?;
            if lane.is_bulk() { self.inner.open_bulk(&peer, &link).await } else { Ok(link) }
        };
        let late =
            || Fault::new(Code::Timeout, format!("no lane to node {to} within {} ms", ttl.as_millis()));
        let link = timeout_at(deadline, opening).await.map_err(|_| late())??;
        let opened = timeout_at(deadline, begin_lane(&link, lane)).await.map_err(|_| late())?;
        let (sender, receiver, guard) = opened.map_err(|reason| {
            Fault::new(Code::Unreachable, format!("the link to node {to} is gone: {reason}"))
        })?;
        if lane.is_bulk() {
            let delivered = sender.stopped();
            tokio::spawn(async move {
                link.drained().await;
                let _ = timeout(BULK_FAREWELL, delivered).await;
                link.close(close_code::DONE, "");
            });
        }
        Ok((FrameSender::new(sender, guard.clone()), FrameReceiver::new(receiver, guard)))
    }

    /// Whether `node` is linked and was heard of within the last seconds, or would be linked if it were called, as
    /// far as is known.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.inner.peer(node).is_some_and(|peer| peer.is_reachable())
    }

    /// The lowest round trip to `node` of the last seconds, on the link that is used now; none without one.
    pub fn rtt(&self, node: NodeId) -> Option<Duration> {
        self.inner.peer(node)?.current()?.pulse().rtt()
    }

    /// Whether `node` has said that it shuts down, and has not been reached since.
    pub fn has_left(&self, node: NodeId) -> bool {
        self.inner.peer(node).is_some_and(|peer| peer.has_left())
    }

    /// The ways to all known nodes, reachable ones first.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes: Vec<_> = self.inner.peers().iter().map(|peer| peer.route()).collect();
        for route in routes.iter_mut().filter(|route| route.state == LinkState::Idle) {
            route.rtt = self.inner.ways().round_trip(route.node);
        }
        in_order(&mut routes);
        routes
    }

    /// At which of the addresses that it tells of a node is reached directly just now; none if at no one of them.
    pub fn reached_at(&self, node: NodeId) -> Option<SocketAddr> {
        let peer = self.inner.peer(node)?;
        let address = peer.direct()?.address()?;
        peer.addresses()
            .into_iter()
            .find(|told| (told.ip().to_canonical(), told.port()) == (address.ip(), address.port()))
    }

    /// The nodes that what is sent to `node` passes just now, the first one first; none if it goes there directly.
    pub fn relays(&self, node: NodeId) -> Vec<NodeId> {
        self.inner.peer(node).map(|peer| peer.route().relays).unwrap_or_default()
    }

    /// The links between nodes that this node knows of.
    pub fn links(&self) -> Vec<LinkReport> {
        self.inner.ways().links()
    }

    /// The ways that this node could go to `node`, the cheapest first: for each node that may come next, the best over
    /// it.
    pub fn candidates(&self, node: NodeId) -> Vec<Candidate> {
        self.inner.ways().candidates(node)
    }

    /// QUIC connections that are open, one a peer in the long run, and one a bulk transfer.
    pub fn connections(&self) -> usize {
        self.inner.endpoint.open_connections()
    }

    /// What the nodes tell each other.
    pub fn gossip(&self) -> &Gossip {
        self.inner.gossip()
    }

    /// Waits until every node that is linked has told about itself, at most `patience`. Returns whether all have: from
    /// then on, what they offer is known here.
    pub async fn acquaint(&self, patience: Duration) -> bool {
        let mut changed = self.gossip().changed();
        let all_have_told = async {
            loop {
                changed.mark_unchanged();
                let members = self.gossip().members();
                let told =
                    |node| members.iter().any(|member| member.node == node && !member.values.is_empty());
                if self.inner.peers().iter().filter(|peer| peer.is_up()).all(|peer| told(peer.node)) {
                    return;
                }
                // Ends only with the mesh, and the patience bounds that too.
                let _ = changed.changed().await;
            }
        };
        timeout(patience, all_have_told).await.is_ok()
    }

    /// Resolves when this node is not let in any more, with the node that says so and why: it was removed from the
    /// mesh, or another process runs as this node, or has run since its data directory was copied. Two that vote as
    /// one node could help two leaders into office, and an older copy has forgotten what it has promised.
    pub fn expelled(&self) -> impl Future<Output = (NodeId, Expulsion)> + Send + use<> {
        self.inner.expelled()
    }

    /// Uses a new certificate of this node, and believes these authorities, for connections from now on. Each link is
    /// replaced by one that is made with it, and ends when what was begun on it has. Links whose peer is of an
    /// authority that is not believed any more end at once.
    ///
    /// # Errors
    /// If it is of another node or mesh, of an authority that is not believed, or not good for TLS.
    pub fn renew(&self, identity: Identity, trust: Trust) -> Result<(), MeshError> {
        self.inner.renew(identity, trust)
    }

    /// What this node proves who it is with.
    pub fn identity(&self) -> Identity {
        self.inner.credentials().identity.clone()
    }

    /// The authorities that this node believes.
    pub fn trust(&self) -> Trust {
        self.inner.credentials().trust.clone()
    }

    /// Whether the links to all peers that are up were made with the certificate that this node has now.
    pub fn is_renewed(&self) -> bool {
        let renewals = self.inner.credentials().renewals;
        self.inner.peers().iter().all(|peer| peer.is_linked_since(renewals))
    }

    /// Asks the node at `address`, whichever it is, to certify this node's key again. For a node that can't be linked
    /// any more, since its certificate does not count, or is of an authority that the others don't believe.
    ///
    /// # Errors
    /// `Unreachable` if no node that this one believes answers there within `patience`, or why that node refuses.
    pub async fn ask_renewal(&self, address: SocketAddr, patience: Duration) -> Result<RenewalGrant, Fault> {
        let credentials = self.inner.credentials();
        let asked = renewal::ask(&self.inner, &credentials.identity, &credentials.trust, address);
        let late = || {
            let message = format!("no node answers at {address} within {} ms", patience.as_millis());
            Fault::new(Code::Unreachable, message)
        };
        timeout(patience, asked).await.unwrap_or_else(|_| Err(late()))
    }

    /// Waits until the calls that other nodes have sent are answered and the answers have arrived, at most `patience`.
    /// Returns whether they are. That no new ones come is up to the handler.
    pub async fn drain(&self, patience: Duration) -> bool {
        self.inner.drain();
        let idle = async {
            while self.inner.calls_in_work() > 0 {
                sleep(DRAIN_LOOK).await;
            }
        };
        timeout(patience, idle).await.is_ok()
    }

    /// Leaves cleanly: tells all peers why, and waits a little until they know.
    pub async fn close(&self, reason: &str) {
        self.inner.end(reason);
        let _ = timeout(CLOSE_TIMEOUT, self.inner.endpoint.wait_idle()).await;
    }
}

/// Opens a lane's stream and says which it is.
async fn begin_lane(link: &Arc<Link>, lane: Lane) -> Result<(Outgoing, RecvStream, StreamGuard), String> {
    let (mut send, recv, guard) = link.open(lane.priority()).await.map_err(|error| describe(&error))?;
    let prelude = Bytes::copy_from_slice(&[Kind::Lane as u8, lane.number()]);
    send.write(&mut [prelude]).await.map_err(|error| error.to_string())?;
    Ok((send, recv, guard.of_lane()))
}
