//! What nodes tell each other about themselves: small values that die with their node.
//!
//! chitchat (Scuttlebutt reconciliation, van Renesse et al. 2008) decides what is told; messages ride on the links,
//! one stream each. Gossip is for what may be stale and need not survive: names, addresses, services, load. Each node
//! writes its own values only. Who is alive is decided here (`Detector`); chitchat's own opinion only steers whom it
//! asks.

mod address;
mod compact;
mod detector;
mod message;
mod roster;
mod transport;

pub(crate) use transport::MESSAGE_BYTES_MAX;

use crate::{
    MeshConfig,
    link::{Link, lock},
    mesh::Inner,
};
use address::{address_of, node_at};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState, spawn_chitchat,
};
use micro_sdk::wire::{ClusterId, NodeId};
use roster::Roster;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval, sleep, sleep_until},
};
use transport::Transport;

/// How many times the mean interval of a node's heartbeats may pass before chitchat gossips with others rather. In a
/// mesh of hundreds that mean is a tenth of a second, and less than 40 of it would have it leave out nodes that live.
const PHI_THRESHOLD: f64 = 40.0;
/// Heartbeats that the detector learns from: a minute's worth, so that it follows a change of the mesh's
/// size.
const HEARTBEATS: usize = 128;
/// A gap longer than this is an outage, not an interval to learn from.
const HEARTBEAT_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// How long a dead node stays known. Longer would make every message carry the names of the dead.
const DEAD_GRACE: Duration = Duration::from_secs(15 * 60);
/// How long a removed value is remembered as removed; nodes that were away longer get everything anew.
const TOMBSTONE_GRACE: Duration = Duration::from_secs(10 * 60);
/// The wait before gossip that failed is started again.
const RESTART_WAIT: Duration = Duration::from_secs(1);
/// Peers that are told of a change at once. They and the next rounds tell the rest.
const PUSHES_MAX: usize = 8;
/// How long changes are collected before they are told: services come in groups.
const PUSH_WAIT: Duration = Duration::from_millis(20);
/// The key under which a node tells at which address it is dialled.
const ADDRESS_KEY: &str = "address";
/// The key under which a node tells where else it may be dialled, with commas between the addresses.
const ALSO_KEY: &str = "also";
/// Further addresses of a node that are taken: each is one more dial.
pub(crate) const ALSO_MAX: usize = 7;
/// The key under which a gateway tells that it is one.
const GATEWAY_KEY: &str = "gateway";
/// The address of a node that has not told one: what is known of it came in parts.
const UNTOLD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Bits of chitchat's generation for restarts of gossip within one life of the node.
const RESTART_BITS: u32 = 16;

/// A node as gossip knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Which life of it: its boot counter.
    pub generation: u64,
    /// Whether it was heard of lately, over a link or through others.
    pub alive: bool,
    /// Where it is dialled.
    pub address: SocketAddr,
    /// What it tells about itself. `name`, `cloud`, `region`, `zone`, `version`, `address`,
    /// `also`, `gateway` and those that begin with `link/` are set by the mesh.
    pub values: Arc<Values>,
}

impl Member {
    /// Whether it says that it is a gateway: one that nodes of other clouds reach.
    pub fn is_gateway(&self) -> bool {
        self.values.contains_key(GATEWAY_KEY)
    }
}

/// What a node tells about itself, by key.
type Values = BTreeMap<String, String>;

/// What the nodes tell each other. Clones are the same.
#[derive(Clone)]
pub struct Gossip {
    shared: Arc<Shared>,
}

struct Shared {
    node: NodeId,
    cluster: ClusterId,
    address: SocketAddr,
    boot: u64,
    interval: Duration,
    /// What this node tells.
    own: Mutex<Values>,
    own_changed: AtomicBool,
    /// What has changed is not to wait for the next round.
    push: AtomicBool,
    wake: Notify,
    members: watch::Sender<Arc<Vec<Member>>>,
    changes: watch::Sender<u64>,
    inbox: Mutex<Option<transport::Inbox>>,
    /// For parting with nodes. The mesh owns this, so it is not owned back.
    mesh: OnceLock<Weak<Inner>>,
}

impl Gossip {
    pub(crate) fn new(config: &MeshConfig, node: NodeId, cluster: ClusterId, address: SocketAddr) -> Self {
        let place = &config.place;
        let mut own: Values = [
            ("name", &config.name),
            ("cloud", &place.cloud),
            ("region", &place.region),
            ("zone", &place.zone),
            ("version", &config.version),
            (ADDRESS_KEY, &address.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into();
        if !config.also.is_empty() {
            let also: Vec<String> = config.also.iter().map(ToString::to_string).collect();
            own.insert(ALSO_KEY.to_owned(), also.join(","));
        }
        if config.gateway {
            own.insert(GATEWAY_KEY.to_owned(), "1".to_owned());
        }
        let this =
            Member { node, generation: config.boot, alive: true, address, values: Arc::new(own.clone()) };
        Gossip {
            shared: Arc::new(Shared {
                node,
                cluster,
                address,
                boot: config.boot,
                interval: config.gossip_interval,
                own: Mutex::new(own),
                own_changed: AtomicBool::new(false),
                push: AtomicBool::new(false),
                wake: Notify::new(),
                members: watch::Sender::new(Arc::new(vec![this])),
                changes: watch::Sender::new(0),
                inbox: Mutex::new(None),
                mesh: OnceLock::new(),
            }),
        }
    }

    /// Tells all nodes `value` under `key`, in place of what was told under it. Names, addresses, digests:
    /// everything a node tells must fit one message of 64 KiB.
    pub fn set(&self, key: &str, value: String) {
        let before = lock(&self.shared.own).insert(key.to_owned(), value.clone());
        if before.as_ref() != Some(&value) {
            self.touch(|values| drop(values.insert(key.to_owned(), value)));
            self.push();
        }
    }

    /// Takes back what was told under `key`.
    pub fn remove(&self, key: &str) {
        if lock(&self.shared.own).remove(key).is_some() {
            self.touch(|values| drop(values.remove(key)));
            self.push();
        }
    }

    /// All nodes known, this one included, by id. A shared snapshot: cheap, and never changing in one's
    /// hands.
    pub fn members(&self) -> Arc<Vec<Member>> {
        self.shared.members.borrow().clone()
    }

    /// Changes whenever a node comes, goes, or tells something else.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Parts with a node that has left for good: it is not a member any more, and not let in again.
    pub fn forget(&self, node: NodeId) {
        if let Some(mesh) = self.shared.mesh.get().and_then(Weak::upgrade) {
            mesh.forget(node);
        }
        self.wake();
    }

    /// What this node tells is changed: seen here at once, elsewhere with the next round.
    fn touch(&self, change: impl FnOnce(&mut Values)) {
        self.shared.members.send_modify(|members| {
            let own = Arc::make_mut(members).iter_mut().find(|member| member.node == self.shared.node);
            change(Arc::make_mut(&mut own.expect("this node is always a member").values));
        });
        self.shared.changes.send_modify(|count| *count += 1);
        self.shared.own_changed.store(true, Ordering::Release);
    }

    /// What was changed is to be told at once.
    fn push(&self) {
        self.shared.push.store(true, Ordering::Release);
        self.wake();
    }

    /// Something that members depend on may have changed.
    pub(crate) fn wake(&self) {
        self.shared.wake.notify_one();
    }

    pub(crate) fn bind(&self, mesh: &Arc<Inner>) {
        let _ = self.shared.mesh.set(Arc::downgrade(mesh));
    }

    /// Takes a message that came over `link`, if it is one that this peer may send.
    pub(crate) fn receive(&self, mesh: &Inner, link: &Link, bytes: &[u8]) {
        if mesh.peer(link.peer).is_none() {
            return;
        }
        let checked = message::read(bytes, link.peer, link.life.boot);
        match checked {
            Ok(message) => {
                if let Some(inbox) = &*lock(&self.shared.inbox) {
                    // A full inbox loses messages, as a network does.
                    let _ = inbox.try_send((address_of(link.peer), message));
                }
            }
            Err(problem) => tracing::warn!(peer = %link.peer, %problem, "gossip message refused"),
        }
    }

    /// Gossips until the mesh closes. chitchat asserts what peers tell it, so it is restarted if it ever
    /// panics.
    pub(crate) async fn run(self, mesh: Arc<Inner>) {
        for restart in 0u64.. {
            tokio::select! {
                biased;
                () = mesh.closed() => return,
                () = self.life(&mesh, restart) => {}
            }
            tracing::error!(node = %self.shared.node, "gossip has failed and is started again");
            tokio::select! {
                biased;
                () = mesh.closed() => return,
                () = sleep(RESTART_WAIT) => {}
            }
        }
    }

    /// One life of chitchat.
    async fn life(&self, mesh: &Arc<Inner>, restart: u64) {
        let shared = &self.shared;
        let (inbox, socket) = transport::channel(mesh);
        *lock(&shared.inbox) = Some(inbox);
        shared.own_changed.store(true, Ordering::Release);
        let config = self.config(restart);
        let handle = match spawn_chitchat(config, Vec::new(), &Transport::new(socket)).await {
            Ok(handle) => Chitchat(handle),
            Err(error) => {
                tracing::error!(%error, "gossip can't be started");
                return;
            }
        };
        let waker = self.clone();
        handle.0.chitchat().lock().await.subscribe_event("", move |_| waker.wake()).forever();
        let ended = handle.0.termination_watcher();
        tokio::pin!(ended);
        let mut ticks = interval(shared.interval);
        let mut roster = Roster::new(shared.interval);
        loop {
            let due = mesh.ways().due(Instant::now());
            tokio::select! {
                biased;
                _ = &mut ended => return,
                () = shared.wake.notified() => sleep(PUSH_WAIT).await,
                () = at(due) => {}
                _ = ticks.tick() => {}
            }
            self.step(mesh, &handle.0, &mut roster).await;
        }
    }

    /// Tells chitchat what has changed here, takes from it what has changed elsewhere, and pokes those it
    /// misses.
    async fn step(&self, mesh: &Arc<Inner>, handle: &ChitchatHandle, roster: &mut Roster) {
        self.tell_links(mesh);
        let own_changed = self.shared.own_changed.swap(false, Ordering::AcqRel);
        let told_at_once = self.shared.push.swap(false, Ordering::AcqRel);
        let members = {
            let chitchat = handle.chitchat();
            let mut chitchat = chitchat.lock().await;
            if own_changed {
                tell(chitchat.self_node_state(), &lock(&self.shared.own));
            }
            let life = |node| match node == self.shared.node {
                true => Some(self.shared.boot),
                false => mesh.peer(node)?.current().map(|link| link.life.boot),
            };
            roster.read(chitchat.node_states(), self.shared.node, life, Instant::now())
        };
        let heard: BTreeSet<NodeId> =
            members.values().filter(|member| member.alive).map(|member| member.node).collect();
        self.publish(mesh, members);
        let mut pushes = 0;
        for peer in mesh.peers().iter().filter(|peer| peer.is_up()) {
            let push = told_at_once && pushes < PUSHES_MAX;
            if push || !heard.contains(&peer.node) {
                pushes += 1;
                let _ = handle.gossip(address_of(peer.node));
            }
        }
    }

    /// Tells how this node's links are.
    fn tell_links(&self, mesh: &Arc<Inner>) {
        for (key, value) in mesh.measure_links() {
            match value {
                // Not at once: where round trips vary, there would be no end of it.
                Some(value) => {
                    lock(&self.shared.own).insert(key.clone(), value.clone());
                    self.touch(|values| drop(values.insert(key, value)));
                }
                // Who goes over a link that is gone has to hear it now.
                None => self.remove(&key),
            }
        }
    }

    /// Learns addresses, and replaces the snapshot if anything has changed.
    fn publish(&self, mesh: &Arc<Inner>, members: BTreeMap<NodeId, Member>) {
        mesh.prune(|node| members.contains_key(&node));
        let mut list = Vec::with_capacity(members.len());
        for (node, mut member) in members {
            if node == self.shared.node {
                let own = Arc::new(lock(&self.shared.own).clone());
                (member.values, member.address) = (own, self.shared.address);
            } else {
                // A peer that answers pings is alive, whatever the detector makes of late gossip.
                // One that has not told its address yet may be known by its link.
                let peer = match member.address {
                    UNTOLD => mesh.peer(node),
                    told => mesh.meet(node, member.generation, told, also(&member.values)),
                };
                let Some(peer) = peer else { continue };
                member.alive |= peer.is_up();
                peer.heard_of(member.alive);
                member.address = peer.address();
            }
            list.push(member);
        }
        let changed = self.shared.members.send_if_modified(|members| {
            let changed = **members != list;
            if changed {
                *members = Arc::new(list);
            }
            changed
        });
        if changed {
            self.shared.changes.send_modify(|count| *count += 1);
        }
        let members = self.members();
        mesh.keep_links(&members);
        mesh.find_ways(&members);
    }

    fn config(&self, restart: u64) -> ChitchatConfig {
        let shared = &self.shared;
        let generation = (shared.boot << RESTART_BITS) | restart.min((1 << RESTART_BITS) - 1);
        ChitchatConfig {
            chitchat_id: ChitchatId::new(shared.node.to_string(), generation, address_of(shared.node)),
            cluster_id: shared.cluster.to_string(),
            gossip_interval: shared.interval,
            listen_addr: address_of(shared.node),
            seed_nodes: Vec::new(), // Links come first: whoever is linked and silent is poked in `step`.
            failure_detector_config: FailureDetectorConfig {
                phi_threshold: PHI_THRESHOLD,
                sampling_window_size: HEARTBEATS,
                max_interval: HEARTBEAT_INTERVAL_MAX,
                initial_interval: shared.interval,
                dead_node_grace_period: DEAD_GRACE,
            },
            marked_for_deletion_grace_period: TOMBSTONE_GRACE,
            catchup_callback: None,
            extra_liveness_predicate: None,
        }
    }
}

/// A running chitchat, stopped when dropped.
struct Chitchat(ChitchatHandle);

impl Drop for Chitchat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where else a node may be dialled that tells `values`.
fn also(values: &Values) -> Vec<SocketAddr> {
    let told = values.get(ALSO_KEY).map_or("", String::as_str);
    told.split(',').filter_map(|address| address.parse().ok()).take(ALSO_MAX).collect()
}

/// Resolves when it is time; never without one.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Makes `state` say what `own` says.
fn tell(state: &mut NodeState, own: &Values) {
    let gone: Vec<String> =
        state.key_values().map(|(key, _)| key.to_owned()).filter(|key| !own.contains_key(key)).collect();
    for key in gone {
        state.delete(&key);
    }
    for (key, value) in own {
        state.set(key, value);
    }
}
