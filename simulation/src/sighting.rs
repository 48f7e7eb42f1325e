//! What the checkers look at: every node's progress, and what lies on its disk, at one moment.

use micro_sdk::wire::NodeId;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// An entry of a log, without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The term it was written in.
    pub term: u64,
    /// The leader that wrote it.
    pub leader: u64,
    /// A digest of kind and body.
    pub print: u64,
}

/// Term and index of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The term it was written in.
    pub term: u64,
    /// Its place.
    pub index: u64,
}

/// What a running node says of its part in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its term.
    pub term: u64,
    /// Whom it voted for in that term.
    pub voted_for: NodeId,
    /// Whether it leads, as far as it knows.
    pub leading: bool,
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// The index of its last entry.
    pub last: Option<u64>,
    /// The last entry that it knows to be committed.
    pub committed: Option<Position>,
    /// The last entry applied.
    pub applied: Option<Position>,
    /// The last entry in its snapshot.
    pub snapshot: Option<Position>,
    /// The last entry purged.
    pub purged: Option<Position>,
    /// All voters; of both sets while the membership changes.
    pub voters: BTreeSet<NodeId>,
    /// Whether there are two sets of voters just now.
    pub changing: bool,
    /// Why Raft has stopped here, if it has.
    pub stopped: Option<String>,
}

/// What a running node shows to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Papers {
    /// For how long its certificate has ended by its own clock; none while it counts.
    pub ended: Option<Duration>,
    /// The pin of the authority that signed it.
    pub authority: [u8; 32],
    /// The pin of the authority that the node takes for the one that certifies.
    pub believed: [u8; 32],
    /// Whether it believes a former one too.
    pub handing_over: bool,
}

/// A digest of a node's applied state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePrint {
    /// How far it has been applied, as the consensus layer stores it with the effects.
    pub applied: Vec<u8>,
    /// The digest of all records.
    pub print: u64,
}

/// One node, running or not.
#[derive(Clone, Debug, Default)]
pub struct NodeSight {
    /// Its id, once it ever ran.
    pub id: Option<NodeId>,
    /// How often it was started.
    pub boot: u32,
    /// What it says. None while it does not run.
    pub progress: Option<Progress>,
    /// What it shows to others. None while it does not run.
    pub papers: Option<Papers>,
    /// The nodes that it reaches, each with the relays on the way. Empty while it does not run.
    pub ways: BTreeMap<NodeId, Vec<NodeId>>,
    /// Its durable log: index to entry. Purged entries are gone.
    pub log: BTreeMap<u64, Line>,
    /// Every entry below this index was purged.
    pub log_start: u64,
    /// Whether it takes far more bytes than those that make a snapshot due, of entries that could be in one.
    pub log_too_long: bool,
    /// The lowest index that was added or replaced since the last look; none when nothing was.
    pub fresh_from: Option<u64>,
    /// Its state, when it changed since the last look.
    pub state: Option<StatePrint>,
}

impl NodeSight {
    /// The entries added or replaced since the last look.
    pub fn fresh(&self) -> impl Iterator<Item = (u64, &Line)> {
        let from = self.fresh_from.unwrap_or(u64::MAX);
        self.log.range(from..).map(|(index, line)| (*index, line))
    }

    /// Whether the entry at `index` is this one, as far as can be seen: a purged one counts as the same.
    pub fn holds(&self, index: u64, line: &Line) -> bool {
        index < self.log_start || self.log.get(&index) == Some(line)
    }

    /// The index up to which the log is known to be committed; none when the node is down.
    pub fn committed(&self) -> Option<u64> {
        self.progress.as_ref()?.committed.map(|position| position.index)
    }
}

/// The network under the nodes, where its links are as quick at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The round trip between two hosts that reach each other, by their names, in both orders.
    pub round_trips: BTreeMap<(String, String), Duration>,
    /// When it last changed, or a node was started or died.
    pub changed: Duration,
    /// Whether what some hosts send and get is late or lost now and then.
    pub unsteady: bool,
    /// The cloud of each host.
    pub clouds: BTreeMap<String, String>,
    /// Hosts that are to be gone over, rather than others of their cloud.
    pub gateways: BTreeSet<String>,
}

/// All nodes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sighting {
    /// When, in simulated time.
    pub at: Duration,
    /// By name.
    pub nodes: BTreeMap<String, NodeSight>,
    /// What is under them, if they are in clouds.
    pub network: Option<Network>,
}

impl Sighting {
    /// The node that leads, in the highest term if several think so.
    pub fn leader(&self) -> Option<NodeId> {
        let leading = self.running().filter(|(.., progress)| progress.leading);
        leading.max_by_key(|(.., progress)| progress.term).and_then(|(_, node, _)| node.id)
    }

    /// The nodes that run, with what they say.
    pub fn running(&self) -> impl Iterator<Item = (&str, &NodeSight, &Progress)> {
        self.nodes.iter().filter_map(|(name, node)| Some((name.as_str(), node, node.progress.as_ref()?)))
    }
}
