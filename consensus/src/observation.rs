//! What can be seen of the group from one node.

use crate::{Finding, Pace};
use micro_sdk::wire::NodeId;
use std::collections::BTreeSet;

/// The id of a log entry: who led when it was written, and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// Its place in the log.
    pub index: u64,
}

/// How far one replica is, as its leader knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// Whose replica.
    pub node: NodeId,
    /// The highest index known to be durable there.
    pub matched: Option<u64>,
}

/// The group as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The node that looks.
    pub node: NodeId,
    /// Its current term.
    pub term: u64,
    /// The node it voted for in that term, and whether it knows that a quorum did too.
    pub vote: (NodeId, bool),
    /// The leader it knows of.
    pub leader: Option<NodeId>,
    /// Whether it leads, as far as it knows.
    pub leading: bool,
    /// Whether it leads, as far as it knows, but no quorum has confirmed it of late.
    pub quorum_lost: bool,
    /// The index of its last log entry.
    pub last_log: Option<u64>,
    /// The last entry it knows to be committed.
    pub committed: Option<LogPosition>,
    /// The last entry it applied.
    pub applied: Option<LogPosition>,
    /// The last entry in its snapshot.
    pub snapshot: Option<LogPosition>,
    /// The last entry it purged.
    pub purged: Option<LogPosition>,
    /// All voters; of both sets while the membership changes.
    pub voters: BTreeSet<NodeId>,
    /// All learners.
    pub learners: BTreeSet<NodeId>,
    /// The addresses of all members.
    pub addresses: Vec<(NodeId, String)>,
    /// Whether the membership has two voter sets just now.
    pub changing: bool,
    /// How far each replica is. Known to the leader only.
    pub replication: Vec<Replication>,
    /// The timing that it keeps.
    pub pace: Pace,
    /// What this node has found wrong with replicas while it led.
    pub findings: Vec<Finding>,
    /// Why Raft has stopped here, if it has.
    pub stopped: Option<String>,
}
