//! Whether the node should be sent work.

use super::{Context, Local};
use micro_actors::store::{ReadRequest, TablePath};
use micro_sdk::wire::{Caller, Code, Fault};
use std::time::Duration;

/// How long the node may take to show that it can read: a leader that is alive answers in a round trip, and whoever
/// asks (a load balancer, an orchestrator) waits a second or two.
const READY_PATIENCE: Duration = Duration::from_secs(1);

impl Local {
    /// Makes sure that the node takes calls, and that a read shows all that was acknowledged.
    ///
    /// # Errors
    /// [`Code::Unavailable`] with what is in the way.
    pub async fn readiness(&self) -> Result<(), Fault> {
        if self.is_drained() {
            return Err(not_ready("the node is drained"));
        }
        // On its own account: nothing of what it reads is told.
        let own = Context::of(Caller::Node(self.node())).within(READY_PATIENCE);
        let read =
            ReadRequest { table: TablePath::default(), key: "ready".to_owned(), at: None, stale: false };
        self.read(&own, read).await.map(drop).map_err(|fault| not_ready(&fault.message))
    }
}

/// That the node should be sent no work, and why.
pub fn not_ready(why: &str) -> Fault {
    Fault::new(Code::Unavailable, format!("not ready: {why}")).help("see `micro-node status`")
}
