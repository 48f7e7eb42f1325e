//! This node's copy of the state: applies committed entries through the [`Machine`], one batch at a time.

use crate::{
    Machine, Transaction,
    entry::{AppliedRecord, decode},
    raft::{Group, LogId, Reply, Snapshot, SnapshotMeta, StoredMembership},
    snapshot::{SnapshotHandle, snapshot},
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use micro_sdk::wire::{Codec, LogIndex, NodeId, Seams};
use micro_storage::{Family, SnapshotStore, StateStore, Storage, StorageError};
use openraft::{
    EntryPayload, OptionalSend,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::sync::{MutexGuard as TurnGuard, oneshot, watch};

/// The key in the family `Raft` that says how far the state has been applied.
pub(crate) const APPLIED_KEY: &[u8] = b"applied";
/// The changes that go into one batch: a batch is held in memory twice, by us and by the engine.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The replica of this node. Clones share everything.
#[derive(Clone)]
pub(crate) struct Replica(Arc<Inner>);

struct Inner {
    node: NodeId,
    storage: Storage,
    machine: Arc<dyn Machine>,
    seams: Seams,
    position: Mutex<Position>,
    /// One past the last index applied and visible.
    applied: watch::Sender<u64>,
    /// Held by whoever makes, receives or installs a snapshot: the store does one at a time.
    snapshot_turn: tokio::sync::Mutex<()>,
    /// Whether Raft is up, so that it can wait for a snapshot.
    raft_is_up: AtomicBool,
    /// How many snapshots were begun since the start.
    snapshots_begun: AtomicU64,
    /// Whether a flush is under way because something was trimmed.
    giving_back: AtomicBool,
}

impl Replica {
    /// Opens the replica in `storage`.
    ///
    /// # Errors
    /// If the state can't be read.
    pub fn open(node: NodeId, storage: Storage, machine: Arc<dyn Machine>, seams: Seams) -> io::Result<Self> {
        let position = Position::read(&*storage.state)?;
        let next = position.last.map_or(0, |last| last.index + 1);
        Ok(Replica(Arc::new(Inner {
            node,
            storage,
            machine,
            seams,
            position: Mutex::new(position),
            applied: watch::channel(next).0,
            snapshot_turn: tokio::sync::Mutex::default(),
            raft_is_up: AtomicBool::new(false),
            snapshots_begun: AtomicU64::new(0),
            giving_back: AtomicBool::new(false),
        })))
    }

    pub fn node(&self) -> NodeId {
        self.0.node
    }

    pub fn state(&self) -> Arc<dyn StateStore> {
        self.0.storage.state.clone()
    }

    pub fn snapshots(&self) -> Arc<dyn SnapshotStore> {
        self.0.storage.snapshots.clone()
    }

    pub fn seams(&self) -> &Seams {
        &self.0.seams
    }

    /// Whether `node` is in the group, as far as is applied here.
    pub fn has_member(&self, node: NodeId) -> bool {
        self.position().membership.membership().get_node(&node).is_some()
    }

    pub async fn snapshot_turn(&self) -> TurnGuard<'_, ()> {
        self.0.snapshot_turn.lock().await
    }

    /// The turn, unless somebody has it.
    pub fn try_snapshot_turn(&self) -> Option<TurnGuard<'_, ()>> {
        self.0.snapshot_turn.try_lock().ok()
    }

    /// Raft has started on this replica.
    pub fn note_raft_is_up(&self) {
        self.0.raft_is_up.store(true, Ordering::Relaxed);
    }

    /// Whether Raft has started on this replica.
    pub fn raft_is_up(&self) -> bool {
        self.0.raft_is_up.load(Ordering::Relaxed)
    }

    /// An id for a snapshot, which none has that is being read: of one state there may be several.
    pub fn next_snapshot_id(&self) -> String {
        let next = self.applied().map_or(0, |at| at.index + 1);
        let begun = self.0.snapshots_begun.fetch_add(1, Ordering::Relaxed);
        format!("{}-{next}-{begun}", self.node())
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        self.0.position.lock().expect("no code panics while it holds the position")
    }

    /// The last entry applied.
    pub fn applied(&self) -> Option<LogId> {
        self.position().last
    }

    /// The time of the last command applied, in milliseconds since 1970.
    pub fn time_ms(&self) -> u64 {
        self.position().time_ms
    }

    /// One past the last entry applied and visible.
    pub fn applied_end(&self) -> u64 {
        *self.0.applied.borrow()
    }

    /// Tells when `index` has been applied: the value is one past the last.
    pub fn watch_applied(&self) -> watch::Receiver<u64> {
        self.0.applied.subscribe()
    }

    /// Runs blocking work off the runtime's thread.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
    ) -> io::Result<T> {
        blocking(&self.0.seams, work).await
    }

    /// Writes a batch with the position it leads to, then tells proposers and readers.
    fn commit(&self, mut round: Round<'_>) -> io::Result<()> {
        let Some(last) = round.last else { return Ok(()) };
        self.0.machine.batched(&mut round.changes);
        let record = AppliedRecord::new(Some(last), &round.membership, round.time_ms);
        let mut batch = round.changes.finish()?;
        batch.put(Family::Raft, APPLIED_KEY, Codec::encode(&record));
        let trimmed = !batch.trims.is_empty();
        self.0.storage.state.write(batch)?;
        if trimmed {
            self.give_back();
        }
        *self.position() =
            Position { last: Some(last), membership: round.membership, time_ms: round.time_ms };
        self.0.machine.applied(LogIndex(last.index));
        self.0.applied.send_replace(last.index + 1);
        for (responder, reply) in round.replies {
            responder.send(reply);
        }
        Ok(())
    }

    /// Has the space of what was trimmed given back, unless that is under way: then the next trim takes it along.
    fn give_back(&self) {
        if self.0.giving_back.swap(true, Ordering::AcqRel) {
            return;
        }
        let replica = self.clone();
        self.0.seams.blocking.run(Box::new(move || {
            if let Err(error) = replica.0.storage.state.flush() {
                tracing::warn!(%error, "the space of what was given up can't be used again yet");
            }
            replica.0.giving_back.store(false, Ordering::Release);
        }));
    }

    fn begin(&self) -> Round<'_> {
        let position = self.position();
        Round {
            last: None,
            membership: position.membership.clone(),
            time_ms: position.time_ms,
            changes: Transaction::new(&*self.0.storage.state),
            replies: Vec::new(),
        }
    }
}

/// Runs blocking work off the runtime's thread.
pub(crate) async fn blocking<T: Send + 'static>(
    seams: &Seams,
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> io::Result<T> {
    let (done, waiting) = oneshot::channel();
    seams.blocking.run(Box::new(move || drop(done.send(work()))));
    let result = waiting.await.map_err(|_| io::Error::other("blocking work was dropped"))?;
    Ok(result?)
}

/// How far the state is.
struct Position {
    /// The last entry applied.
    last: Option<LogId>,
    membership: StoredMembership,
    /// The time of the last command. Never goes back, whatever the clocks of leaders do.
    time_ms: u64,
}

impl Position {
    fn read(state: &dyn StateStore) -> io::Result<Self> {
        let Some(bytes) = state.get(Family::Raft, APPLIED_KEY)? else {
            return Ok(Position { last: None, membership: StoredMembership::default(), time_ms: 0 });
        };
        let record = decode::<AppliedRecord>(&bytes)?;
        let (last, membership) = record.restore()?;
        Ok(Position { last, membership, time_ms: record.time_ms })
    }
}

/// The entries of one batch.
struct Round<'a> {
    last: Option<LogId>,
    membership: StoredMembership,
    time_ms: u64,
    changes: Transaction<'a>,
    replies: Vec<(ApplyResponder<Group>, Reply)>,
}

impl RaftStateMachine<Group> for Replica {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let position = self.position();
        Ok((position.last, position.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> Result<(), io::Error>
    where
        S: Stream<Item = Result<EntryResponder<Group>, io::Error>> + Unpin + OptionalSend,
    {
        let mut round = self.begin();
        while let Some((entry, responder)) = entries.try_next().await? {
            let expected = round.last.or(self.applied()).map_or(0, |last| last.index + 1);
            assert_eq!(entry.log_id.index, expected, "entries are applied without a gap");
            let reply = match entry.payload {
                EntryPayload::Blank => Bytes::new(),
                EntryPayload::Normal(command) => {
                    let index = LogIndex(entry.log_id.index);
                    // A new leader has not applied all that its predecessor took in, so that it may be behind a little.
                    round.time_ms = round.time_ms.max(command.time_ms());
                    self.0.machine.apply(&mut round.changes, index, round.time_ms, &command.proposed())
                }
                EntryPayload::Membership(membership) => {
                    round.membership = StoredMembership::new(Some(entry.log_id), membership);
                    Bytes::new()
                }
            };
            round.last = Some(entry.log_id);
            round.replies.extend(responder.map(|responder| (responder, Reply(reply))));
            if round.changes.bytes() > BATCH_BYTES_MAX {
                self.commit(round)?;
                round = self.begin();
            }
        }
        self.commit(round)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, data: SnapshotHandle) -> Result<(), io::Error> {
        let snapshots = self.snapshots();
        let manifest = data.manifest;
        // Whoever received it holds the snapshot turn until this returns.
        self.blocking(move || snapshots.install(&manifest)).await?;
        let time_ms = Position::read(&*self.0.storage.state)?.time_ms;
        let (last, membership) = (meta.last_log_id, meta.last_membership.clone());
        *self.position() = Position { last, membership, time_ms };
        let next = meta.last_log_id.map_or(0, |last| last.index + 1);
        tracing::info!(next, "snapshot installed");
        self.0.machine.restored(LogIndex(next.saturating_sub(1)));
        self.0.applied.send_replace(next);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, io::Error> {
        let snapshots = self.snapshots();
        let manifest = self.blocking(move || snapshots.current()).await?;
        manifest.map(snapshot).transpose()
    }
}
