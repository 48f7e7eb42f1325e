//! Bounds the log by bytes. Raft counts entries only, and an entry has some bytes or some mebibytes.

use crate::{
    config::ConsensusConfig,
    log::{Log, next_index},
    raft::Raft,
};
use openraft::async_runtime::WatchReceiver;
use std::{io, time::Duration};
use tokio::time::sleep;

/// How often it looks. A look is a binary search; a busy node writes some tens of mebibytes in between.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Has snapshots made, and the log purged behind them, before the log takes too much of the disk.
pub(crate) struct Compactor {
    raft: Raft,
    log: Log,
    snapshot_bytes: u64,
    kept_bytes: u64,
}

impl Compactor {
    pub fn new(raft: Raft, log: Log, config: &ConsensusConfig) -> Self {
        let ConsensusConfig { snapshot_bytes, log_kept_bytes, .. } = *config;
        Compactor { raft, log, snapshot_bytes, kept_bytes: log_kept_bytes }
    }

    /// Looks until the task is ended, or Raft.
    pub async fn run(self) {
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
    async fn look(&self) -> io::Result<bool> {
        let (snapshot, applied) = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.snapshot, metrics.last_applied)
        };
        let mut asked = Ok(());
        if self.log.tail(self.snapshot_bytes)? > next_index(snapshot) && applied > snapshot {
            asked = self.raft.trigger().snapshot().await;
        }
        let given_up = self.log.tail(self.kept_bytes)?.min(next_index(snapshot));
        if asked.is_ok() && given_up > next_index(self.log.purged()) {
            asked = self.raft.trigger().purge_log(given_up - 1).await;
        }
        Ok(asked.is_ok())
    }
}
