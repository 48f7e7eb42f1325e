//! What nodes tell each other about themselves: small values that die with their node.
//!
//! chitchat (Scuttlebutt reconciliation, van Renesse et al. 2008, with a phi-accrual failure detector)
//! decides what is told to whom; messages ride on the links, one stream each. Gossip is for what may be stale
//! and need not survive: names, addresses, services, load. Each node writes its own values only.

mod address;
mod message;
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
    time::{interval, sleep},
};
use transport::Transport;

/// How unlikely a silence must be before a node counts as dead. 8 is dead after about 4 s of a 500 ms
/// interval; below that, a pause of a busy host looks like death.
const PHI_THRESHOLD: f64 = 9.0;
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
    /// What it tells about itself. `name`, `cloud`, `region`, `zone`, `version`, `address` and
    /// those that begin with `link/` are set by the mesh.
    pub values: BTreeMap<String, String>,
}

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
    own: Mutex<BTreeMap<String, String>>,
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
        let own: BTreeMap<String, String> = [
            ("name", &config.name),
            ("cloud", &place.cloud),
            ("region", &place.region),
            ("zone", &place.zone),
            ("version", &config.version),
            (ADDRESS_KEY, &address.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value.clone()))
        .into();
        let this = Member { node, generation: config.boot, alive: true, address, values: own.clone() };
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
    fn touch(&self, change: impl FnOnce(&mut BTreeMap<String, String>)) {
        self.shared.members.send_modify(|members| {
            let own = Arc::make_mut(members).iter_mut().find(|member| member.node == self.shared.node);
            change(&mut own.expect("this node is always a member").values);
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
        let checked = message::check(bytes, link.peer, link.life.boot);
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
        loop {
            tokio::select! {
                biased;
                _ = &mut ended => return,
                () = shared.wake.notified() => sleep(PUSH_WAIT).await,
                _ = ticks.tick() => {}
            }
            self.step(mesh, &handle.0).await;
        }
    }

    /// Tells chitchat what has changed here, takes from it what has changed elsewhere, and pokes those it
    /// misses.
    async fn step(&self, mesh: &Arc<Inner>, handle: &ChitchatHandle) {
        self.tell_links(mesh);
        let own_changed = self.shared.own_changed.swap(false, Ordering::AcqRel);
        let told_at_once = self.shared.push.swap(false, Ordering::AcqRel);
        let (members, silent) = {
            let chitchat = handle.chitchat();
            let mut chitchat = chitchat.lock().await;
            if own_changed {
                tell(chitchat.self_node_state(), &lock(&self.shared.own));
            }
            let alive: BTreeSet<ChitchatId> = chitchat.live_nodes().cloned().collect();
            let life = |node| match node == self.shared.node {
                true => Some(self.shared.boot),
                false => mesh.peer(node)?.current().map(|link| link.life.boot),
            };
            let members = newest(chitchat.node_states(), &alive, life);
            let silent: BTreeSet<NodeId> = mesh
                .peers()
                .iter()
                .map(|peer| peer.node)
                .filter(|node| !members.get(node).is_some_and(|member| member.alive))
                .collect();
            (members, silent)
        };
        self.publish(mesh, members);
        let mut pushes = 0;
        for peer in mesh.peers().iter().filter(|peer| peer.is_up()) {
            let push = told_at_once && pushes < PUSHES_MAX;
            if push || silent.contains(&peer.node) {
                pushes += 1;
                let _ = handle.gossip(address_of(peer.node));
            }
        }
    }

    /// Finds the ways to go, and tells how this node's links are.
    fn tell_links(&self, mesh: &Arc<Inner>) {
        for (key, value) in mesh.find_ways(&self.members()) {
            match value {
                // Each push is a heartbeat, of which the failure detector expects as many from then on: where round
                // trips vary, a node that is only late would be taken for dead.
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
                (member.values, member.address) = (lock(&self.shared.own).clone(), self.shared.address);
            } else {
                // A peer that answers pings is alive, whatever the detector makes of late gossip.
                // One that has not told its address yet may be known by its link.
                let peer = match member.address {
                    UNTOLD => mesh.peer(node),
                    told => mesh.meet(node, member.generation, told),
                };
                let Some(peer) = peer else { continue };
                member.alive |= peer.is_up();
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

/// Makes `state` say what `own` says.
fn tell(state: &mut NodeState, own: &BTreeMap<String, String>) {
    let gone: Vec<String> =
        state.key_values().map(|(key, _)| key.to_owned()).filter(|key| !own.contains_key(key)).collect();
    for key in gone {
        state.delete(&key);
    }
    for (key, value) in own {
        state.set(key, value);
    }
}

/// The newest life of each node, but none after the one that `life` knows at first hand.
fn newest(
    states: &BTreeMap<ChitchatId, NodeState>,
    alive: &BTreeSet<ChitchatId>,
    life: impl Fn(NodeId) -> Option<u64>,
) -> BTreeMap<NodeId, Member> {
    let mut members = BTreeMap::<NodeId, (u64, Member)>::new();
    for (id, state) in states {
        let Ok(node) = id.node_id.parse::<NodeId>() else { continue };
        let passed = members.get(&node).is_some_and(|(generation, _)| *generation > id.generation_id);
        let claimed = life(node).is_some_and(|boot| id.generation_id >> RESTART_BITS > boot);
        if passed || claimed {
            continue;
        }
        let member = Member {
            node,
            generation: id.generation_id >> RESTART_BITS,
            alive: alive.contains(id),
            address: state.get(ADDRESS_KEY).and_then(|told| told.parse().ok()).unwrap_or(UNTOLD),
            values: state.key_values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        };
        members.insert(node, (id.generation_id, member));
    }
    members.into_iter().map(|(node, (_, member))| (node, member)).collect()
}
