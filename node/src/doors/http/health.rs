//! `/health` and `/ready`: whether the process answers, and whether the node should be sent work.

use super::{Door, call::answered, problem::Refusal};
use axum::response::Response;
use bytes::Bytes;
use micro_actors::store::{ReadRequest, TablePath};
use micro_sdk::wire::{Caller, Code, Fault};
use std::time::Duration;

use crate::node::Context;

/// How long the node may take to show that it can read: a leader that is alive answers in a round trip, and whoever
/// asks (a load balancer, an orchestrator) waits a second or two.
const READY_PATIENCE: Duration = Duration::from_secs(1);

/// The process takes requests.
pub(super) fn health() -> Response {
    answered(Bytes::from_static(b"{\"status\":\"ok\"}"))
}

/// The node takes calls, and a read shows all that was acknowledged.
///
/// # Errors
/// 503 with what is in the way.
pub(super) async fn ready(door: &Door) -> Result<Response, Refusal> {
    if *door.draining.borrow() {
        return Err(not_ready("the node is shutting down"));
    }
    if door.local.is_drained() {
        return Err(not_ready("the node is drained"));
    }
    // On its own account: nothing of what it reads is told.
    let own = Context::of(Caller::Node(door.local.node())).within(READY_PATIENCE);
    let read = ReadRequest { table: TablePath::default(), key: "ready".to_owned(), at: None, stale: false };
    match door.local.read(&own, read).await {
        Ok(_) => Ok(answered(Bytes::from_static(b"{\"status\":\"ready\"}"))),
        Err(fault) => Err(not_ready(&fault.message)),
    }
}

fn not_ready(why: &str) -> Refusal {
    Fault::new(Code::Unavailable, format!("not ready: {why}")).help("see `micro-node status`").into()
}
