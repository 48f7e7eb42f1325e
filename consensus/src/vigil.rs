//! Looks whether the state still takes writes: its engine makes durable what was written on its own account, and tells
//! a failure to the next one who writes only. In a mesh that is quiet, that may be long after.

use crate::replica::Replica;
use std::time::Duration;
use tokio::time::sleep;

/// How often it looks. A look is a write of nothing: some microseconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks until the task is ended. What it meets is told by the storage's fence.
pub(crate) async fn keep(replica: Replica) {
    loop {
        sleep(LOOK_EVERY).await;
        let state = replica.state();
        if let Err(error) = replica.blocking(move || state.probe()).await {
            tracing::debug!(%error, "the state takes no writes");
        }
    }
}
