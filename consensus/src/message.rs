//! What the members of the group say to each other, beside the entries themselves.

use crate::{
    entry::{
        ENTRY_HEAD_BYTES, LogIdRecord, MembershipRecord, VoteRecord, decode, entry_bytes, garbled, put_entry,
        take_entry,
    },
    raft::{Group, LogId, Vote},
    snapshot::ManifestRecord,
};
use bincode::{Decode, Encode};
use bytes::{Buf, BufMut, Bytes};
use micro_sdk::wire::{Codec, NodeId, limits::PROPOSAL_BYTES_MAX};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult, VoteRequest,
    VoteResponse,
};
use std::{io, time::Duration};

/// The group that frames of this version belong to. There is one; the number is in every frame so that there can be
/// more.
pub(crate) const GROUP: u16 = 0;

/// The largest answer to a proposal: what may be proposed may be answered, and the words around it.
const PROPOSAL_ANSWER_BYTES_MAX: usize = PROPOSAL_BYTES_MAX + 1024;

/// A request with one answer, on the vote lane.
#[derive(Debug, Encode, Decode)]
pub(crate) enum Ask {
    Vote {
        vote: VoteRecord,
        last: Option<LogIdRecord>,
        transfer: bool,
    },
    PreVote {
        vote: VoteRecord,
        last: Option<LogIdRecord>,
        transfer: bool,
    },
    TransferLeader {
        from: VoteRecord,
        to: NodeId,
        last: Option<LogIdRecord>,
    },
    /// The frame of an append follows this frame.
    Append,
}

/// The answer to an [`Ask`].
#[derive(Debug, Encode, Decode)]
pub(crate) enum Answer {
    Vote {
        vote: VoteRecord,
        granted: bool,
        last: Option<LogIdRecord>,
    },
    TransferLeader {
        accepted: bool,
    },
    Append(AppendAnswer),
    /// Raft has stopped there.
    Stopped(String),
}

/// What became of one append.
#[derive(Debug, Encode, Decode)]
pub(crate) enum AppendAnswer {
    Success,
    PartialSuccess(Option<LogIdRecord>),
    Conflict,
    HigherVote(VoteRecord),
}

/// What became of one append on the pipelined lane.
#[derive(Debug, Encode, Decode)]
pub(crate) enum StreamAnswer {
    Matched(Option<LogIdRecord>),
    Conflict(LogIdRecord),
    HigherVote(VoteRecord),
}

/// The first frame on the snapshot lane.
#[derive(Debug, Encode, Decode)]
pub(crate) struct SnapshotOffer {
    pub vote: VoteRecord,
    pub last: Option<LogIdRecord>,
    pub membership_at: Option<LogIdRecord>,
    pub membership: MembershipRecord,
    pub manifest: ManifestRecord,
}

/// The last frame on the snapshot lane, from the receiver.
#[derive(Debug, Encode, Decode)]
pub(crate) enum SnapshotAnswer {
    /// Installed, or already further; with the vote of the receiver.
    Done(VoteRecord),
    /// Not now.
    Refused(String),
    /// What came is damaged, though it came as it was sent.
    Damaged(String),
}

/// The first frame on the fetch lane: a snapshot is wanted that shows all up to `at_least`.
#[derive(Debug, Encode, Decode)]
pub(crate) struct FetchAsk {
    pub at_least: u64,
}

/// The answer to it. The files of the snapshot follow, one behind the other, in the order of the manifest.
#[derive(Debug, Encode, Decode)]
pub(crate) enum FetchAnswer {
    Given(ManifestRecord),
    Refused(String),
}

/// The answer to one proposal on the forward lane.
#[derive(Debug, Encode, Decode)]
pub(crate) enum ProposalAnswer {
    /// Committed and applied, with the reply of the machine.
    Applied(u64, Vec<u8>),
    /// Not taken in: this node does not lead. Nothing was done.
    NotLeader(Option<NodeId>),
    /// Taken in, but what became of it is not known here.
    Unknown(String),
    /// Not taken in: the leader's disk is nearly full. Nothing was done.
    ReadOnly,
}

/// The answer to one read on the read lane: the index to wait for, or none when the quorum did not answer.
#[derive(Debug, Encode, Decode)]
pub(crate) struct ReadAnswer {
    pub round: u64,
    pub index: Option<u64>,
}

/// Appends a value to a frame.
pub(crate) fn put<T: Encode>(value: &T, frame: &mut Vec<u8>) {
    frame.put_u16_le(GROUP);
    Codec::encode_into(value, frame);
}

/// Takes a value that fills a frame.
pub(crate) fn take<T: Decode<()>>(mut frame: Bytes) -> io::Result<T> {
    take_group(&mut frame)?;
    decode(&frame)
}

/// Takes the answer to a proposal that fills a frame: it may hold what the machine read, and is larger than others.
pub(crate) fn take_proposal_answer(mut frame: Bytes) -> io::Result<ProposalAnswer> {
    take_group(&mut frame)?;
    Codec::decode::<_, PROPOSAL_ANSWER_BYTES_MAX>(&frame).map_err(garbled)
}

fn take_group(frame: &mut Bytes) -> io::Result<()> {
    if frame.len() < 2 {
        return Err(garbled("a frame is cut short"));
    }
    match frame.get_u16_le() {
        GROUP => Ok(()),
        other => Err(garbled(format!("group {other} is not known here"))),
    }
}

fn put_log_id(id: Option<LogId>, frame: &mut Vec<u8>) {
    match id {
        None => frame.put_u8(0),
        Some(id) => {
            let record = LogIdRecord::from(id);
            frame.put_u8(1);
            frame.put_u64_le(record.term);
            frame.put_u64_le(record.leader.0);
            frame.put_u64_le(record.index);
        }
    }
}

fn take_log_id(frame: &mut Bytes) -> io::Result<Option<LogId>> {
    let short = || garbled("a log id is cut short");
    if frame.is_empty() {
        return Err(short());
    }
    match frame.get_u8() {
        0 => Ok(None),
        1 if frame.len() >= 24 => {
            let (term, leader, index) = (frame.get_u64_le(), NodeId(frame.get_u64_le()), frame.get_u64_le());
            Ok(Some(LogIdRecord { term, leader, index }.into()))
        }
        _ => Err(short()),
    }
}

/// Stands for an age that is not known, in an append.
const AGE_UNKNOWN: u32 = u32::MAX;

/// What an append has before its entries at most.
const APPEND_HEAD_BYTES_MAX: usize = 2 + 4 + 17 + 2 * 25 + 4;

/// Appends an append request to a frame: group, age of the leader's quorum, vote, previous and committed ids, entries.
/// By hand: the hot path.
pub(crate) fn put_append(request: &AppendEntriesRequest<Group>, age: Option<Duration>, frame: &mut Vec<u8>) {
    // At once: a frame of many entries would be copied again and again while it grows.
    let entries: usize = request.entries.iter().map(entry_bytes).sum();
    frame.reserve(APPEND_HEAD_BYTES_MAX + entries);
    frame.put_u16_le(GROUP);
    let age = age.map(|age| u32::try_from(age.as_millis()).unwrap_or(AGE_UNKNOWN));
    frame.put_u32_le(age.unwrap_or(AGE_UNKNOWN));
    let vote = VoteRecord::from(&request.vote);
    frame.put_u64_le(vote.term);
    frame.put_u64_le(vote.leader.0);
    frame.put_u8(u8::from(vote.committed));
    put_log_id(request.prev_log_id, frame);
    put_log_id(request.leader_commit, frame);
    frame.put_u32_le(u32::try_from(request.entries.len()).expect("an append holds a few thousand entries"));
    for entry in &request.entries {
        put_entry(entry, frame);
    }
}

/// Takes the append request that fills a frame, and the age of the leader's quorum. The entries share its memory.
pub(crate) fn take_append(mut frame: Bytes) -> io::Result<(AppendEntriesRequest<Group>, Option<Duration>)> {
    take_group(&mut frame)?;
    if frame.len() < 21 {
        return Err(garbled("an append is cut short"));
    }
    let age = Some(frame.get_u32_le()).filter(|age| *age != AGE_UNKNOWN);
    let age = age.map(|age| Duration::from_millis(age.into()));
    let (term, leader) = (frame.get_u64_le(), NodeId(frame.get_u64_le()));
    let vote: Vote = VoteRecord { term, leader, committed: frame.get_u8() == 1 }.into();
    let prev_log_id = take_log_id(&mut frame)?;
    let leader_commit = take_log_id(&mut frame)?;
    if frame.len() < 4 {
        return Err(garbled("an append is cut short"));
    }
    let count = frame.get_u32_le() as usize;
    // A count that lies must not allocate: each entry takes some bytes of the frame.
    let mut entries = Vec::with_capacity(count.min(frame.len() / ENTRY_HEAD_BYTES + 1));
    for _ in 0..count {
        entries.push(take_entry(&mut frame)?);
    }
    Ok((AppendEntriesRequest { vote, prev_log_id, entries, leader_commit }, age))
}

impl From<AppendEntriesResponse<Group>> for AppendAnswer {
    fn from(response: AppendEntriesResponse<Group>) -> Self {
        match response {
            AppendEntriesResponse::Success => AppendAnswer::Success,
            AppendEntriesResponse::PartialSuccess(matched) => {
                AppendAnswer::PartialSuccess(matched.map(LogIdRecord::from))
            }
            AppendEntriesResponse::Conflict => AppendAnswer::Conflict,
            AppendEntriesResponse::HigherVote(vote) => AppendAnswer::HigherVote((&vote).into()),
        }
    }
}

impl From<AppendAnswer> for AppendEntriesResponse<Group> {
    fn from(answer: AppendAnswer) -> Self {
        match answer {
            AppendAnswer::Success => AppendEntriesResponse::Success,
            AppendAnswer::PartialSuccess(matched) => {
                AppendEntriesResponse::PartialSuccess(matched.map(LogId::from))
            }
            AppendAnswer::Conflict => AppendEntriesResponse::Conflict,
            AppendAnswer::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.into()),
        }
    }
}

impl From<StreamAppendResult<Group>> for StreamAnswer {
    fn from(result: StreamAppendResult<Group>) -> Self {
        match result {
            Ok(matched) => StreamAnswer::Matched(matched.map(LogIdRecord::from)),
            Err(StreamAppendError::Conflict(at)) => StreamAnswer::Conflict(at.into()),
            Err(StreamAppendError::HigherVote(vote)) => StreamAnswer::HigherVote((&vote).into()),
        }
    }
}

impl From<StreamAnswer> for StreamAppendResult<Group> {
    fn from(answer: StreamAnswer) -> Self {
        match answer {
            StreamAnswer::Matched(matched) => Ok(matched.map(LogId::from)),
            StreamAnswer::Conflict(at) => Err(StreamAppendError::Conflict(at.into())),
            StreamAnswer::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote.into())),
        }
    }
}

/// A vote request as it is sent.
pub(crate) fn vote_ask(request: &VoteRequest<Group>, pre: bool) -> Ask {
    let vote = (&request.vote).into();
    let last = request.last_log_id.map(LogIdRecord::from);
    let transfer = request.leadership_transfer;
    if pre { Ask::PreVote { vote, last, transfer } } else { Ask::Vote { vote, last, transfer } }
}

/// A vote request as openraft wants it.
pub(crate) fn vote_request(
    vote: VoteRecord,
    last: Option<LogIdRecord>,
    transfer: bool,
) -> VoteRequest<Group> {
    let mut request = VoteRequest::new(vote.into(), last.map(LogId::from));
    request.leadership_transfer = transfer;
    request
}

impl From<VoteResponse<Group>> for Answer {
    fn from(response: VoteResponse<Group>) -> Self {
        Answer::Vote {
            vote: (&response.vote).into(),
            granted: response.vote_granted,
            last: response.last_log_id.map(LogIdRecord::from),
        }
    }
}
