//! Proposals on their way to the leader: one queue, drained as a batch, to this node's Raft or down one lane to the
//! leader's.

use crate::{
    ProposeError,
    errand::{Errand, Errands},
    intake::Ground,
    lanes::proposal_answer,
    message::{GROUP, ProposalAnswer, take_proposal_answer},
    office::Office,
    origins::Origins,
    raft::{Command, Raft},
    read_only::ReadOnly,
    replica::Replica,
    timekeeper::Timekeeper,
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::ready};
use micro_mesh::{FrameReceiver, FrameSender, Lane, Mesh, frame_into};
use micro_sdk::wire::{NodeId, limits::PROPOSAL_BYTES_MAX};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, error::Elapsed, sleep, timeout_at},
};

/// How many proposals go to another node in one batch at most.
const BATCH_MAX: usize = 4096;
/// How many go to this node's own Raft at once: as many as one connection of a busy caller has in flight. The first of
/// 512 are on their way to disks and followers then while the others are still taken in, which gave a sixth more than
/// all at once. Half as many gave less: each batch costs a message and a turn of the log.
const BATCH_HERE_MAX: usize = 64;
/// How often a batch lets other work go first at most. As long as callers that are ready add to it, it waits: one
/// batch, one sync and one message carry more. A lone proposal waits for one yield.
const YIELDS_MAX: usize = 8;
/// The pause before a proposal that found no leader is tried again: an election takes a second or two.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// How long opening the lane to the leader may take before the leader is looked up again.
const OPEN_TTL: Duration = Duration::from_secs(1);

type Outcome = Result<(u64, Bytes), ProposeError>;

struct Proposal {
    command: Bytes,
    deadline: Instant,
    done: oneshot::Sender<Outcome>,
    /// While it is with the leader.
    errand: Option<Errand>,
}

/// Takes proposals in.
#[derive(Clone)]
pub(crate) struct Proposer {
    queue: mpsc::Sender<Proposal>,
}

impl Proposer {
    /// Starts the task that drains the queue.
    pub fn start(ground: Ground) -> (Self, JoinHandle<()>) {
        let Ground { raft, replica, mesh, office, timekeeper, read_only, errands, origins, .. } = ground;
        let (queue, proposals) = mpsc::channel(ground.proposals_waiting_max);
        let (leader, queue_again) = (office.leader(), queue.downgrade());
        let route = Route {
            raft,
            replica,
            timekeeper,
            read_only,
            errands,
            origins,
            mesh,
            leader,
            office,
            lane: None,
            queue: queue_again,
        };
        (Proposer { queue }, tokio::spawn(route.run(proposals)))
    }

    /// Proposes a command, now, and waits until it is applied here or at the leader, or `deadline` passes.
    pub fn propose(&self, command: Bytes, deadline: Instant) -> impl Future<Output = Outcome> + use<> {
        // No async block: one that waits for what it was given has room for it twice, and so has each around it.
        match self.send(command, deadline) {
            Ok(waiting) => timeout_at(deadline, waiting).map(outcome_of).left_future(),
            Err(error) => ready(Err(error)).right_future(),
        }
    }

    fn send(&self, command: Bytes, deadline: Instant) -> Result<oneshot::Receiver<Outcome>, ProposeError> {
        if command.len() > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLarge { bytes: command.len(), limit: PROPOSAL_BYTES_MAX });
        }
        let (done, waiting) = oneshot::channel();
        let proposal = Proposal { command, deadline, done, errand: None };
        self.queue.try_send(proposal).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProposeError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ProposeError::Stopped("it is shutting down".to_owned()),
        })?;
        Ok(waiting)
    }
}

/// What came of waiting for a proposal.
fn outcome_of(waited: Result<Result<Outcome, oneshot::error::RecvError>, Elapsed>) -> Outcome {
    match waited {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(ProposeError::Unknown("the node is shutting down".to_owned())),
        Err(_) => Err(ProposeError::Unknown("the deadline passed".to_owned())),
    }
}

/// The lane to the leader, with the proposals that wait for its answers, oldest first.
struct LeaderLane {
    leader: NodeId,
    sender: FrameSender,
    waiting: Arc<Mutex<VecDeque<Proposal>>>,
    answers: Option<JoinHandle<()>>,
}

impl LeaderLane {
    /// Whether it can be used for what is proposed now.
    fn leads_to(&self, leader: NodeId) -> bool {
        let answering = self.answers.as_ref().is_some_and(|answers| !answers.is_finished());
        self.leader == leader && answering && !self.sender.is_superseded()
    }

    /// Parts with it since `leader` can't be reached by it. If only another link takes the place of its own, it ends in
    /// order: what was proposed on it is answered still.
    fn part(mut self, leader: NodeId) {
        if self.leader == leader && self.sender.is_superseded() {
            self.sender.finish();
            self.answers = None;
            self.waiting = Arc::default();
        }
    }
}

impl Drop for LeaderLane {
    fn drop(&mut self) {
        if let Some(answers) = &self.answers {
            answers.abort();
        }
        fail_all(&self.waiting, "the link to the leader broke");
    }
}

fn fail_all(waiting: &Mutex<VecDeque<Proposal>>, why: &str) {
    let waiting = std::mem::take(&mut *waiting.lock().expect("no code panics while it holds the queue"));
    for proposal in waiting {
        let _ = proposal.done.send(Err(ProposeError::Unknown(why.to_owned())));
    }
}

/// Where batches go.
struct Route {
    raft: Raft,
    replica: Replica,
    timekeeper: Timekeeper,
    read_only: ReadOnly,
    errands: Errands,
    origins: Origins,
    mesh: Mesh,
    office: Office,
    leader: watch::Receiver<Option<NodeId>>,
    lane: Option<LeaderLane>,
    /// The own queue, for proposals that have to be tried again; weak, so that the queue closes with its last handle.
    queue: mpsc::WeakSender<Proposal>,
}

impl Route {
    async fn run(mut self, mut proposals: mpsc::Receiver<Proposal>) {
        let mut batch = Vec::with_capacity(BATCH_HERE_MAX);
        loop {
            let leads = *self.leader.borrow() == Some(self.mesh.node());
            let most = if leads { BATCH_HERE_MAX } else { BATCH_MAX };
            tokio::select! {
                biased;
                changed = self.leader.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.drop_lane_of_former_leader();
                    continue;
                }
                received = proposals.recv_many(&mut batch, most) => {
                    if received == 0 {
                        return;
                    }
                }
            }
            for _ in 0..YIELDS_MAX {
                let before = batch.len();
                tokio::task::yield_now().await;
                while batch.len() < most
                    && let Ok(proposal) = proposals.try_recv()
                {
                    batch.push(proposal);
                }
                if batch.len() == before {
                    break;
                }
            }
            let now = Instant::now();
            batch.retain(|proposal| now < proposal.deadline && !proposal.done.is_closed());
            let leader = *self.leader.borrow();
            // With room for the next at once, which would grow step by step.
            let batch = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_HERE_MAX));
            match leader {
                Some(leader) if leader == self.mesh.node() => self.propose_here(batch).await,
                Some(leader) => self.forward(leader, batch).await,
                None => self.retry(batch),
            }
        }
    }

    /// A leader that lost its office answers late or, if it died, never. Those who wait for it are told at once that
    /// the outcome is not known, rather than when the link times out.
    fn drop_lane_of_former_leader(&mut self) {
        let leader = *self.leader.borrow_and_update();
        if leader.is_some() && self.lane.as_ref().is_some_and(|lane| Some(lane.leader) != leader) {
            self.lane = None;
        }
    }

    /// Tries proposals again in a moment, of which nothing was done.
    fn retry(&self, batch: Vec<Proposal>) {
        retry_later(self.queue.clone(), batch);
    }

    async fn propose_here(&mut self, batch: Vec<Proposal>) {
        self.lane = None;
        if self.office.quorum_lost() {
            return self.retry(batch);
        }
        if self.read_only.get() {
            return batch
                .into_iter()
                .for_each(|proposal| drop(proposal.done.send(Err(ProposeError::ReadOnly))));
        }
        self.origins.count(self.mesh.node(), batch.len());
        let time_ms = self.timekeeper.time_ms(self.replica.time_ms());
        let commands: Vec<_> =
            batch.iter().map(|proposal| Command::stamped(time_ms, &proposal.command)).collect();
        let mut answers = match self.raft.client_write_many(commands).await {
            // Fused: if consensus stops, the answers end before the batch does.
            Ok(answers) => answers.fuse(),
            Err(fatal) => {
                for proposal in batch {
                    let _ = proposal.done.send(Err(ProposeError::Stopped(fatal.to_string())));
                }
                return;
            }
        };
        let queue = self.queue.clone();
        tokio::spawn(async move {
            for proposal in batch {
                let answer = match answers.next().await {
                    Some(outcome) => proposal_answer(outcome),
                    None => ProposalAnswer::Unknown("consensus has stopped".to_owned()),
                };
                settle(proposal, answer, &queue);
            }
        });
    }

    async fn forward(&mut self, leader: NodeId, mut batch: Vec<Proposal>) {
        if self.lane.as_ref().is_none_or(|lane| !lane.leads_to(leader)) {
            if let Some(lane) = self.lane.take() {
                lane.part(leader);
            }
            match self.mesh.open(leader, Lane::Forward, OPEN_TTL).await {
                Ok((sender, receiver)) => self.lane = Some(self.lane_to(leader, sender, receiver)),
                Err(fault) => {
                    tracing::debug!(%leader, %fault, "the leader can't be reached");
                    return self.retry(batch);
                }
            }
        }
        let Some(lane) = &mut self.lane else { return self.retry(batch) };
        let mut frames = Vec::with_capacity(batch.iter().map(|proposal| proposal.command.len() + 6).sum());
        for proposal in &mut batch {
            proposal.errand = Some(self.errands.begin());
            frame_into(&mut frames, |frame| {
                frame.extend_from_slice(&GROUP.to_le_bytes());
                frame.extend_from_slice(&proposal.command);
            });
        }
        lane.waiting.lock().expect("no code panics while it holds the queue").extend(batch);
        if lane.sender.send_all(frames.into()).await.is_err() {
            self.lane = None;
        }
    }

    fn lane_to(&self, leader: NodeId, sender: FrameSender, receiver: FrameReceiver) -> LeaderLane {
        let waiting = Arc::new(Mutex::new(VecDeque::new()));
        let answers = tokio::spawn(take_answers(receiver, waiting.clone(), self.queue.clone()));
        LeaderLane { leader, sender, waiting, answers: Some(answers) }
    }
}

async fn take_answers(
    mut receiver: FrameReceiver,
    waiting: Arc<Mutex<VecDeque<Proposal>>>,
    queue: mpsc::WeakSender<Proposal>,
) {
    while let Ok(Some(frame)) = receiver.next().await {
        let Ok(answer) = take_proposal_answer(frame) else { break };
        let next = waiting.lock().expect("no code panics while it holds the queue").pop_front();
        match next {
            Some(proposal) => settle(proposal, answer, &queue),
            None => break,
        }
    }
    fail_all(&waiting, "the link to the leader broke");
}

fn settle(mut proposal: Proposal, answer: ProposalAnswer, queue: &mpsc::WeakSender<Proposal>) {
    proposal.errand = None;
    let outcome = match answer {
        ProposalAnswer::Applied(index, reply) => Ok((index, reply.into())),
        ProposalAnswer::Unknown(why) => Err(ProposeError::Unknown(why)),
        ProposalAnswer::ReadOnly => Err(ProposeError::ReadOnly),
        // It was refused before it was taken in, so that another try can't do it twice.
        ProposalAnswer::NotLeader(_) => return retry_later(queue.clone(), vec![proposal]),
    };
    let _ = proposal.done.send(outcome);
}

fn retry_later(queue: mpsc::WeakSender<Proposal>, batch: Vec<Proposal>) {
    if batch.is_empty() {
        return;
    }
    tokio::spawn(async move {
        sleep(RETRY_PAUSE).await;
        let now = Instant::now();
        for proposal in batch {
            // The time left is the budget of retries.
            let refusal = if now + RETRY_PAUSE >= proposal.deadline {
                Some((proposal, ProposeError::NoLeader))
            } else {
                let Some(queue) = queue.upgrade() else { return };
                queue.try_send(proposal).err().map(|error| (error.into_inner(), ProposeError::Overloaded))
            };
            if let Some((proposal, error)) = refusal {
                let _ = proposal.done.send(Err(error));
            }
        }
    });
}
