//! Nodes and the links between them, in memory.

use super::super::Gossip;
use crate::link::lock;
use bytes::Bytes;
use micro_sdk::wire::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// How long it takes within a region, one way.
const NEAR: Duration = Duration::from_millis(1);
/// A handshake takes so many ways back and forth, and a word from either side.
const HANDSHAKE_TRIPS: u32 = 3;
/// How long a link seems to answer whose other end has died: until two pings were not answered.
pub(super) const UNNOTICED: Duration = Duration::from_secs(3);

/// The life that all nodes are in.
const BOOT: u64 = 1;

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) messages: u64,
    pub(super) bytes: u64,
}

/// Who is there, and who is linked to whom.
pub(super) struct Ground {
    pub(super) regions: u64,
    far: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<NodeId, Gossip>,
    died: BTreeMap<NodeId, Instant>,
    /// Whom each has chosen.
    chosen: BTreeMap<NodeId, BTreeSet<NodeId>>,
    /// From when on each is linked to whom, from both ends.
    links: BTreeMap<NodeId, BTreeMap<NodeId, Instant>>,
    traffic: Traffic,
    chances: u64,
}

impl Ground {
    /// One of so many regions, between which a message takes so long.
    pub(super) fn new(regions: u64, far: Duration) -> Self {
        Ground { regions, far, state: Mutex::default() }
    }

    pub(super) fn enter(&self, node: NodeId, gossip: &Gossip) {
        lock(&self.state).nodes.insert(node, gossip.clone());
    }

    pub(super) fn leave(&self, node: NodeId) {
        let state = &mut *lock(&self.state);
        state.nodes.remove(&node);
        state.chosen.remove(&node);
        state.died.insert(node, Instant::now());
    }

    /// How long a message takes.
    pub(super) fn latency(&self, one: NodeId, other: NodeId) -> Duration {
        if one.0 % self.regions == other.0 % self.regions { NEAR } else { self.far }
    }

    /// Links `node` to those that it has `chosen`, and parts it from those whom neither end has any more.
    pub(super) fn choose(self: &Arc<Self>, node: NodeId, chosen: BTreeSet<NodeId>) {
        let state = &mut *lock(&self.state);
        for other in chosen.iter().filter(|other| state.nodes.contains_key(other)) {
            let linked = state.links.entry(node).or_default();
            if linked.contains_key(other) {
                continue;
            }
            let up = Instant::now() + self.latency(node, *other) * HANDSHAKE_TRIPS;
            linked.insert(*other, up);
            state.links.entry(*other).or_default().insert(node, up);
            self.greet_at(up, [node, *other]);
        }
        let before = state.chosen.insert(node, chosen.clone()).unwrap_or_default();
        for other in before.difference(&chosen) {
            if state.chosen.get(other).is_some_and(|chosen| chosen.contains(&node)) {
                continue;
            }
            for (one, other) in [(node, *other), (*other, node)] {
                state.links.entry(one).or_default().remove(&other);
            }
        }
    }

    /// Has both ends of a link see that they are linked.
    fn greet_at(self: &Arc<Self>, up: Instant, ends: [NodeId; 2]) {
        let ground = self.clone();
        tokio::spawn(async move {
            sleep_until(up).await;
            for gossip in ends.iter().filter_map(|end| ground.gossip(*end)) {
                gossip.wake();
            }
        });
    }

    fn gossip(&self, node: NodeId) -> Option<Gossip> {
        lock(&self.state).nodes.get(&node).cloned()
    }

    /// Those that are linked to `node` and seem to answer.
    pub(super) fn linked(&self, node: NodeId) -> Vec<NodeId> {
        let (state, now) = (lock(&self.state), Instant::now());
        let links = state.links.get(&node).into_iter().flatten();
        links
            .filter(|(other, up)| **up <= now && state.seems_alive(**other))
            .map(|(other, _)| *other)
            .collect()
    }

    /// The life that `other` is in, if the two are linked.
    pub(super) fn life(&self, node: NodeId, other: NodeId) -> Option<u64> {
        let (state, now) = (lock(&self.state), Instant::now());
        let up = *state.links.get(&node)?.get(&other)?;
        (up <= now && state.seems_alive(other)).then_some(BOOT)
    }

    /// Carries a message, if there still is somebody to hear it.
    pub(super) async fn carry(self: Arc<Self>, from: NodeId, to: NodeId, message: Bytes) {
        {
            let traffic = &mut lock(&self.state).traffic;
            traffic.messages += 1;
            traffic.bytes += message.len() as u64;
        }
        sleep(self.latency(from, to)).await;
        if let Some(gossip) = self.gossip(to) {
            // The first byte says that it is gossip.
            gossip.receive(from, BOOT, &message[1..]);
        }
    }

    pub(super) fn traffic(&self) -> Traffic {
        lock(&self.state).traffic
    }

    /// The next number by chance: the golden ratio's multiples, by Knuth.
    pub(super) fn chance(&self) -> u64 {
        let chances = &mut lock(&self.state).chances;
        *chances = chances.wrapping_add(0x9e37_79b9_7f4a_7c15);
        *chances >> 16
    }

    /// The fewest and the most links of a node.
    pub(super) fn links(&self) -> (usize, usize) {
        let state = lock(&self.state);
        let counts: Vec<usize> = state.nodes.keys().map(|node| state.links[node].len()).collect();
        (counts.iter().copied().min().unwrap_or(0), counts.iter().copied().max().unwrap_or(0))
    }
}

impl State {
    fn seems_alive(&self, node: NodeId) -> bool {
        self.nodes.contains_key(&node) || self.died.get(&node).is_some_and(|at| at.elapsed() < UNNOTICED)
    }
}
