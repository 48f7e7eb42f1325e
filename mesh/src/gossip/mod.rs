//! What nodes tell each other about themselves: small values that die with their node.
//!
//! chitchat (Scuttlebutt reconciliation, van Renesse et al. 2008) decides what is told; messages ride on the links,
//! one stream each. Gossip is for what may be stale and need not survive: names, addresses, services, load. Each node
//! writes its own values only. Who is alive is decided here (`Detector`); chitchat's own opinion only steers whom it
//! asks.

mod address;
mod compact;
#[cfg(test)]
mod crowd;
mod detector;
mod digest;
mod halves;
mod member;
mod message;
mod owed;
mod roster;
mod surroundings;
mod transport;

pub(crate) use member::ALSO_MAX;
pub use member::Member;
pub(crate) use surroundings::Surroundings;
pub(crate) use transport::MESSAGE_BYTES_MAX;

use crate::{MeshConfig, link::lock, mesh::Inner};
use address::{address_of, node_at};
use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, NodeState, spawn_chitchat,
};
use member::{ALSO_KEY, GATEWAY_KEY, Values};
use message::Heard;
use micro_sdk::wire::{ClusterId, NodeId};
use owed::Owed;
use roster::Roster;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval, sleep, sleep_until},
};
use transport::{IDS_MAX, Transport};

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
/// The address of a node that has not told one: what is known of it came in parts.
pub(crate) const UNTOLD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Bits of chitchat's generation for restarts of gossip within one life of the node.
const RESTART_BITS: u32 = 16;

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
    /// Ids that chitchat knows: nodes that live, those that died of late, and former lives of both.
    ids: AtomicUsize,
    inbox: Mutex<Option<transport::Inbox>>,
    owed: Arc<Owed>,
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
                ids: AtomicUsize::new(0),
                inbox: Mutex::new(None),
                owed: Arc::default(),
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

    /// Ids that are known.
    #[cfg(test)]
    fn ids(&self) -> usize {
        self.shared.ids.load(Ordering::Relaxed)
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

    /// Takes a message that came over the link to `peer`, whose life is `boot`, if it is one that this peer may send.
    pub(crate) fn receive(&self, peer: NodeId, boot: u64, bytes: &[u8]) {
        let shared = &self.shared;
        match message::read(bytes, peer, boot, shared.ids.load(Ordering::Relaxed)) {
            Ok(Heard { message, owed_digest, ids }) => {
                // The next message may come before these are counted.
                shared.ids.fetch_max(ids, Ordering::Relaxed);
                if let Some(inbox) = &*lock(&shared.inbox) {
                    // A full inbox loses messages, as a network does.
                    let _ = inbox.try_send((address_of(peer), message));
                }
                if owed_digest {
                    shared.owed.owe(peer);
                }
            }
            Err(problem) => tracing::warn!(%peer, %problem, "gossip message refused"),
        }
    }

    /// Gossips until the mesh closes. chitchat asserts what peers tell it, so it is restarted if it ever
    /// panics.
    pub(crate) async fn run(self, mesh: Arc<dyn Surroundings>) {
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
    async fn life(&self, mesh: &Arc<dyn Surroundings>, restart: u64) {
        let shared = &self.shared;
        let (inbox, socket) = transport::channel(mesh, &shared.owed);
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
            let due = mesh.due(Instant::now());
            tokio::select! {
                biased;
                _ = &mut ended => return,
                () = shared.owed.some() => {
                    self.pay(&handle.0);
                    continue;
                }
                () = shared.wake.notified() => sleep(PUSH_WAIT).await,
                () = at(due) => {}
                _ = ticks.tick() => {}
            }
            self.step(mesh, &handle.0, &mut roster).await;
        }
    }

    /// Tells chitchat what has changed here, takes from it what has changed elsewhere, and pokes those it
    /// misses.
    async fn step(&self, mesh: &Arc<dyn Surroundings>, handle: &ChitchatHandle, roster: &mut Roster) {
        self.tell_links(&**mesh);
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
                false => mesh.life(node),
            };
            self.count(chitchat.node_states().len());
            roster.read(chitchat.node_states(), self.shared.node, life, Instant::now())
        };
        let heard: BTreeSet<NodeId> =
            members.values().filter(|member| member.alive).map(|member| member.node).collect();
        self.publish(&**mesh, members);
        let mut pushes = 0;
        for node in mesh.answering() {
            let push = told_at_once && pushes < PUSHES_MAX;
            if push || !heard.contains(&node) {
                pushes += 1;
                let _ = handle.gossip(address_of(node));
            }
        }
    }

    /// Takes note of how many ids are known, and complains once of too many.
    fn count(&self, ids: usize) {
        let before = self.shared.ids.swap(ids, Ordering::Relaxed);
        if ids > IDS_MAX && before <= IDS_MAX {
            tracing::error!(
                ids,
                most = IDS_MAX,
                "more is known than gossip can name, so that nothing is told any more until the dead are forgotten: \
                 nodes that live count, and each life that has ended within the last eight minutes"
            );
        }
    }

    /// Has chitchat send digests to those that are owed one.
    fn pay(&self, handle: &ChitchatHandle) {
        for node in self.shared.owed.due() {
            let _ = handle.gossip(address_of(node));
        }
    }

    /// Tells how this node's links are.
    fn tell_links(&self, mesh: &dyn Surroundings) {
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
    fn publish(&self, mesh: &dyn Surroundings, members: BTreeMap<NodeId, Member>) {
        mesh.prune(&members);
        let mut list = Vec::with_capacity(members.len());
        for (node, mut member) in members {
            if node == self.shared.node {
                let own = Arc::new(lock(&self.shared.own).clone());
                (member.values, member.address) = (own, self.shared.address);
            } else {
                let also = member.also();
                if !mesh.meet(&mut member, also) {
                    continue;
                }
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
        mesh.act_on(&self.members());
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
