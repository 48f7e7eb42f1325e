//! Entries, votes and ids in our own layouts: openraft's may change between its versions, what is stored may not.

use crate::raft::{Command, Entry, Group, LeaderId, LogId, Membership, StoredMembership, Vote};
use bincode::{Decode, Encode};
use bytes::{Buf, BufMut, Bytes};
use micro_sdk::wire::{Codec, NodeId};
use micro_storage::LogRecord;
use openraft::{BasicNode, EntryPayload, type_config::alias::CommittedLeaderIdOf};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

/// The largest encoded membership or mark: hundreds of nodes.
const SMALL_BYTES_MAX: usize = 1 << 20;

/// What the body of a log record is. Stored: grows at its end only.
mod kind {
    /// Nothing: a new leader's first entry.
    pub const BLANK: u8 = 0;
    /// A membership.
    pub const MEMBERSHIP: u8 = 2;
    /// The time at the leader, then a command of the machine. 1 was a command without a time; it was never released.
    pub const TIMED_COMMAND: u8 = 3;
}

/// A log id as it is stored and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LogIdRecord {
    pub term: u64,
    pub leader: NodeId,
    pub index: u64,
}

/// A vote as it is stored and sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct VoteRecord {
    pub term: u64,
    pub leader: NodeId,
    pub committed: bool,
}

/// A membership as it is stored and sent: one voter set, or two while it changes, and the address of every member.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct MembershipRecord {
    pub voters: Vec<BTreeSet<NodeId>>,
    pub members: BTreeMap<NodeId, String>,
}

/// How far the state has been applied: stored in the same batch as the effects.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct AppliedRecord {
    pub last: Option<LogIdRecord>,
    pub membership_at: Option<LogIdRecord>,
    pub membership: MembershipRecord,
    /// The time of the last command; no later one has an earlier time.
    pub time_ms: u64,
}

pub(crate) fn log_id(term: u64, leader: NodeId, index: u64) -> LogId {
    openraft::LogId::new(CommittedLeaderIdOf::<Group> { term, node_id: leader }, index)
}

pub(crate) fn garbled(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Decodes a small record of ours.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8]) -> io::Result<T> {
    Codec::decode::<T, SMALL_BYTES_MAX>(bytes).map_err(garbled)
}

impl From<LogId> for LogIdRecord {
    fn from(id: LogId) -> Self {
        let leader = id.committed_leader_id();
        LogIdRecord { term: leader.term, leader: leader.node_id, index: id.index }
    }
}

impl From<LogIdRecord> for LogId {
    fn from(record: LogIdRecord) -> Self {
        log_id(record.term, record.leader, record.index)
    }
}

impl From<&Vote> for VoteRecord {
    fn from(vote: &Vote) -> Self {
        VoteRecord { term: vote.leader_id.term, leader: vote.leader_id.node_id, committed: vote.committed }
    }
}

impl From<VoteRecord> for Vote {
    fn from(record: VoteRecord) -> Self {
        Vote {
            leader_id: LeaderId { term: record.term, node_id: record.leader },
            committed: record.committed,
        }
    }
}

impl From<&Membership> for MembershipRecord {
    fn from(membership: &Membership) -> Self {
        MembershipRecord {
            voters: membership.get_joint_config().clone(),
            members: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
        }
    }
}

impl MembershipRecord {
    pub fn to_membership(&self) -> io::Result<Membership> {
        let nodes: BTreeMap<NodeId, BasicNode> =
            self.members.iter().map(|(id, address)| (*id, BasicNode::new(address))).collect();
        Membership::new(self.voters.clone(), nodes).map_err(garbled)
    }
}

impl AppliedRecord {
    pub fn new(last: Option<LogId>, membership: &StoredMembership, time_ms: u64) -> Self {
        AppliedRecord {
            last: last.map(LogIdRecord::from),
            membership_at: membership.log_id().map(LogIdRecord::from),
            membership: membership.membership().into(),
            time_ms,
        }
    }

    /// The last applied id and the membership.
    pub fn restore(&self) -> io::Result<(Option<LogId>, StoredMembership)> {
        // A state to which nothing was applied has no voters, which openraft writes as its default.
        let membership = if self.membership_at.is_none() {
            StoredMembership::default()
        } else {
            StoredMembership::new(self.membership_at.map(LogId::from), self.membership.to_membership()?)
        };
        Ok((self.last.map(LogId::from), membership))
    }
}

/// The record under which an entry is stored.
pub(crate) fn to_record(entry: &Entry) -> LogRecord {
    let (kind, body) = match &entry.payload {
        EntryPayload::Blank => (kind::BLANK, Bytes::new()),
        EntryPayload::Normal(command) => (kind::TIMED_COMMAND, command.bytes().clone()),
        EntryPayload::Membership(membership) => {
            (kind::MEMBERSHIP, Codec::encode(&MembershipRecord::from(membership)).into())
        }
    };
    let leader = entry.log_id.committed_leader_id();
    LogRecord { index: entry.log_id.index, term: leader.term, leader: leader.node_id.0, kind, body }
}

/// The entry that a record holds.
pub(crate) fn from_record(record: LogRecord) -> io::Result<Entry> {
    let payload = match record.kind {
        kind::BLANK => EntryPayload::Blank,
        kind::TIMED_COMMAND => {
            let command = Command::stored(record.body);
            let cut = || garbled(format!("the time of log entry {} is cut short", record.index));
            EntryPayload::Normal(command.ok_or_else(cut)?)
        }
        kind::MEMBERSHIP => {
            EntryPayload::Membership(decode::<MembershipRecord>(&record.body)?.to_membership()?)
        }
        other => return Err(garbled(format!("log entry {} is of unknown kind {other}", record.index))),
    };
    Ok(Entry { log_id: log_id(record.term, NodeId(record.leader), record.index), payload })
}

/// The bytes an entry takes in a frame, beside its body: term, leader, index, kind, length.
pub(crate) const ENTRY_HEAD_BYTES: usize = 8 + 8 + 8 + 1 + 4;

/// Appends an entry to a frame. By hand, since it is the hot path: bincode through serde cost a tenth of all puts.
pub(crate) fn put_entry(entry: &Entry, frame: &mut Vec<u8>) {
    let record = to_record(entry);
    frame.reserve(ENTRY_HEAD_BYTES + record.body.len());
    frame.put_u64_le(record.term);
    frame.put_u64_le(record.leader);
    frame.put_u64_le(record.index);
    frame.put_u8(record.kind);
    frame.put_u32_le(u32::try_from(record.body.len()).expect("a proposal is limited to a few MiB"));
    frame.put_slice(&record.body);
}

/// How many bytes of a frame an entry takes; a change of membership, which is rare, takes more.
pub(crate) fn entry_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        EntryPayload::Normal(command) => ENTRY_HEAD_BYTES + command.bytes().len(),
        _ => ENTRY_HEAD_BYTES,
    }
}

/// Takes an entry off the front of a frame. Its body shares the frame's memory.
pub(crate) fn take_entry(frame: &mut Bytes) -> io::Result<Entry> {
    if frame.len() < ENTRY_HEAD_BYTES {
        return Err(garbled("an entry is cut short"));
    }
    let (term, leader, index) = (frame.get_u64_le(), frame.get_u64_le(), frame.get_u64_le());
    let kind = frame.get_u8();
    let length = frame.get_u32_le() as usize;
    if frame.len() < length {
        return Err(garbled("the body of an entry is cut short"));
    }
    from_record(LogRecord { index, term, leader, kind, body: frame.split_to(length) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(index: u64, body: &'static [u8]) -> Entry {
        let payload = EntryPayload::Normal(Command::stamped(0x0102, body));
        Entry { log_id: log_id(3, NodeId(9), index), payload }
    }

    #[test]
    fn entry_frames_are_frozen_and_read_back() {
        let mut frame = Vec::new();
        put_entry(&command(5, b"ab"), &mut frame);
        let golden = [
            3, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3, 10, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 1, 2, b'a', b'b',
        ];
        assert_eq!(frame, golden);
        let mut bytes = Bytes::from(frame);
        let entry = take_entry(&mut bytes).expect("the frame is whole");
        assert!(bytes.is_empty());
        assert_eq!(to_record(&entry), to_record(&command(5, b"ab")));
        let EntryPayload::Normal(read) = entry.payload else { panic!("it is a command") };
        assert_eq!((read.time_ms(), &read.proposed()[..]), (0x0102, &b"ab"[..]));
    }

    #[test]
    fn a_command_without_its_time_is_refused() {
        let body = Bytes::from_static(b"1234567");
        let record = LogRecord { index: 5, term: 3, leader: 9, kind: kind::TIMED_COMMAND, body };
        assert!(from_record(record).is_err());
    }

    #[test]
    fn how_far_the_state_is_has_a_frozen_layout() {
        let at = LogIdRecord { term: 2, leader: NodeId(1), index: 7 };
        let membership = MembershipRecord { voters: Vec::new(), members: BTreeMap::new() };
        let record = AppliedRecord { last: Some(at), membership_at: None, membership, time_ms: 9 };
        assert_eq!(Codec::encode(&record), [1, 0, 1, 2, 1, 7, 0, 0, 0, 9]);
    }

    #[test]
    fn a_frame_cut_short_is_refused() {
        let mut frame = Vec::new();
        put_entry(&command(5, b"abc"), &mut frame);
        for cut in 0..frame.len() {
            let mut bytes = Bytes::copy_from_slice(&frame[..cut]);
            assert!(take_entry(&mut bytes).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn memberships_survive_storage() {
        let record = MembershipRecord {
            voters: vec![BTreeSet::from([NodeId(1), NodeId(2), NodeId(3)])],
            members: (1..=4).map(|id| (NodeId(id), format!("127.0.0.1:{id}"))).collect(),
        };
        let membership = record.to_membership().expect("the voters are members");
        assert_eq!(MembershipRecord::from(&membership), record);
        assert_eq!(
            Codec::encode(&VoteRecord { term: 2, leader: NodeId(1), committed: true }),
            [1, 0, 2, 1, 1]
        );
    }
}
