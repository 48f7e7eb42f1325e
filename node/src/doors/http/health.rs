//! `/health` and `/ready`: whether the process answers, and whether the node should be sent work.

use super::{Door, call::answered, problem::Refusal};
use crate::node::not_ready;
use axum::response::Response;
use bytes::Bytes;

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
        return Err(not_ready("the node is shutting down").into());
    }
    door.local.readiness().await?;
    Ok(answered(Bytes::from_static(b"{\"status\":\"ready\"}")))
}
