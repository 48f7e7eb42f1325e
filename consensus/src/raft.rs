//! The types that openraft is told to use. They stay inside this crate.

use crate::{replica::Replica, snapshot::SnapshotHandle};
use bytes::{Buf, BufMut, Bytes};
use micro_sdk::wire::NodeId;
use openraft::type_config::alias;
use std::fmt;

/// A command as it lies in the log: the time at the leader that took it in, then what was proposed. One piece of
/// memory, so that neither the log nor a follower copies it again.
#[derive(Clone, Debug)]
pub(crate) struct Command(Bytes);

impl Command {
    /// The bytes of the time.
    const TIME_BYTES: usize = 8;

    /// `proposed`, taken in at `time_ms`.
    pub fn stamped(time_ms: u64, proposed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(Self::TIME_BYTES + proposed.len());
        bytes.put_u64(time_ms);
        bytes.put_slice(proposed);
        Command(bytes.into())
    }

    /// A command as the log holds it; none if it is cut short.
    pub fn stored(bytes: Bytes) -> Option<Self> {
        (bytes.len() >= Self::TIME_BYTES).then_some(Command(bytes))
    }

    /// As the log holds it.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// When the leader took it in, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        (&self.0[..]).get_u64()
    }

    /// What was proposed.
    pub fn proposed(&self) -> Bytes {
        self.0.slice(Self::TIME_BYTES..)
    }
}

/// What applying a command returned.
#[derive(Clone, Debug)]
pub(crate) struct Reply(pub Bytes);

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command of {} bytes", self.0.len())
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reply of {} bytes", self.0.len())
    }
}

openraft::declare_raft_types!(
    pub(crate) Group:
        D = Command,
        R = Reply,
        NodeId = NodeId,
        Node = openraft::BasicNode,
        AsyncRuntime = openraft_rt_tokio::TokioRuntime
);

pub(crate) type Raft = openraft::Raft<Group, Replica>;
pub(crate) type Vote = alias::VoteOf<Group>;
pub(crate) type LeaderId = alias::LeaderIdOf<Group>;
pub(crate) type LogId = alias::LogIdOf<Group>;
pub(crate) type Entry = alias::EntryOf<Group>;
pub(crate) type Membership = openraft::Membership<NodeId, openraft::BasicNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Group>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Group>;
pub(crate) type Snapshot = alias::SnapshotOf<Group, SnapshotHandle>;
