//! What can go wrong, told apart by what the caller may do.

use micro_sdk::wire::{Code, Fault};

/// Why the group can't be opened, or its membership not changed.
#[derive(Debug, thiserror::Error)]
pub enum ConsensusError {
    /// The storage failed, or holds what can't be.
    #[error("storage of the log or state failed: {0}")]
    Storage(String),
    /// Raft has stopped. The node must be started again.
    #[error("consensus has stopped: {0}")]
    Stopped(String),
    /// Only the leader can do this.
    #[error("this node does not lead the group")]
    NotLeader,
    /// The group refuses the change.
    #[error("the change of membership was refused: {0}")]
    Membership(String),
    /// It took too long; the change may still take effect.
    #[error("the change of membership took longer than its deadline")]
    Timeout,
}

/// Why a proposal was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Too many proposals wait already. Nothing was done.
    #[error("too many writes are waiting")]
    Overloaded,
    /// Larger than a proposal may be. Nothing was done.
    #[error("a write of {bytes} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No leader was found before the deadline. Nothing was done.
    #[error("no leader with a quorum was found in time")]
    NoLeader,
    /// The leader's disk is nearly full. Nothing was done.
    #[error("the node that leads takes no writes: its disk is nearly full")]
    ReadOnly,
    /// The proposal was handed over, but no answer came: it may have been committed, or may yet be.
    #[error("the outcome of the write is not known: {0}")]
    Unknown(String),
    /// Raft has stopped on this node. Nothing was done.
    #[error("consensus has stopped on this node: {0}")]
    Stopped(String),
}

/// Why a linearizable read can't be answered. Reads change nothing, so all may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader could prove within the deadline that it still leads a quorum.
    #[error("no leader with a quorum answered in time")]
    NoQuorum,
    /// There is a quorum, but this node's own replica did not come to where it is.
    #[error("this node's replica is {entries} entries behind the quorum{}", why_behind(*.full))]
    Behind {
        /// How many entries it lacks.
        entries: u64,
        /// Whether it takes none in, since the disk is nearly full.
        full: bool,
    },
    /// Too many reads wait already.
    #[error("too many reads are waiting")]
    Overloaded,
    /// Raft has stopped on this node.
    #[error("consensus has stopped on this node: {0}")]
    Stopped(String),
}

fn why_behind(full: bool) -> &'static str {
    if full { ", and takes nothing in: its disk is nearly full" } else { ", and did not catch up in time" }
}

const NO_QUORUM_HELP: &str = "see `micro-node status`: a majority of the voters must be reachable";

impl From<ProposeError> for Fault {
    fn from(error: ProposeError) -> Fault {
        let message = error.to_string();
        match error {
            ProposeError::Overloaded => Fault::new(Code::Unavailable, message).help("try again later"),
            ProposeError::TooLarge { .. } => {
                Fault::new(Code::Usage, message).help("split it, or keep the bulk elsewhere")
            }
            ProposeError::ReadOnly => Fault::new(Code::Unavailable, message)
                .help("free some space there, or give it more: it takes writes again by itself")
                .help("`micro-node status` says which disks are nearly full"),
            ProposeError::NoLeader => Fault::new(Code::Unavailable, message).help(NO_QUORUM_HELP),
            ProposeError::Unknown(_) => Fault::new(Code::Unknown, message)
                .help("read the record to see; repeating is safe with the same idempotency key"),
            ProposeError::Stopped(_) => {
                Fault::new(Code::Unavailable, message).help("see the node's log and start it again")
            }
        }
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Fault {
        let message = error.to_string();
        match error {
            ReadError::NoQuorum => Fault::new(Code::Unavailable, message).help(NO_QUORUM_HELP),
            ReadError::Behind { full: true, .. } => Fault::new(Code::Unavailable, message)
                .help("free some space there, or give it more: it catches up by itself")
                .help("ask another node meanwhile"),
            ReadError::Behind { full: false, .. } => {
                Fault::new(Code::Unavailable, message).help("ask another node, or try again later")
            }
            ReadError::Overloaded => Fault::new(Code::Unavailable, message).help("try again later"),
            ReadError::Stopped(_) => {
                Fault::new(Code::Unavailable, message).help("see the node's log and start it again")
            }
        }
    }
}

impl From<ConsensusError> for Fault {
    fn from(error: ConsensusError) -> Fault {
        let message = error.to_string();
        match error {
            ConsensusError::Storage(_) => Fault::new(Code::Failed, message),
            ConsensusError::Stopped(_) | ConsensusError::NotLeader => Fault::new(Code::Unavailable, message),
            ConsensusError::Membership(_) => Fault::new(Code::Conflict, message),
            ConsensusError::Timeout => Fault::new(Code::Timeout, message).effect_unknown(),
        }
    }
}
