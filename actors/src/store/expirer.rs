//! Ends what is due while this node leads: proposes it soon after, and nothing while nothing is due.
//!
//! Whether something is due is for the entry to decide, by its own time: to propose once too often does no harm.

use crate::store::{StoreService, view::first_due};
use micro_sdk::wire::NodeId;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

/// How long what is due next is not looked up again after it was, however often it changes: half of what may pass until
/// something that is due ends.
const LOOK_PAUSE: Duration = Duration::from_millis(40);
/// The longest sleep while something is to end some day: the time of day may be set forward meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// How long one proposal may take.
const PROPOSE_DEADLINE: Duration = Duration::from_secs(5);
/// The pause after one that was not taken.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Ends what is due.
pub struct Expirer {
    store: Arc<StoreService>,
    node: NodeId,
    leader: watch::Receiver<Option<NodeId>>,
    expiries: watch::Receiver<u64>,
}

impl Expirer {
    /// An expirer for the records of `store`, that works while `node`, which is this one, leads.
    pub fn new(store: Arc<StoreService>, node: NodeId) -> Self {
        let (leader, expiries) = (store.consensus.watch_leader(), store.watchers.watch_expiries());
        Expirer { store, node, leader, expiries }
    }

    /// Ends what is due until the task is ended, or consensus ends.
    pub async fn run(mut self) {
        loop {
            if *self.leader.borrow_and_update() != Some(self.node) {
                if self.leader.changed().await.is_err() {
                    return;
                }
                continue;
            }
            self.expiries.borrow_and_update();
            let looked = self.store.replica.look(first_due);
            let due_ms = match looked {
                Ok(looked) => looked,
                Err(fault) => {
                    tracing::warn!(%fault, "what is due next can't be read");
                    sleep(RETRY_PAUSE).await;
                    continue;
                }
            };
            if self.wait(due_ms).await {
                self.expire().await;
            }
        }
    }

    /// Waits until something is due, or may be due at another time than was thought. Tells whether it is due.
    async fn wait(&mut self, due_ms: Option<u64>) -> bool {
        loop {
            let now_ms = self.store.consensus.time_ms();
            if due_ms.is_some_and(|due_ms| due_ms <= now_ms) {
                return true;
            }
            let left = due_ms.map(|due_ms| Duration::from_millis(due_ms - now_ms).min(SLEEP_MAX));
            tokio::select! {
                biased;
                _ = self.leader.changed() => break,
                _ = self.expiries.changed() => break,
                () = sleep(left.unwrap_or_default()), if left.is_some() => {}
            }
        }
        sleep(LOOK_PAUSE).await;
        false
    }

    async fn expire(&self) {
        let deadline = Instant::now() + PROPOSE_DEADLINE;
        match self.store.expire(deadline).await {
            Ok(true) => {}
            Ok(false) => sleep(LOOK_PAUSE).await,
            Err(fault) => {
                tracing::debug!(%fault, "what is due could not be ended yet");
                sleep(RETRY_PAUSE).await;
            }
        }
    }
}
