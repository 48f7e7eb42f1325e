//! The cluster at a glance: the document behind `micro-node status`, schema `micro-node/status/v1`.
//!
//! Keys may be added within v1; renaming or removing one makes v2. Keys are always there: what is not known is null.

use super::{ClusterId, NodeId};
use serde::{Deserialize, Serialize};

/// The schema that [`Status`] follows.
pub const STATUS_SCHEMA: &str = "micro-node/status/v1";

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Status {
    /// Always [`STATUS_SCHEMA`].
    pub schema: String,
    /// The mesh.
    pub cluster: ClusterId,
    /// The node that answers.
    pub seen_by: NodeId,
    /// All nodes known, the answering one first, then by name.
    pub nodes: Vec<NodeStatus>,
    /// The Raft group.
    pub consensus: ConsensusStatus,
    /// All services known, by name.
    pub services: Vec<ServiceStatus>,
    /// How the blobs are.
    #[serde(default)]
    pub blobs: BlobsStatus,
    /// What is wrong, worst first. Empty when all is well.
    pub problems: Vec<Problem>,
}

/// How the blobs are. All are 0 when all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BlobsStatus {
    /// Blobs with fewer copies than are wanted, or than there are nodes if those are fewer.
    pub short: u64,
    /// Blobs all of whose copies are on nodes that are down or gone.
    pub unreachable: u64,
    /// Copies that are missing on the disks of nodes that are up.
    pub missing: u64,
    /// Blobs that no node has any more, though all that should are up: as many as the node with the most of them tells.
    pub lost: u64,
}

/// Whether a node can be counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// Reachable and serving.
    Ready,
    /// Reachable, not yet caught up or not yet serving.
    Starting,
    /// A member that is to do nothing for a while: it was told so.
    Drained,
    /// On its way out: it takes no new work.
    Leaving,
    /// Not heard of for a while, though a member.
    Down,
}

/// What a node does in the Raft group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Votes, and leads at present.
    Leader,
    /// Votes.
    Voter,
    /// Keeps a replica without a vote.
    Learner,
    /// Is not in the membership (any more, or yet).
    None,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeStatus {
    /// Its id.
    pub id: NodeId,
    /// Its name, as given by `--name`.
    pub name: String,
    /// Whether it can be counted on.
    pub state: NodeState,
    /// What it does in the Raft group.
    pub role: Role,
    /// Why it is a learner and not yet a voter; null for others.
    pub role_reason: Option<String>,
    /// Its cloud, region and zone; empty where none was given.
    pub cloud: String,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
    /// The address of its mesh listener, as others dial it.
    pub address: String,
    /// How the answering node reaches it: `self`, `direct ADDRESS`, `via NODE, NODE` with the relays that are passed in
    /// that order, or null when there is no link.
    pub path: Option<String>,
    /// The names of the nodes that are passed on the way to it, the first one first; empty if it is reached directly.
    pub relays: Vec<String>,
    /// The round trip to it, in milliseconds: the lowest of the last 30 s. Null for itself and without a link.
    pub rtt_ms: Option<f64>,
    /// The version of its micro-node.
    pub version: String,
    /// How long its process has run, in seconds.
    pub uptime_s: Option<u64>,
    /// Its platform actors, and how often each was restarted after a panic. Null when it is down.
    pub actors: Option<Vec<ActorStatus>>,
    /// The certificate that it shows to other nodes, as it told last. Null if it never did.
    #[serde(default)]
    pub certificate: Option<CertificateStatus>,
    /// Whether it says that it is a gateway: one that nodes of other clouds reach (`start --gateway`).
    #[serde(default)]
    pub gateway: bool,
}

/// The certificate of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CertificateStatus {
    /// The pin of the authority that signed it: the SHA-256 of its certificate, in hexadecimal digits.
    pub authority: String,
    /// When it was made, in seconds since 1970.
    pub issued_s: u64,
    /// When it ends, in seconds since 1970. A node that is up renews its own at two thirds of the time between.
    pub ends_s: u64,
}

/// One platform actor of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ActorStatus {
    /// The platform service.
    pub name: String,
    /// How often it was restarted since its node started.
    pub restarts: u64,
}

/// The Raft group as the answering node knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConsensusStatus {
    /// Whether a leader is known that a quorum has confirmed of late.
    pub quorum: bool,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// The current term.
    pub term: u64,
    /// The highest index known to be committed; null before the first.
    pub commit: Option<u64>,
    /// The highest index applied here; null before the first.
    pub applied: Option<u64>,
    /// The voters.
    pub voters: Vec<NodeId>,
    /// The learners.
    pub learners: Vec<NodeId>,
    /// How far each replica is behind the leader's log. Known to the leader only, so it is fetched from it: empty
    /// while there is none.
    pub replicas: Vec<ReplicaStatus>,
    /// The timing that the node keeps which tells this. It follows the round trips to the voters.
    #[serde(default)]
    pub timing: TimingStatus,
}

/// The timing of the group at one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TimingStatus {
    /// The longest round trip to another voter that it follows; 0 while none was measured.
    pub round_trip_ms: u64,
    /// How often a leader shows that it lives.
    pub heartbeat_ms: u64,
    /// The shortest silence of its leader after which a voter stands for election.
    pub election_timeout_ms_min: u64,
    /// The longest.
    pub election_timeout_ms_max: u64,
}

/// How far one replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReplicaStatus {
    /// Whose replica.
    pub node: NodeId,
    /// The highest index known to be stored there.
    pub matched: Option<u64>,
    /// How many entries it is behind.
    pub lag: u64,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// The versions that run, each once.
    pub versions: Vec<String>,
    /// How many instances.
    pub instances: u64,
    /// The nodes that they are attached to, by name.
    pub nodes: Vec<String>,
    /// Its endpoints, each once.
    pub endpoints: Vec<String>,
}

/// How bad a problem is. The order is the order of display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work now.
    Critical,
    /// Something works with less safety than wanted.
    Warning,
    /// Something to know.
    Info,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: String,
}
