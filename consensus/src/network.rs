//! The group's side of the mesh that asks: openraft's network over lanes.

use crate::{
    contact::QuorumAge,
    entry::{LogIdRecord, MembershipRecord, VoteRecord},
    findings::Findings,
    log::Tail,
    message::{Answer, Ask, SnapshotAnswer, SnapshotOffer, StreamAnswer, put, put_append, take, vote_ask},
    raft::{Group, LogId, Snapshot, Vote},
    replica::Replica,
    snapshot::SnapshotHandle,
    snapshot_chunks::SnapshotChunks,
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream, stream::BoxStream};
use micro_mesh::{FrameReceiver, Lane, Mesh, frame_into};
use micro_sdk::wire::NodeId;
use openraft::{
    BasicNode, OptionalSend, RaftNetworkFactory, RaftNetworkV2,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{Backoff, RPCOption},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
    },
};
use std::{
    fmt::Display,
    future::Future,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

/// How long the receiver of a snapshot may take to install it. Links hundreds of megabytes into place in well under
/// this.
const INSTALL_DEADLINE: Duration = Duration::from_secs(60);

/// The pause before replication to a follower that could not be reached is tried again; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// The longest such pause: a follower that is back gets entries this soon.
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// Makes the connections of the group.
pub(crate) struct Network {
    pub mesh: Mesh,
    pub replica: Replica,
    pub tail: watch::Receiver<Tail>,
    pub findings: Findings,
    pub quorum_age: QuorumAge,
}

/// The way to one other member.
pub(crate) struct Peer {
    mesh: Mesh,
    replica: Replica,
    tail: watch::Receiver<Tail>,
    findings: Findings,
    quorum_age: QuorumAge,
    to: NodeId,
}

impl RaftNetworkFactory<Group> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeId, node: &BasicNode) -> Peer {
        // The membership is the address book of those who never met by gossip: after a restart of all.
        if self.mesh.address(target).is_none()
            && let Ok(address) = node.addr.parse()
        {
            self.mesh.learn(target, address);
        }
        Peer {
            mesh: self.mesh.clone(),
            replica: self.replica.clone(),
            tail: self.tail.clone(),
            findings: self.findings.clone(),
            quorum_age: self.quorum_age.clone(),
            to: target,
        }
    }
}

fn unreachable(error: impl Display) -> Unreachable<Group> {
    Unreachable::new(&io::Error::other(error.to_string()))
}

fn lost(error: impl Display) -> RPCError<Group> {
    RPCError::Unreachable(unreachable(error))
}

fn broken(error: impl Display) -> StreamingError<Group> {
    StreamingError::Unreachable(unreachable(error))
}

/// Ends a task when its owner goes.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peer {
    /// Sends frames on a lane of its own and waits for the answer, no longer than openraft does.
    async fn ask(&self, frames: Vec<u8>, option: &RPCOption) -> Result<Answer, RPCError<Group>> {
        let ttl = option.soft_ttl();
        let exchange = async {
            let (mut sender, mut receiver) = self.mesh.open(self.to, Lane::Vote, ttl).await.map_err(lost)?;
            sender.send_all(frames.into()).await.map_err(lost)?;
            sender.finish();
            let frame = receiver.next().await.map_err(lost)?.ok_or_else(|| lost("no answer came"))?;
            match take::<Answer>(frame).map_err(lost)? {
                Answer::Stopped(why) => Err(lost(why)),
                answer => Ok(answer),
            }
        };
        timeout(ttl, exchange).await.map_err(lost)?
    }

    async fn ask_one(&self, ask: &Ask, option: &RPCOption) -> Result<Answer, RPCError<Group>> {
        let mut frames = Vec::new();
        frame_into(&mut frames, |frame| put(ask, frame));
        self.ask(frames, option).await
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<Group>,
        pre: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        match self.ask_one(&vote_ask(&request, pre), &option).await? {
            Answer::Vote { vote, granted, last } => {
                Ok(VoteResponse::new(Vote::from(vote), last.map(LogId::from), granted))
            }
            other => Err(lost(format!("a vote was answered by {other:?}"))),
        }
    }

    /// Sends the files of a snapshot and waits until they are installed.
    async fn send_snapshot(&self, vote: Vote, snapshot: Snapshot) -> Result<Vote, StreamingError<Group>> {
        // Made long: the lane lives for the whole transfer, and each step has a deadline of its own.
        let step = Duration::from_secs(10);
        let (mut sender, mut receiver) =
            self.mesh.open(self.to, Lane::Snapshot, step).await.map_err(broken)?;
        let manifest = snapshot.snapshot.manifest;
        let mut chunks = SnapshotChunks::open(&self.replica, &manifest).await.map_err(broken)?;
        let membership = &snapshot.meta.last_membership;
        let offer = SnapshotOffer {
            vote: VoteRecord::from(&vote),
            last: snapshot.meta.last_log_id.map(LogIdRecord::from),
            membership_at: membership.log_id().map(LogIdRecord::from),
            membership: MembershipRecord::from(membership.membership()),
            manifest: (&manifest).into(),
        };
        let mut frame = Vec::new();
        put(&offer, &mut frame);
        timeout(step, sender.send(&frame)).await.map_err(broken)?.map_err(broken)?;
        while let Some(chunk) = self.next_chunk(&mut chunks).await? {
            timeout(step, sender.send(&chunk)).await.map_err(broken)?.map_err(broken)?;
        }
        sender.finish();
        let answer = timeout(INSTALL_DEADLINE, receiver.next()).await.map_err(broken)?.map_err(broken)?;
        let answer = answer.ok_or_else(|| broken("the snapshot was not acknowledged"))?;
        match take::<SnapshotAnswer>(answer).map_err(broken)? {
            SnapshotAnswer::Done(vote) => Ok(vote.into()),
            SnapshotAnswer::Refused(why) => Err(broken(why)),
            SnapshotAnswer::Damaged(why) => {
                tracing::error!(to = %self.to, why, "a snapshot of this node's state was refused as damaged");
                // Should the state be damaged that it was made of, its fence is shut by this, and the node ends.
                let _turn = self.replica.snapshot_turn().await;
                self.replica.make_whole_snapshot().await.map_err(broken)?;
                Err(broken(why))
            }
        }
    }

    async fn next_chunk(&self, chunks: &mut SnapshotChunks) -> Result<Option<Bytes>, StreamingError<Group>> {
        let next = chunks.next().await;
        next.map_err(|error| {
            if let Some(file) = chunks.damaged_file() {
                self.findings.snapshot_damaged(file.to_owned());
            }
            broken(error)
        })
    }
}

impl RaftNetworkV2<Group> for Peer {
    type SnapshotData = SnapshotHandle;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Group>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Group>, RPCError<Group>> {
        let mut frames = Vec::new();
        frame_into(&mut frames, |frame| put(&Ask::Append, frame));
        frame_into(&mut frames, |frame| put_append(&request, self.quorum_age.get(), frame));
        match self.ask(frames, &option).await? {
            Answer::Append(answer) => Ok(answer.into()),
            other => Err(lost(format!("an append was answered by {other:?}"))),
        }
    }

    /// One lane for as long as this node leads: requests go down it without waiting for answers.
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<BoxStream<'s, Result<StreamAppendResult<Group>, RPCError<Group>>>, RPCError<Group>>,
    >
    where
        S: Stream<Item = AppendEntriesRequest<Group>> + OptionalSend + Unpin + 'static,
    {
        async move {
            let opened = self.mesh.open(self.to, Lane::Append, option.soft_ttl()).await;
            let (mut sender, receiver) = opened.map_err(lost)?;
            let (mut tail, quorum_age) = (self.tail.clone(), self.quorum_age.clone());
            // The entry that the follower has acknowledged before, if the first request points at one: it carries
            // nothing then and is no search for the point where the logs part.
            let acknowledged = Arc::new(OnceLock::new());
            let first = acknowledged.clone();
            let pump = Task(tokio::spawn(async move {
                while let Some(request) = input.next().await {
                    let _ = first.set(request.prev_log_id.filter(|_| request.entries.is_empty()));
                    let sent =
                        request.prev_log_id.map_or(0, |prev| prev.index + 1) + request.entries.len() as u64;
                    let mut frames = Vec::new();
                    frame_into(&mut frames, |frame| put_append(&request, quorum_age.get(), frame));
                    if sender.send_all(frames.into()).await.is_err() {
                        return;
                    }
                    // Entries go out at once. A commit alone waits a moment: when the next entries take it along, a
                    // write of a lone client costs each follower one message instead of two. Reads do not wait for
                    // it, since the round that makes them linearizable carries what is committed.
                    let _ = tail.wait_for(|tail| tail.end > sent || tail.rested >= sent).await;
                    if sender.is_superseded() {
                        // The link ends soon: openraft opens another lane for what comes next.
                        break;
                    }
                }
                sender.finish();
            }));
            let answers = stream::unfold(Some((receiver, pump)), |lane| async move {
                let (mut receiver, pump) = lane?;
                match next_answer(&mut receiver).await {
                    Ok(Some(answer)) => Some((Ok(answer), Some((receiver, pump)))),
                    // The other side ended the lane in order: openraft opens another when it needs one.
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            });
            let (findings, to, mut at_first) = (self.findings.clone(), self.to, true);
            let seen = answers.map_ok(move |answer: StreamAnswer| {
                let conflict = at_first && matches!(answer, StreamAnswer::Conflict(_));
                if let (true, Some(Some(had))) = (conflict, acknowledged.get()) {
                    findings.log_reverted(to, had.index);
                }
                at_first = false;
                answer.into()
            });
            Ok(seen.boxed())
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Group>,
        option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        self.ask_vote(request, false, option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Group>,
        option: RPCOption,
    ) -> Result<VoteResponse<Group>, RPCError<Group>> {
        self.ask_vote(request, true, option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Group>, StreamingError<Group>> {
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote, snapshot) => sent.map(SnapshotResponse::new),
        }
    }

    /// The first pause is short: mostly a link was replaced by another, and until the next request this follower gets
    /// nothing. A node that is down is dialled by the mesh at a pace of its own.
    fn backoff(&self) -> Option<Backoff> {
        let pauses = std::iter::successors(Some(BACKOFF_MIN), |pause| Some((*pause * 2).min(BACKOFF_MAX)));
        Some(Backoff::new(pauses))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Group>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Group>, RPCError<Group>> {
        let ask = Ask::TransferLeader {
            from: request.from_leader().into(),
            to: *request.to_node_id(),
            last: request.last_log_id().copied().map(LogIdRecord::from),
        };
        match self.ask_one(&ask, &option).await? {
            Answer::TransferLeader { accepted: true } => Ok(Ok(())),
            Answer::TransferLeader { accepted: false } => Err(lost("the transfer was refused")),
            other => Err(lost(format!("a transfer was answered by {other:?}"))),
        }
    }
}

async fn next_answer(receiver: &mut FrameReceiver) -> Result<Option<StreamAnswer>, RPCError<Group>> {
    match receiver.next().await.map_err(lost)? {
        Some(frame) => take(frame).map(Some).map_err(lost),
        None => Ok(None),
    }
}
