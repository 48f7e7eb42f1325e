//! When a snapshot is due beside what Raft asks for, which counts entries only: an entry has some bytes or some
//! mebibytes, and an old snapshot keeps from the disk what the state has given back since.

use crate::{
    config::ConsensusConfig,
    log::{Log, next_index},
    raft::{LogId, Raft},
    read_only::ReadOnly,
};
use openraft::async_runtime::WatchReceiver;
use std::{io, time::Duration};
use tokio::time::{Instant, sleep};

/// How often it looks. A look is a binary search; a busy node writes some tens of mebibytes in between.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How old a snapshot may be that is behind the state: it keeps what the state has given back since from the disk. On a
/// quiet mesh a new one costs the flush of what little was written.
const AGE_MAX: Duration = Duration::from_secs(600);
/// The same while the disk has too little room.
const AGE_MAX_SHORT_OF_ROOM: Duration = Duration::from_secs(60);

/// Has snapshots made, and the log purged behind them, before either takes too much of the disk.
pub(crate) struct Compactor {
    raft: Raft,
    log: Log,
    read_only: ReadOnly,
    snapshot_bytes: u64,
    kept_bytes: u64,
    /// The last snapshot, and when it was first seen.
    latest: (Option<LogId>, Instant),
}

impl Compactor {
    pub fn new(raft: Raft, log: Log, read_only: ReadOnly, config: &ConsensusConfig) -> Self {
        let ConsensusConfig { snapshot_bytes, log_kept_bytes, .. } = *config;
        let latest = (None, Instant::now());
        Compactor { raft, log, read_only, snapshot_bytes, kept_bytes: log_kept_bytes, latest }
    }

    /// Looks until the task is ended, or Raft.
    pub async fn run(mut self) {
        loop {
            sleep(LOOK_EVERY).await;
            match self.look().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "how long the log is could not be seen"),
            }
        }
    }

    /// Asks Raft for what is due. A snapshot that is being made already is not begun again, and nothing is purged that
    /// is not in one, or that is on its way to a follower. Whether Raft goes on.
    async fn look(&mut self) -> io::Result<bool> {
        let (snapshot, applied) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.snapshot, metrics.last_applied)
        };
        if self.latest.0 != snapshot {
            self.latest = (snapshot, Instant::now());
        }
        let age_max = if self.read_only.get() { AGE_MAX_SHORT_OF_ROOM } else { AGE_MAX };
        let old = self.latest.1.elapsed() > age_max;
        let mut asked = Ok(());
        if applied > snapshot && (old || self.log.tail(self.snapshot_bytes)? > next_index(snapshot)) {
            // Should it come to nothing, the next try is not at once.
            self.latest.1 = Instant::now();
            asked = self.raft.trigger().snapshot().await;
        }
        let given_up = self.log.tail(self.kept_bytes)?.min(next_index(snapshot));
        if asked.is_ok() && given_up > next_index(self.log.purged()) {
            asked = self.raft.trigger().purge_log(given_up - 1).await;
        }
        Ok(asked.is_ok())
    }
}
