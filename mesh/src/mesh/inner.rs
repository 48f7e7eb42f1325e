//! What the tasks of a mesh share: the endpoint, the address book, the handler.

use super::{MeshConfig, MeshError, credentials::Credentials};
use crate::{
    Gossip, Handler, Identity, Trust,
    conversation::CONVERSATIONS_MAX,
    door::{HANDSHAKES_MAX, JOINS_MAX},
    link::{Expulsion, Link, Peer, Refusal, close_code, dial, expulsion, keep, lock, serve},
    prelude::{Hello, Life, Purpose},
    relay::Tunnel,
    routing::{FULL_MAX, Neighbourhood, Prices, Region, Ways},
    tls,
};
use micro_sdk::wire::{ClusterId, Code, Fault, NodeId, Seams};
use quinn::{ConnectionError, Endpoint};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// Nodes that one can know, those included that have died within the last quarter of an hour. Gossip names twice as
/// many ids, since each life of a node has one.
const PEERS_MAX: usize = 2048;
/// Lives that are remembered: of every node in the book, and of many that have left it. A few bytes each.
const LIVES_MAX: usize = 8 * PEERS_MAX;
/// Calls from peers worked at a time. More would only wait in memory.
const CALLS_MAX: usize = 4096;

/// Who is known.
#[derive(Default)]
struct Book {
    peers: BTreeMap<NodeId, Arc<Peer>>,
    /// Those that somebody asked for, and that are kept though nobody gossips of them.
    wanted: BTreeSet<NodeId>,
    /// Nodes that have left for good. Their certificates may still count; they don't.
    forgotten: BTreeSet<NodeId>,
    /// Whether it was told that there are too many.
    full: bool,
    /// The life of each node that was linked last, also of nodes that are not known any more: it supersedes others.
    lives: BTreeMap<NodeId, Life>,
}

/// What the tasks of a mesh share.
pub(crate) struct Inner {
    pub(crate) node: NodeId,
    pub(crate) cluster: ClusterId,
    pub(crate) advertise: SocketAddr,
    pub(super) also: Vec<SocketAddr>,
    pub(crate) life: Life,
    pub(crate) seams: Seams,
    pub(crate) endpoint: Endpoint,
    pub(crate) tunnel: Arc<Tunnel>,
    /// After how long without an answer a link counts as dead.
    pub(crate) link_timeout: Duration,
    pub(super) ways: Ways,
    pub(super) neighbourhood: Mutex<Neighbourhood>,
    pub(crate) calls: Arc<Semaphore>,
    pub(crate) conversations: Arc<Semaphore>,
    pub(crate) handshakes: Arc<Semaphore>,
    pub(crate) joins: Arc<Semaphore>,
    version: String,
    pub(super) local_addr: SocketAddr,
    pub(crate) transport: tls::Transport,
    credentials: Mutex<Arc<Credentials>>,
    book: Mutex<Book>,
    handler: watch::Sender<Option<Arc<dyn Handler>>>,
    serving: AtomicBool,
    draining: AtomicBool,
    closing: watch::Sender<bool>,
    /// Why this node may not be here any more, and the node whose word that is.
    expelled: watch::Sender<Option<(NodeId, Expulsion)>>,
    orders: AtomicU64,
    gossip: Gossip,
}

impl Inner {
    pub(super) fn new(
        config: &MeshConfig,
        advertise: SocketAddr,
        local_addr: SocketAddr,
        transport: tls::Transport,
        credentials: Credentials,
        endpoint: Endpoint,
        tunnel: Arc<Tunnel>,
    ) -> Self {
        let Identity { node, cluster, .. } = credentials.identity;
        let gossip = Gossip::new(config, node, cluster, advertise);
        let region = Region::of(&config.place.cloud, &config.place.region);
        Inner {
            node,
            cluster,
            advertise,
            also: config.also.clone(),
            life: Life { boot: config.boot, nonce: u64::from_le_bytes(config.seams.random()) },
            seams: config.seams.clone(),
            endpoint,
            tunnel,
            link_timeout: config.link_timeout,
            ways: Ways::new(node, config.way_leeway, Prices::new(&config.prices)),
            neighbourhood: Mutex::new(Neighbourhood::new(node, region)),
            calls: Arc::new(Semaphore::new(CALLS_MAX)),
            conversations: Arc::new(Semaphore::new(CONVERSATIONS_MAX)),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            joins: Arc::new(Semaphore::new(JOINS_MAX)),
            version: config.version.clone(),
            local_addr,
            transport,
            credentials: Mutex::new(Arc::new(credentials)),
            book: Mutex::default(),
            handler: watch::Sender::new(None),
            serving: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            expelled: watch::Sender::new(None),
            orders: AtomicU64::new(0),
            gossip,
        }
    }

    /// Begins to hand work to `handler`. True the first time.
    pub(super) fn hand_to(&self, handler: Arc<dyn Handler>) -> bool {
        self.handler.send_replace(Some(handler));
        !self.serving.swap(true, Ordering::Relaxed)
    }

    /// The handler, if there is one now.
    pub(super) fn handler_now(&self) -> Option<Arc<dyn Handler>> {
        self.handler.borrow().clone()
    }

    /// Keeps a node connected at `address`, whatever was known of it.
    pub(super) fn want(self: &Arc<Self>, node: NodeId, address: SocketAddr) {
        {
            let mut book = lock(&self.book);
            book.forgotten.remove(&node);
            book.wanted.insert(node);
        }
        if let Some(peer) = self.learn(node, address) {
            peer.move_to(address);
        }
    }

    /// Uses a new certificate for connections from now on, and replaces those that there are. Those whose peer is of an
    /// authority that is not believed any more end.
    pub(super) fn renew(&self, identity: Identity, trust: Trust) -> Result<(), MeshError> {
        if (identity.node, identity.cluster) != (self.node, self.cluster) {
            return Err(MeshError::Foreign { found: identity.node, own: self.node });
        }
        let renewals = self.credentials().renewals + 1;
        let credentials = Credentials::new(identity, trust.clone(), &self.seams, self.transport, renewals)?;
        self.endpoint.set_server_config(Some((*credentials.server(self.local_addr)).clone()));
        *lock(&self.credentials) = Arc::new(credentials);
        for peer in self.peers() {
            peer.part_unless(&trust, self.seams.clock.now());
            peer.look_anew();
        }
        Ok(())
    }

    /// What this node shows now, and whom it believes.
    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        lock(&self.credentials).clone()
    }

    /// Resolves when the mesh closes.
    pub(crate) fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.closing.subscribe();
        async move {
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// From now on a call counts as in work until its answer has arrived.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Calls and conversations of peers.
    pub(super) fn calls_in_work(&self) -> usize {
        (CALLS_MAX - self.calls.available_permits())
            + (CONVERSATIONS_MAX - self.conversations.available_permits())
    }

    pub(super) fn end(&self, reason: &str) {
        self.closing.send_replace(true);
        self.handler.send_replace(None);
        self.endpoint.close(close_code::LEAVING, reason.as_bytes());
    }

    /// The handler, as soon as there is one; none when the mesh closes.
    pub(crate) async fn handler(&self) -> Option<Arc<dyn Handler>> {
        if let Some(handler) = self.handler_now() {
            return Some(handler);
        }
        let mut handler = self.handler.subscribe();
        tokio::select! {
            biased;
            () = self.closed() => None,
            found = handler.wait_for(Option::is_some) => found.ok().and_then(|handler| handler.clone()),
        }
    }

    pub(crate) fn gossip(&self) -> &Gossip {
        &self.gossip
    }

    /// What this node says first on a connection made with these credentials.
    pub(crate) fn hello(&self, purpose: Purpose, credentials: &Credentials) -> Hello {
        Hello {
            life: self.life,
            advertise: self.advertise,
            purpose,
            version: self.version.clone(),
            renewals: credentials.renewals,
        }
    }

    /// Numbers connections in the order in which they were made.
    pub(crate) fn next_order(&self) -> u64 {
        self.orders.fetch_add(1, Ordering::Relaxed)
    }

    /// All known nodes, by id.
    pub(crate) fn peers(&self) -> Vec<Arc<Peer>> {
        lock(&self.book).peers.values().cloned().collect()
    }

    /// A known node.
    pub(crate) fn peer(&self, node: NodeId) -> Option<Arc<Peer>> {
        lock(&self.book).peers.get(&node).cloned()
    }

    pub(super) fn known(&self, node: NodeId) -> Result<Arc<Peer>, Fault> {
        self.peer(node)
            .ok_or_else(|| Fault::new(Code::Unreachable, format!("no address of node {node} is known")))
    }

    /// Whether this node itself is reached at `address`, as far as it knows.
    pub(crate) fn is_own(&self, address: SocketAddr) -> bool {
        [self.advertise, self.local_addr].contains(&address) || self.also.contains(&address)
    }

    /// Keeps a node connected to which `link` was made, since somebody said that one is at `address`. One that is
    /// linked directly already is only dialled there too.
    ///
    /// # Errors
    /// Why it is not wanted; the link is closed then.
    pub(crate) fn introduce(self: &Arc<Self>, link: &Arc<Link>, address: SocketAddr) -> Result<(), Refusal> {
        let Some(peer) = self.learn(link.peer, address) else {
            let refusal = self.refusal(link.peer);
            link.close(refusal.code(), &refusal.to_string());
            return Err(refusal);
        };
        lock(&self.book).wanted.insert(link.peer);
        peer.reached_at(address);
        if peer.direct().is_some_and(|direct| direct.is_fresh()) {
            link.close(close_code::DUPLICATE, "another connection is used");
            return Ok(());
        }
        self.adopt(link, None)
    }

    /// Puts a node into the book that gossip tells of.
    pub(crate) fn meet(
        self: &Arc<Self>,
        node: NodeId,
        boot: u64,
        address: SocketAddr,
        also: Vec<SocketAddr>,
    ) -> Option<Arc<Peer>> {
        let peer = self.learn(node, address)?;
        peer.moved_to(address, boot, false);
        peer.also_at(also, boot);
        Some(peer)
    }

    /// Drops those from the book whom nobody asked for, nobody is linked to, and nobody gossips of any more.
    pub(crate) fn prune(&self, gossiped: impl Fn(NodeId) -> bool) {
        let Book { peers, wanted, .. } = &mut *lock(&self.book);
        peers.retain(|node, peer| {
            let keep = wanted.contains(node) || gossiped(*node) || peer.is_linked();
            if !keep {
                peer.part(close_code::REFUSED, "nobody knows of this node any more");
            }
            keep
        });
    }

    /// Puts a node into the book, unless it was forgotten or the book is full.
    fn learn(self: &Arc<Self>, node: NodeId, address: SocketAddr) -> Option<Arc<Peer>> {
        let mut book = lock(&self.book);
        if node == self.node || book.forgotten.contains(&node) {
            return None;
        }
        if let Some(peer) = book.peers.get(&node) {
            return Some(peer.clone());
        }
        if book.peers.len() >= PEERS_MAX {
            if !std::mem::replace(&mut book.full, true) {
                tracing::error!(%node, %address, "node not learned: {PEERS_MAX} are known already");
            }
            return None;
        }
        book.full = false;
        // Whether it is one of those that are linked always in a larger mesh is found with the next step of gossip.
        let kept = book.peers.len() + 1 < FULL_MAX;
        let peer = Peer::new(node, self.node, address, kept, self.seams.clone());
        peer.go(self.ways.relayed(node));
        book.peers.insert(node, peer.clone());
        drop(book);
        tokio::spawn(keep(self.clone(), peer.clone()));
        Some(peer)
    }

    /// Parts with a node for good.
    pub(crate) fn forget(&self, node: NodeId) {
        let mut book = lock(&self.book);
        book.forgotten.insert(node);
        book.wanted.remove(&node);
        let peer = book.peers.remove(&node);
        drop(book);
        if let Some(peer) = peer {
            peer.part(Refusal::Removed.code(), &Refusal::Removed.to_string());
        }
    }

    /// Whether a node has left for good, whatever its certificate says.
    pub(crate) fn has_forgotten(&self, node: NodeId) -> bool {
        lock(&self.book).forgotten.contains(&node)
    }

    /// Makes a new connection the peer's. `advertise` is what the peer says of itself, if it has dialled.
    ///
    /// # Errors
    /// Why it is not wanted; it is closed then.
    pub(crate) fn adopt(
        self: &Arc<Self>,
        link: &Arc<Link>,
        advertise: Option<SocketAddr>,
    ) -> Result<(), Refusal> {
        let peer = match advertise {
            Some(address) => self.learn(link.peer, address),
            None => self.peer(link.peer),
        };
        let taken =
            peer.ok_or_else(|| self.refusal(link.peer)).and_then(|peer| self.check_life(link).map(|()| peer));
        let peer = taken.inspect_err(|refusal| link.close(refusal.code(), &refusal.to_string()))?;
        peer.add(link);
        if let Some(address) = advertise {
            peer.moved_to(address, link.life.boot, true);
        }
        let (inner, link) = (self.clone(), link.clone());
        tokio::spawn(async move {
            serve(inner.clone(), link.clone(), Purpose::Link).await;
            peer.remove(&link);
            inner.gossip.wake();
        });
        self.gossip.wake();
        Ok(())
    }

    /// Why a node is not learned.
    fn refusal(&self, node: NodeId) -> Refusal {
        if self.has_forgotten(node) { Refusal::Removed } else { Refusal::NotTaken }
    }

    /// Takes note of the life that a connection is of, unless it is superseded, or not believed any more.
    fn check_life(&self, link: &Link) -> Result<(), Refusal> {
        let credentials = self.credentials();
        // A handshake takes seconds where the peer is just starting, and whom to believe may have changed since it
        // began.
        let outdated = link.terms.own < credentials.renewals;
        if outdated && !link.is_believed(&credentials.trust, self.seams.clock.now()) {
            return Err(Refusal::Unbelieved);
        }
        let lives = &mut lock(&self.book).lives;
        if lives.get(&link.peer).is_some_and(|latest| latest.supersedes(link.life)) {
            return Err(Refusal::Superseded);
        }
        lives.insert(link.peer, link.life);
        if lives.len() > LIVES_MAX {
            lives.pop_first();
        }
        Ok(())
    }

    /// Works a connection that a peer has opened for one bulk transfer.
    ///
    /// # Errors
    /// Why it is not wanted; it is closed then.
    pub(crate) fn serve_bulk(self: &Arc<Self>, link: &Arc<Link>) -> Result<(), Refusal> {
        let checked = self.check_life(link);
        checked.inspect_err(|refusal| link.close(refusal.code(), &refusal.to_string()))?;
        tokio::spawn(serve(self.clone(), link.clone(), Purpose::Bulk));
        Ok(())
    }

    /// Dials a connection of its own for one bulk transfer, where the link in use leads, whoever has opened that: the
    /// peer may be behind a router that lets in only what answers.
    pub(super) async fn open_bulk(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        link: &Arc<Link>,
    ) -> Result<Arc<Link>, Fault> {
        let (node, address) = (peer.node, link.connection.remote_address());
        dial(self, node, &[address], Purpose::Bulk).await.map(|(link, _)| link).map_err(|problem| {
            Fault::new(Code::Unreachable, format!("node {node} at {address} can't be reached: {problem}"))
        })
    }

    /// Takes note of it if `peer` has closed a connection because this node may not be here any more.
    pub(crate) fn heed(&self, peer: NodeId, reason: &ConnectionError) {
        if let Some(why) = expulsion(reason) {
            self.expelled.send_replace(Some((peer, why)));
        }
    }

    /// Resolves when this node may not be here any more, with the peer that says so.
    pub(super) fn expelled(&self) -> impl Future<Output = (NodeId, Expulsion)> + Send + use<> {
        let mut word = self.expelled.subscribe();
        async move {
            match word.wait_for(Option::is_some).await.map(|word| *word) {
                Ok(Some(word)) => word,
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
    }

    /// A peer has answered a ping: its state may have changed.
    pub(crate) fn look(&self, node: NodeId) {
        if let Some(peer) = self.peer(node) {
            peer.look();
        }
    }
}
