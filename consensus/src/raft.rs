//! The types that openraft is told to use. They stay inside this crate.

use crate::{replica::Replica, snapshot::SnapshotHandle};
use bytes::Bytes;
use micro_sdk::wire::NodeId;
use openraft::type_config::alias;
use std::fmt;

/// A command as it lies in the log.
#[derive(Clone, Debug)]
pub(crate) struct Command(pub Bytes);

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
