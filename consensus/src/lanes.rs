//! The group's side of the mesh that answers: what other members send down the lanes.

use crate::{
    Pace,
    contact::Contact,
    entry::{LogIdRecord, VoteRecord, garbled},
    message::{
        Answer, Ask, ProposalAnswer, ReadAnswer, SnapshotAnswer, SnapshotOffer, StreamAnswer, put, take,
        take_append, vote_request,
    },
    office::Office,
    origins::Origins,
    raft::{Command, Group, LogId, Raft, Snapshot, SnapshotMeta, StoredMembership, Vote},
    read_only::ReadOnly,
    reader::index_here,
    replica::{Replica, blocking},
    snapshot::SnapshotHandle,
    timekeeper::Timekeeper,
};
use bytes::Bytes;
use futures::{
    Stream, StreamExt,
    future::{self, Either},
    pin_mut, poll, stream,
};
use micro_mesh::{FrameReceiver, FrameSender, Lane, frame_into};
use micro_sdk::wire::{NodeId, Seams};
use micro_storage::{Manifest, SnapshotStore, StorageError};
use openraft::{
    errors::ClientWriteError,
    raft::{AppendEntriesRequest, TransferLeaderRequest},
};
use std::{io, sync::Arc, task::Poll, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// How long the sender of a snapshot may pause: beyond it the transfer is given up and the turn is free again.
const SNAPSHOT_PAUSE_MAX: Duration = Duration::from_secs(10);
/// Batches of forwarded proposals whose answers wait to be sent. Each holds what came in one read, so a few are enough
/// to keep the leader busy.
const FORWARD_BATCHES_MAX: usize = 64;

/// Answers the lanes of one node.
pub(crate) struct Lanes {
    pub raft: Raft,
    pub replica: Replica,
    pub office: Office,
    pub contact: Contact,
    pub timekeeper: Timekeeper,
    pub read_only: ReadOnly,
    pub origins: Origins,
    pub pace: watch::Receiver<Pace>,
}

impl Lanes {
    /// Serves one lane until its sender ends it.
    pub async fn serve(&self, from: NodeId, lane: Lane, sender: FrameSender, receiver: FrameReceiver) {
        let served = match lane {
            Lane::Append => self.append(sender, receiver).await,
            Lane::Vote => self.ask(sender, receiver).await,
            Lane::Forward => self.forward(from, sender, receiver).await,
            Lane::Read => self.read(sender, receiver).await,
            Lane::Snapshot => self.snapshot(sender, receiver).await,
            // Not the group's: whoever hands lanes on keeps it away.
            Lane::Blob => Ok(()),
            Lane::Fetch => self.give(from, sender, receiver).await,
        };
        if let Err(error) = served {
            tracing::debug!(?lane, %error, "lane ended");
        }
    }

    async fn append(&self, mut sender: FrameSender, receiver: FrameReceiver) -> io::Result<()> {
        let (contact, replica) = (self.contact.clone(), self.replica.clone());
        let read_only = self.read_only.clone();
        let requests = stream::unfold(receiver, move |mut receiver| {
            let (contact, replica, read_only) = (contact.clone(), replica.clone(), read_only.clone());
            async move {
                match receiver.next().await {
                    Ok(Some(frame)) => {
                        let (request, age) = take_append(frame).ok()?;
                        hear(&contact, &replica, &request, age);
                        // The end of the lane tells the leader to try again later.
                        takes(&read_only, &request).then_some((request, receiver))
                    }
                    _ => None,
                }
            }
        });
        // Fused, since it must not be polled again after its end.
        let answers = self.raft.stream_append(requests.boxed()).fuse();
        pin_mut!(answers);
        while let Some(frames) = ready_frames(&mut answers, |answer, frame| match answer {
            Ok(answer) => {
                put(&StreamAnswer::from(answer), frame);
                true
            }
            Err(_) => false,
        })
        .await
        {
            sender.send_all(frames).await.map_err(io::Error::other)?;
        }
        sender.finish();
        Ok(())
    }

    async fn ask(&self, mut sender: FrameSender, mut receiver: FrameReceiver) -> io::Result<()> {
        let frame = receiver.next().await.map_err(io::Error::other)?;
        let ask = take::<Ask>(frame.ok_or_else(|| garbled("nothing was asked"))?)?;
        let answer = match ask {
            Ask::Vote { vote, last, transfer } => {
                self.raft.vote(vote_request(vote, last, transfer)).await.map(Answer::from)
            }
            Ask::PreVote { vote, last, transfer } => {
                self.raft.pre_vote(vote_request(vote, last, transfer)).await.map(Answer::from)
            }
            Ask::TransferLeader { from, to, last } => {
                let request = TransferLeaderRequest::new(from.into(), to, last.map(LogId::from));
                let taken = self.raft.handle_transfer_leader(request).await;
                taken.map(|taken| Answer::TransferLeader { accepted: taken.is_ok() }).map_err(Into::into)
            }
            Ask::Append => {
                let frame = receiver.next().await.map_err(io::Error::other)?;
                let (request, age) = take_append(frame.ok_or_else(|| garbled("the append is missing"))?)?;
                hear(&self.contact, &self.replica, &request, age);
                if takes(&self.read_only, &request) {
                    self.raft.append_entries(request).await.map(|response| Answer::Append(response.into()))
                } else {
                    Ok(Answer::Stopped("its disk is nearly full".to_owned()))
                }
            }
        };
        let answer = answer.unwrap_or_else(|error| Answer::Stopped(error.to_string()));
        let mut frame = Vec::new();
        put(&answer, &mut frame);
        sender.send(&frame).await.map_err(io::Error::other)?;
        sender.finish();
        Ok(())
    }

    /// Takes proposals of another member, in order, and answers them in order.
    async fn forward(
        &self,
        from: NodeId,
        mut sender: FrameSender,
        mut receiver: FrameReceiver,
    ) -> io::Result<()> {
        let (batches, mut waiting) = mpsc::channel(FORWARD_BATCHES_MAX);
        let taking = async {
            while let Some(frame) = receiver.next().await.map_err(io::Error::other)? {
                let time_ms = self.timekeeper.time_ms(self.replica.time_ms());
                let mut commands = vec![command(time_ms, &frame)?];
                while let Some(frame) = receiver.ready() {
                    commands.push(command(time_ms, &frame)?);
                }
                // Refused before anything is taken in: without a quorum the other member may try again.
                let quorum_lost = self.office.quorum_lost();
                let answers = if quorum_lost || self.read_only.get() {
                    let refusal = move |_| match quorum_lost {
                        true => ProposalAnswer::NotLeader(None),
                        false => ProposalAnswer::ReadOnly,
                    };
                    Either::Left(stream::iter(commands.into_iter().map(refusal)))
                } else {
                    self.origins.count(from, commands.len());
                    let answers = self.raft.client_write_many(commands).await;
                    Either::Right(answers.map_err(io::Error::other)?.map(proposal_answer))
                };
                if batches.send(answers).await.is_err() {
                    break;
                }
            }
            drop(batches);
            Ok(())
        };
        let answering = async {
            while let Some(answers) = waiting.recv().await {
                let mut answers = answers.fuse();
                while let Some(frames) = ready_frames(&mut answers, |answer, frame| {
                    put(&answer, frame);
                    true
                })
                .await
                {
                    sender.send_all(frames).await.map_err(io::Error::other)?;
                }
            }
            sender.finish();
            Ok(())
        };
        future::try_join(taking, answering).await.map(|((), ())| ())
    }

    /// Answers read rounds of another member, each once this node has proved that it leads.
    async fn read(&self, mut sender: FrameSender, mut receiver: FrameReceiver) -> io::Result<()> {
        while let Some(frame) = receiver.next().await.map_err(io::Error::other)? {
            let round = take::<u64>(frame)?;
            let index = index_here(&self.raft, &self.pace).await.ok();
            let mut frame = Vec::new();
            put(&ReadAnswer { round, index }, &mut frame);
            sender.send(&frame).await.map_err(io::Error::other)?;
        }
        sender.finish();
        Ok(())
    }

    async fn snapshot(&self, mut sender: FrameSender, mut receiver: FrameReceiver) -> io::Result<()> {
        let answer = match self.receive_snapshot(&mut receiver).await {
            Ok(vote) => SnapshotAnswer::Done(VoteRecord::from(&vote)),
            Err(error) => {
                tracing::warn!(%error, "a snapshot was not taken in");
                match is_damage(&error) {
                    true => SnapshotAnswer::Damaged(error.to_string()),
                    false => SnapshotAnswer::Refused(error.to_string()),
                }
            }
        };
        let mut frame = Vec::new();
        put(&answer, &mut frame);
        sender.send(&frame).await.map_err(io::Error::other)?;
        sender.finish();
        Ok(())
    }

    async fn receive_snapshot(&self, receiver: &mut FrameReceiver) -> io::Result<Vote> {
        if self.read_only.get() {
            return Err(io::Error::other("the disk is nearly full"));
        }
        let first = next_frame(receiver).await?.ok_or_else(|| garbled("no snapshot was offered"))?;
        let offer = take::<SnapshotOffer>(first)?;
        let _turn = self
            .replica
            .try_snapshot_turn()
            .ok_or_else(|| io::Error::other("another snapshot is being made or taken in"))?;
        let manifest = Manifest::from(offer.manifest);
        tracing::info!(id = %manifest.id, "taking in a snapshot");
        let snapshots = self.replica.snapshots();
        let begun = manifest.clone();
        self.replica.blocking(move || snapshots.receive(&begun)).await?;
        let seams = self.replica.seams();
        take_files(receiver, &manifest, &self.replica.snapshots(), seams, |_| ()).await?;
        // Before Raft is told: a snapshot that is damaged where it comes from must not end this node.
        let (snapshots, whole) = (self.replica.snapshots(), manifest.clone());
        self.replica.blocking(move || snapshots.check(&whole)).await?;
        let membership = match offer.membership_at {
            Some(at) => StoredMembership::new(Some(at.into()), offer.membership.to_membership()?),
            None => StoredMembership::default(),
        };
        let last_log_id = offer.last.map(|last: LogIdRecord| LogId::from(last));
        let meta = SnapshotMeta { last_log_id, last_membership: membership };
        let snapshot = Snapshot { meta, snapshot: SnapshotHandle { manifest } };
        let done = self.raft.install_full_snapshot(offer.vote.into(), snapshot).await;
        done.map(|response| response.vote).map_err(io::Error::other)
    }
}

/// Takes the files of a snapshot in as they come, and tells `progress` how many bytes there are.
pub(crate) async fn take_files(
    receiver: &mut FrameReceiver,
    manifest: &Manifest,
    snapshots: &Arc<dyn SnapshotStore>,
    seams: &Seams,
    mut progress: impl FnMut(u64),
) -> io::Result<()> {
    let mut taken = 0;
    for file in &manifest.files {
        let mut left = file.bytes;
        while left > 0 {
            let short = || garbled(format!("{} is {left} bytes short", file.name));
            let chunk = next_frame(receiver).await?.ok_or_else(short)?;
            let bytes = chunk.len() as u64;
            left = left.checked_sub(bytes).ok_or_else(|| garbled("a chunk is too long"))?;
            let (snapshots, name) = (snapshots.clone(), file.name.clone());
            blocking(seams, move || snapshots.receive_chunk(&name, &chunk)).await?;
            taken += bytes;
            progress(taken);
        }
    }
    Ok(())
}

/// Whether the storage has found that something is not what was written.
fn is_damage(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<StorageError>());
    matches!(inner, Some(StorageError::Corrupt { .. }))
}

/// Takes note of what an append says of how current this replica is.
fn hear(contact: &Contact, replica: &Replica, request: &AppendEntriesRequest<Group>, age: Option<Duration>) {
    if let (Some(age), Some(committed)) = (age, request.leader_commit) {
        contact.heard(age, committed.index + 1, replica.applied_end());
    }
}

/// Whether an append may be taken in: one without entries always.
fn takes(read_only: &ReadOnly, request: &AppendEntriesRequest<Group>) -> bool {
    request.entries.is_empty() || !read_only.get()
}

fn command(time_ms: u64, frame: &[u8]) -> io::Result<Command> {
    // The group, then the command.
    let proposed = frame.get(2..).ok_or_else(|| garbled("a proposal is cut short"))?;
    Ok(Command::stamped(time_ms, proposed))
}

pub(crate) async fn next_frame(receiver: &mut FrameReceiver) -> io::Result<Option<Bytes>> {
    let next = timeout(SNAPSHOT_PAUSE_MAX, receiver.next()).await?;
    next.map_err(io::Error::other)
}

type WriteOutcome = Result<
    Result<openraft::raft::WriteResponse<crate::raft::Group>, ClientWriteError<crate::raft::Group>>,
    openraft::errors::Fatal<crate::raft::Group>,
>;

/// What a proposer is told of one write.
pub(crate) fn proposal_answer(outcome: WriteOutcome) -> ProposalAnswer {
    match outcome {
        Ok(Ok(response)) => ProposalAnswer::Applied(response.log_id.index, response.response.0.into()),
        Ok(Err(ClientWriteError::ForwardToLeader(to))) => ProposalAnswer::NotLeader(to.leader_id),
        Ok(Err(error)) => ProposalAnswer::Unknown(error.to_string()),
        Err(fatal) => ProposalAnswer::Unknown(fatal.to_string()),
    }
}

/// Waits for the next item and takes along all that are ready: many answers, one write. None at the end, or when
/// `encode` says to stop.
async fn ready_frames<S: Stream + Unpin>(
    items: &mut S,
    mut encode: impl FnMut(S::Item, &mut Vec<u8>) -> bool,
) -> Option<Bytes> {
    let mut frames = Vec::new();
    let mut next = Some(items.next().await?);
    while let Some(item) = next {
        let mut go_on = true;
        frame_into(&mut frames, |frame| go_on = encode(item, frame));
        if !go_on {
            return None;
        }
        next = match poll!(items.next()) {
            Poll::Ready(item) => item,
            Poll::Pending => None,
        };
    }
    Some(frames.into())
}
