//! The changes of the tree.

use super::{super::node::Stake, ConfigEdit, ConfigTree, time_of};
use crate::{proto, wire::Fault};
use futures::future::BoxFuture;
use std::time::SystemTime;

/// One change of the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigChange {
    /// The version of the tree after it.
    pub version: u64,
    /// When it was, by the time of the mesh.
    pub time: SystemTime,
    /// Who made it.
    pub who: String,
    /// Why, if they said so.
    pub reason: String,
    /// What kind of change: set, delete, rollback, stage, promote, abort or rotate.
    pub action: String,
    /// The staged change that it made or ended, if any.
    pub canary: Option<u64>,
    /// What changed.
    pub edits: Vec<ConfigEdit>,
}

/// Changes, latest first.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigHistory {
    /// The changes.
    pub changes: Vec<ConfigChange>,
    /// Whether there are older ones.
    pub more: bool,
}

/// A look into the history that is being made up. Await it to send it.
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct ListConfigHistory {
    tree: ConfigTree,
    path: String,
    before: u64,
    limit: u32,
}

impl ListConfigHistory {
    pub(super) fn new(tree: ConfigTree, path: String) -> ListConfigHistory {
        ListConfigHistory { tree, path, before: 0, limit: 0 }
    }

    /// Only changes before this version.
    pub fn before(mut self, version: u64) -> ListConfigHistory {
        self.before = version;
        self
    }

    /// At most this many; 100 if nothing is said.
    pub fn limit(mut self, limit: u32) -> ListConfigHistory {
        self.limit = limit;
        self
    }
}

impl From<proto::ConfigChange> for ConfigChange {
    fn from(change: proto::ConfigChange) -> ConfigChange {
        let proto::ConfigChange { version, time_ms, who, reason, edits, action, canary } = change;
        let edits = edits.into_iter().map(ConfigEdit::from).collect();
        let canary = (canary != 0).then_some(canary);
        ConfigChange { version, time: time_of(time_ms), who, reason, action, canary, edits }
    }
}

impl IntoFuture for ListConfigHistory {
    type Output = Result<ConfigHistory, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let message = proto::ConfigHistoryRequest {
                namespace: self.tree.namespace(),
                path: self.path,
                before: self.before,
                limit: self.limit,
            };
            let node = &self.tree.node;
            let mut client = node.configuration();
            let sent = |request| async move { client.config_history(request).await };
            let response = node.ask(Stake::Read, node.timeout(), message, sent).await?;
            let changes = response.changes.into_iter().map(ConfigChange::from);
            Ok(ConfigHistory { changes: changes.collect(), more: response.more })
        })
    }
}
