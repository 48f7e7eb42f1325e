//! How much of the store's past is kept.

use super::super::{Node, node::Stake};
use crate::{proto, wire::Fault};

/// How much history there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The last revision that changed anything.
    pub revision: u64,
    /// History begins after this revision.
    pub compacted: u64,
    /// The bytes that it takes.
    pub bytes: u64,
    /// How many revisions are kept.
    pub revisions_max: u64,
    /// How many bytes of history are kept.
    pub bytes_max: u64,
}

/// How much history there is.
pub(super) async fn read(node: &Node) -> Result<History, Fault> {
    let mut client = node.records();
    let sent = |request| async move { client.history(request).await };
    let reply = node.ask(Stake::Read, node.timeout(), proto::HistoryRequest {}, sent).await?;
    let proto::HistoryResponse { revision, compacted, bytes, revisions_max, bytes_max } = reply;
    Ok(History { revision, compacted, bytes, revisions_max, bytes_max })
}

/// Gives up the history up to `revision`; tells after which it begins now.
pub(super) async fn compact(node: &Node, revision: u64) -> Result<u64, Fault> {
    let mut client = node.records();
    let sent = |request| async move { client.compact(request).await };
    let reply = node.ask(Stake::Call, node.timeout(), proto::CompactRequest { revision }, sent).await?;
    Ok(reply.compacted)
}

/// Sets how much history is kept.
pub(super) async fn retain(node: &Node, revisions: u64, bytes: u64) -> Result<(), Fault> {
    let mut client = node.records();
    let sent = |request| async move { client.retain(request).await };
    let message = proto::RetainRequest { revisions, bytes };
    node.ask(Stake::Call, node.timeout(), message, sent).await?;
    Ok(())
}
