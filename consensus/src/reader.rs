//! The barrier before a linearizable read: ReadIndex (Ongaro's thesis, 6.4), coalesced. All reads that wait share one
//! round, and one round is in flight at a time, so that under load thousands of reads cost one exchange with a quorum.

use crate::{
    Pace, PlantedBug, ReadError,
    intake::Ground,
    message::{ReadAnswer, put, take},
    raft::Raft,
    read_only::ReadOnly,
    replica::Replica,
};
use micro_mesh::{FrameReceiver, FrameSender, Lane, Mesh};
use micro_sdk::wire::NodeId;
use openraft::raft::ReadPolicy;
use std::time::Duration;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout, timeout_at},
};

/// Reads that may wait for the next round. Each is a word of memory; beyond it the node is overloaded.
const WAITING_MAX: usize = 65_536;
/// How long one round may take at least before it is tried again, perhaps with another leader.
const ROUND_TTL: Duration = Duration::from_millis(1000);
/// How many round trips it may take: one to the leader, one from there to a quorum, which may have to wait for that of
/// a heartbeat, and one to spare.
const ROUND_TRIPS: u32 = 4;
/// How often a round lets other work go first at most, so that a flood of reads can't put it off for ever.
const YIELDS_MAX: usize = 16;
/// How long a read waits for a replica that takes nothing in: what it has taken in before may still be applied.
const FULL_PATIENCE: Duration = Duration::from_millis(500);
/// The pause after a round that failed.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

struct Waiting {
    deadline: Instant,
    done: oneshot::Sender<u64>,
}

/// Gives read barriers.
pub(crate) struct Reader {
    replica: Replica,
    read_only: ReadOnly,
    planted_bug: Option<PlantedBug>,
    queue: mpsc::Sender<Waiting>,
}

impl Reader {
    /// Starts the task that runs the rounds.
    pub fn start(ground: Ground) -> (Self, JoinHandle<()>) {
        let Ground { raft, replica, read_only, mesh, office, pace, planted_bug, .. } = ground;
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let rounds = Rounds { raft, mesh, leader: office.leader(), pace, lane: None, round: 0 };
        (Reader { replica, read_only, planted_bug, queue }, tokio::spawn(rounds.run(waiting)))
    }

    /// Returns once this node's state shows every write that was acknowledged anywhere before the call.
    pub async fn barrier(&self, deadline: Instant) -> Result<(), ReadError> {
        if self.planted_bug == Some(PlantedBug::ReadWithoutQuorum) {
            return Ok(());
        }
        let (done, index) = oneshot::channel();
        self.queue.try_send(Waiting { deadline, done }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ReadError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => ReadError::Stopped("it is shutting down".to_owned()),
        })?;
        let next = timeout_at(deadline, index).await.map_err(|_| ReadError::NoQuorum)?;
        let next = next.map_err(|_| ReadError::NoQuorum)?;
        match self.replica.applied_end() >= next {
            true => Ok(()),
            false => self.catch_up(next, deadline).await,
        }
    }

    /// Waits until this replica shows what comes before `next`.
    async fn catch_up(&self, next: u64, deadline: Instant) -> Result<(), ReadError> {
        let mut applied = self.replica.watch_applied();
        let full = self.read_only.get();
        let until = if full { deadline.min(Instant::now() + FULL_PATIENCE) } else { deadline };
        let reached = timeout_at(until, applied.wait_for(|applied| *applied >= next)).await;
        match reached.map(|reached| reached.map(drop)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(ReadError::Stopped("it is shutting down".to_owned())),
            Err(_) => {
                let entries = next.saturating_sub(self.replica.applied_end());
                Err(ReadError::Behind { entries, full: self.read_only.get() })
            }
        }
    }
}

/// How long one round may take at this pace.
fn round_ttl(pace: &watch::Receiver<Pace>) -> Duration {
    ROUND_TTL.max(pace.borrow().round_trip * ROUND_TRIPS)
}

/// One past the index that a read must see, proved with a quorum by this node as leader.
pub(crate) async fn index_here(raft: &Raft, pace: &watch::Receiver<Pace>) -> Result<u64, ReadError> {
    let round = timeout(round_ttl(pace), raft.get_read_log_id(ReadPolicy::ReadIndex));
    match round.await {
        Ok(Ok((read_log_id, _applied))) => Ok(read_log_id.index() + 1),
        Ok(Err(_)) | Err(_) => Err(ReadError::NoQuorum),
    }
}

struct Rounds {
    raft: Raft,
    mesh: Mesh,
    leader: watch::Receiver<Option<NodeId>>,
    pace: watch::Receiver<Pace>,
    lane: Option<(NodeId, FrameSender, FrameReceiver)>,
    round: u64,
}

impl Rounds {
    async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() && queue.recv_many(&mut waiting, WAITING_MAX).await == 0 {
                return;
            }
            // A round serves only those who came before it began: as long as callers that are ready add to them, they
            // go first. A lone read waits for one yield.
            for _ in 0..YIELDS_MAX {
                let before = waiting.len();
                tokio::task::yield_now().await;
                while let Ok(more) = queue.try_recv() {
                    waiting.push(more);
                }
                if waiting.len() == before {
                    break;
                }
            }
            match self.index().await {
                Some(next) => {
                    for reader in waiting.drain(..) {
                        let _ = reader.done.send(next);
                    }
                }
                None => {
                    self.lane = None;
                    sleep(RETRY_PAUSE).await;
                    let now = Instant::now();
                    waiting.retain(|reader| now < reader.deadline && !reader.done.is_closed());
                }
            }
        }
    }

    async fn index(&mut self) -> Option<u64> {
        let leader = (*self.leader.borrow_and_update())?;
        if leader == self.mesh.node() {
            self.lane = None;
            return index_here(&self.raft, &self.pace).await.ok();
        }
        let (mut others, ttl) = (self.leader.clone(), round_ttl(&self.pace));
        tokio::select! {
            biased;
            // Another leader was found meanwhile: ask that one instead of waiting for one that may be dead.
            _ = others.wait_for(|other| other.is_some_and(|other| other != leader)) => None,
            answered = timeout(ttl, self.ask(leader)) => answered.ok()?,
        }
    }

    async fn ask(&mut self, leader: NodeId) -> Option<u64> {
        if self.lane.as_ref().is_none_or(|lane| lane.0 != leader || lane.1.is_superseded()) {
            let (sender, receiver) = self.mesh.open(leader, Lane::Read, ROUND_TTL).await.ok()?;
            self.lane = Some((leader, sender, receiver));
        }
        let (_, sender, receiver) = self.lane.as_mut()?;
        self.round += 1;
        let mut frame = Vec::new();
        put(&self.round, &mut frame);
        sender.send(&frame).await.ok()?;
        let answer = take::<ReadAnswer>(receiver.next().await.ok()??).ok()?;
        if answer.round == self.round { answer.index } else { None }
    }
}
