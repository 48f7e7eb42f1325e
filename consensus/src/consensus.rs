//! The group as the rest of the node uses it.

use crate::{
    Backup, ConsensusConfig, ConsensusError, LogPosition, Machine, Observation, ProposeError, ReadError,
    Replication,
    backup::Origin,
    compactor::Compactor,
    contact::{Contact, QuorumAge},
    errand::Errands,
    findings::Findings,
    intake::{Ground, Intake},
    lanes::Lanes,
    log::Log,
    membership::ChangeTurn,
    network::Network,
    office::Office,
    origins::Origins,
    pace::Pacer,
    raft::{LogId, Raft},
    read_only::ReadOnly,
    replica::Replica,
    timekeeper::Timekeeper,
    vigil,
};
use bytes::Bytes;
use futures::{TryFutureExt, future::BoxFuture};
use micro_mesh::{FrameReceiver, FrameSender, Lane, Mesh};
use micro_sdk::wire::{LogIndex, NodeId, Seams};
use micro_storage::Storage;
use openraft::{BasicNode, async_runtime::WatchReceiver, storage::RaftSnapshotBuilder};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval, timeout},
};

/// How often it is looked whether Raft still lives.
const LIFE_LOOK: Duration = Duration::from_secs(2);

/// This node's part in the group. Clones share everything; a [fork](Self::fork) takes proposals and reads in on a
/// thread of its own.
#[derive(Clone)]
pub struct Consensus {
    pub(crate) inner: Arc<Inner>,
    intake: Arc<Intake>,
}

pub(crate) struct Inner {
    node: NodeId,
    pub ground: Ground,
    /// The turn to change the membership.
    pub changing: ChangeTurn,
    lanes: Lanes,
    findings: Findings,
    quorum_age: QuorumAge,
    closing: AtomicBool,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Consensus {
    /// Opens this node's log and state and takes part in the group that they belong to. A node with an empty log
    /// waits until it is [initialized](Self::initialize) or a leader takes it in.
    ///
    /// # Errors
    /// [`ConsensusError::Storage`] if the log or the state can't be read.
    pub async fn open(
        config: ConsensusConfig,
        mesh: Mesh,
        storage: Storage,
        machine: Arc<dyn Machine>,
        seams: Seams,
    ) -> Result<Self, ConsensusError> {
        let node = mesh.node();
        let broken = |error: std::io::Error| ConsensusError::Storage(error.to_string());
        let errands = Errands::default();
        let log = Log::open(node, storage.log.clone(), errands.clone()).map_err(broken)?;
        let replica = Replica::open(node, storage, machine, seams.clone()).map_err(broken)?;
        if log.last() < replica.applied() {
            // Others made a quorum for entries that this node applied before its own copy of them was on disk, and a
            // power cut took the copy. The log goes on behind what is applied; what it lacks has to be in a snapshot,
            // or this node could never bring another up to date.
            tracing::info!("the log lost entries that are applied: a snapshot takes their place");
            replica.clone().build_snapshot().await.map_err(broken)?;
        }
        let (findings, contact, quorum_age) = (Findings::default(), Contact::default(), QuorumAge::default());
        let (timekeeper, read_only) = (Timekeeper::new(seams.clock.clone()), ReadOnly::default());
        let network = Network {
            mesh: mesh.clone(),
            replica: replica.clone(),
            tail: log.watch_tail(),
            findings: findings.clone(),
            quorum_age: quorum_age.clone(),
        };
        let resting = tokio::spawn(log.clone().rest());
        let config_there = Arc::new(config.to_openraft());
        let raft = Raft::new(node, config_there, network, log.clone(), replica.clone())
            .await
            .map_err(|fatal| ConsensusError::Storage(fatal.to_string()))?;
        replica.note_raft_is_up();
        quorum_age.follow(&raft);
        let compacting = tokio::spawn(Compactor::new(raft.clone(), log, read_only.clone(), &config).run());
        let (pace, pacing) = Pacer::start(raft.clone(), mesh.clone(), seams, config.clone());
        let (office, following) = Office::follow(raft.clone(), pace.clone());
        let origins = Origins::default();
        let lanes = Lanes {
            raft: raft.clone(),
            replica: replica.clone(),
            office: office.clone(),
            contact: contact.clone(),
            timekeeper: timekeeper.clone(),
            read_only: read_only.clone(),
            origins: origins.clone(),
            pace: pace.clone(),
        };
        let ground = Ground {
            raft,
            replica: replica.clone(),
            mesh,
            office,
            proposals_waiting_max: config.proposals_waiting_max,
            planted_bug: config.planted_bug,
            timekeeper,
            read_only,
            errands,
            origins,
            pace,
        };
        let intake = Arc::new(Intake::start(ground.clone()));
        let (changing, closing) = (ChangeTurn::default(), AtomicBool::new(false));
        let watching = tokio::spawn(vigil::keep(replica));
        let tasks = Mutex::new(vec![following, pacing, resting, watching, compacting]);
        let consensus = Consensus {
            inner: Arc::new(Inner { node, ground, changing, lanes, findings, quorum_age, closing, tasks }),
            intake,
        };
        consensus.elect_sole_voter().await?;
        Ok(consensus)
    }

    /// The same for callers on another thread: called on that thread's runtime, which then drains what they ask in
    /// batches. Its tasks end with its last clone.
    #[must_use]
    pub fn fork(&self) -> Self {
        let intake = Arc::new(Intake::start(self.inner.ground.clone()));
        Consensus { inner: self.inner.clone(), intake }
    }

    /// A sole voter has nobody to wait for: it stands for election at once.
    async fn elect_sole_voter(&self) -> Result<(), ConsensusError> {
        // Asked of Raft itself: just after a start the metrics don't show the membership yet.
        let sole = BTreeSet::from([self.inner.node]);
        let is_sole = self.inner.ground.raft.with_raft_state(move |state| {
            *state.membership_state.effective().membership().get_joint_config() == [sole]
        });
        if is_sole.await.map_err(|fatal| ConsensusError::Stopped(fatal.to_string()))? {
            let elected = self.inner.ground.raft.trigger().elect(false).await;
            elected.map_err(|fatal| ConsensusError::Stopped(fatal.to_string()))?;
        }
        Ok(())
    }

    /// Begins a new group with this node as its only member. For the first start of a new mesh only.
    ///
    /// # Errors
    /// [`ConsensusError::Membership`] if there is a group already.
    pub async fn initialize(&self, address: SocketAddr) -> Result<(), ConsensusError> {
        let members = BTreeMap::from([(self.inner.node, BasicNode::new(address))]);
        let begun = self.inner.ground.raft.initialize(members).await;
        begun.map_err(|error| ConsensusError::Membership(error.to_string()))?;
        self.elect_sole_voter().await
    }

    /// Whether this node's log holds a group already.
    ///
    /// # Errors
    /// [`ConsensusError::Stopped`].
    pub async fn is_initialized(&self) -> Result<bool, ConsensusError> {
        self.inner
            .ground
            .raft
            .is_initialized()
            .await
            .map_err(|fatal| ConsensusError::Stopped(fatal.to_string()))
    }

    /// Proposes a command to the leader, wherever it is, and returns its index and the machine's reply.
    ///
    /// # Errors
    /// See [`ProposeError`]: each says whether anything was done.
    pub fn propose(
        &self,
        command: Bytes,
        deadline: Instant,
    ) -> impl Future<Output = Result<(LogIndex, Bytes), ProposeError>> + use<> {
        let proposed = self.intake.proposer.propose(command, deadline);
        proposed.map_ok(|(index, reply)| (LogIndex(index), reply))
    }

    /// Returns once this node's state shows every write acknowledged anywhere before the call.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn barrier(&self, deadline: Instant) -> Result<(), ReadError> {
        self.intake.reader.barrier(deadline).await
    }

    /// Returns once `index` is applied here, or false when `deadline` passes first.
    pub async fn applied(&self, index: LogIndex, deadline: Instant) -> bool {
        let mut applied = self.inner.ground.replica.watch_applied();
        let reached = applied.wait_for(|applied| *applied > index.0);
        matches!(tokio::time::timeout_at(deadline, reached).await, Ok(Ok(_)))
    }

    /// The last entry that this node's state shows, 0 for none.
    pub fn applied_index(&self) -> LogIndex {
        LogIndex(self.inner.ground.replica.applied_end().saturating_sub(1))
    }

    /// How long ago this node's state is known to have shown everything that was acknowledged anywhere; none if that
    /// can't be said. Costs a look at memory.
    pub fn age(&self) -> Option<Duration> {
        let applied_end = self.inner.ground.replica.applied_end();
        self.inner.quorum_age.get().or_else(|| self.inner.lanes.contact.age(applied_end))
    }

    /// The group's time as this node would stamp a command that it takes in, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        self.inner.ground.timekeeper.time_ms(self.inner.ground.replica.time_ms())
    }

    /// How many proposals this node has taken in as the leader since it has started, by the node that they came to
    /// first.
    pub fn origins(&self) -> BTreeMap<NodeId, u64> {
        self.inner.ground.origins.totals()
    }

    /// Tells who leads, whenever that changes.
    pub fn watch_leader(&self) -> watch::Receiver<Option<NodeId>> {
        self.inner.ground.office.leader()
    }

    /// Hands leadership to the furthest of the voters that `may` have it, if this node leads, and waits until it leads,
    /// at most `patience`. Returns whether this node is rid of it, or nobody else could have it.
    pub async fn hand_over(&self, may: impl Fn(NodeId) -> bool, patience: Duration) -> bool {
        let seen = self.observe();
        if !seen.leading || seen.voters == BTreeSet::from([self.inner.node]) {
            return true;
        }
        let others = seen.replication.iter().filter(|other| {
            other.node != self.inner.node && seen.voters.contains(&other.node) && other.matched.is_some()
        });
        let others = others.filter(|other| may(other.node));
        let Some(next) = others.max_by_key(|other| other.matched) else { return false };
        tracing::info!(to = %next.node, "handing leadership over");
        if self.inner.ground.raft.trigger().transfer_leader(next.node).await.is_err() {
            return false;
        }
        let mut leader = self.inner.ground.office.leader();
        let other_leads = leader.wait_for(|leader| leader.is_some_and(|leader| leader != self.inner.node));
        matches!(timeout(patience, other_leads).await, Ok(Ok(_)))
    }

    /// Makes a snapshot now, without waiting for it.
    ///
    /// # Errors
    /// [`ConsensusError::Stopped`].
    pub async fn snapshot(&self) -> Result<(), ConsensusError> {
        let triggered = self.inner.ground.raft.trigger().snapshot().await;
        triggered.map_err(|fatal| ConsensusError::Stopped(fatal.to_string()))
    }

    /// Takes a backup of this node's replica as it is, which whoever takes it knows again by `node`, its name, and
    /// `version`, its build. If `blobs` are to be in it, whoever takes it puts them behind it.
    ///
    /// # Errors
    /// [`ConsensusError::Storage`] if the state can't be copied.
    pub async fn backup(&self, node: String, version: String, blobs: bool) -> Result<Backup, ConsensusError> {
        let Ground { replica, mesh, .. } = &self.inner.ground;
        let origin = Origin { cluster: mesh.cluster(), node, version, time_ms: self.time_ms(), blobs };
        let taken = Backup::take(replica.clone(), origin).await;
        taken.map_err(|error| ConsensusError::Storage(error.to_string()))
    }

    /// Takes no entries from now on, or takes them again: see [`ProposeError::ReadOnly`]. Reads go on.
    pub fn set_read_only(&self, read_only: bool) {
        self.inner.ground.read_only.set(read_only);
    }

    /// Whether it takes no entries just now.
    pub fn is_read_only(&self) -> bool {
        self.inner.ground.read_only.get()
    }

    /// Serves a lane that another node, `from`, has opened.
    pub fn lane(
        &self,
        from: NodeId,
        lane: Lane,
        sender: FrameSender,
        receiver: FrameReceiver,
    ) -> BoxFuture<'static, ()> {
        let consensus = self.clone();
        Box::pin(async move { consensus.inner.lanes.serve(from, lane, sender, receiver).await })
    }

    /// What this node knows of the group.
    pub fn observe(&self) -> Observation {
        let quorum_lost = self.inner.ground.office.quorum_lost();
        let metrics = self.inner.ground.raft.metrics();
        let metrics = metrics.borrow_watched();
        let position = |id: Option<LogId>| {
            id.map(|id| LogPosition { term: id.committed_leader_id().term, index: id.index })
        };
        let membership = metrics.membership_config.membership();
        let replication = metrics.replication.iter().flatten();
        Observation {
            node: self.inner.node,
            term: metrics.current_term,
            vote: (metrics.vote.leader_id.node_id, metrics.vote.committed),
            leader: metrics.current_leader,
            leading: metrics.state == openraft::ServerState::Leader,
            quorum_lost,
            last_log: metrics.last_log_index,
            committed: position(metrics.local_committed),
            applied: position(metrics.last_applied),
            snapshot: position(metrics.snapshot),
            purged: position(metrics.purged),
            voters: membership.voter_ids().collect(),
            learners: membership.learner_ids().collect(),
            addresses: membership.nodes().map(|(id, node)| (*id, node.addr.clone())).collect(),
            changing: membership.get_joint_config().len() > 1,
            replication: replication
                .map(|(node, matched)| Replication { node: *node, matched: matched.map(|id| id.index) })
                .collect(),
            pace: *self.inner.ground.pace.borrow(),
            findings: self.inner.findings.list(),
            stopped: metrics.running_state.as_ref().err().map(ToString::to_string),
        }
    }

    /// Waits until Raft has stopped here by itself, and says why: the storage failed, or Raft has panicked. Never
    /// returns after [`close`](Self::close).
    pub async fn failed(&self) -> String {
        let raft = &self.inner.ground.raft;
        let mut metrics = raft.server_metrics();
        // Raft's own task says nothing when it panics, so it is asked now and then too.
        let mut look = interval(LIFE_LOOK);
        loop {
            let ended = tokio::select! {
                biased;
                changed = metrics.changed() => changed.is_err().then(|| "its task has ended".to_owned()),
                _ = look.tick() => raft.with_raft_state(|_| ()).await.err().map(|fatal| fatal.to_string()),
            };
            match ended {
                Some(_) if self.inner.closing.load(Ordering::Relaxed) => std::future::pending().await,
                Some(why) => {
                    let metrics = raft.metrics();
                    let metrics = metrics.borrow_watched();
                    return metrics.running_state.as_ref().err().map_or(why, ToString::to_string);
                }
                None => {}
            }
        }
    }

    /// Stops taking part. What was acknowledged is on disk already.
    pub async fn close(&self) {
        self.inner.closing.store(true, Ordering::Relaxed);
        if let Err(error) = self.inner.ground.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop in order");
        }
        let tasks =
            std::mem::take(&mut *self.inner.tasks.lock().expect("no code panics while it holds the tasks"));
        for task in tasks {
            task.abort();
        }
        self.intake.close();
    }
}
