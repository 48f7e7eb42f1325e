//! The members, as chitchat's state tells of them.

use super::{ADDRESS_KEY, Member, RESTART_BITS, UNTOLD, Values, detector::Detector};
use chitchat::{ChitchatId, NodeState};
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The members, as they were read last. What has not changed since is not read again, and shared.
pub(super) struct Roster {
    detector: Detector,
    told: BTreeMap<NodeId, Told>,
}

/// What a node tells.
#[derive(Clone)]
struct Told {
    generation: u64,
    /// By chitchat's count, which grows with each change.
    version: (u64, u64),
    address: SocketAddr,
    values: Arc<Values>,
}

impl Roster {
    /// For gossip with this interval between two rounds.
    pub(super) fn new(interval: Duration) -> Self {
        Roster { detector: Detector::new(interval), told: BTreeMap::new() }
    }

    /// Reads the newest life of each node, but none after the one that `life` knows at first hand. The node `own`
    /// lives.
    pub(super) fn read(
        &mut self,
        states: &BTreeMap<ChitchatId, NodeState>,
        own: NodeId,
        life: impl Fn(NodeId) -> Option<u64>,
        now: Instant,
    ) -> BTreeMap<NodeId, Member> {
        let newest = newest(states, life);
        self.detector.look(now);
        self.detector.keep(|node| newest.contains_key(&node));
        let mut before = std::mem::take(&mut self.told);
        let mut members = BTreeMap::new();
        for (node, (generation, state)) in newest {
            let version = state.monotonic_property();
            let known = before.remove(&node);
            let known = known.filter(|told| (told.generation, told.version) == (generation, version));
            let told = known.unwrap_or_else(|| Told::read(generation, version, state));
            let beats = self.detector.is_alive(node, generation, state.heartbeat().into());
            let member = Member {
                node,
                generation: generation >> RESTART_BITS,
                alive: beats || node == own,
                address: told.address,
                values: told.values.clone(),
            };
            members.insert(node, member);
            self.told.insert(node, told);
        }
        members
    }
}

impl Told {
    fn read(generation: u64, version: (u64, u64), state: &NodeState) -> Told {
        let address = state.get(ADDRESS_KEY).and_then(|told| told.parse().ok()).unwrap_or(UNTOLD);
        let values = state.key_values().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Told { generation, version, address, values: Arc::new(values) }
    }
}

/// The newest life of each node, with chitchat's generation.
fn newest(
    states: &BTreeMap<ChitchatId, NodeState>,
    life: impl Fn(NodeId) -> Option<u64>,
) -> BTreeMap<NodeId, (u64, &NodeState)> {
    let mut newest = BTreeMap::<NodeId, (u64, &NodeState)>::new();
    for (id, state) in states {
        let Ok(node) = id.node_id.parse::<NodeId>() else { continue };
        let passed = newest.get(&node).is_some_and(|(generation, _)| *generation > id.generation_id);
        let claimed = life(node).is_some_and(|boot| id.generation_id >> RESTART_BITS > boot);
        if !passed && !claimed {
            newest.insert(node, (id.generation_id, state));
        }
    }
    newest
}
