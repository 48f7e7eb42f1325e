//! Changes that some instances have and others have not yet.

use super::{
    super::{call::key_bytes, node::Stake},
    ConfigChanged, ConfigEdit, ConfigTree, time_of,
};
use crate::{chance, proto, wire::Fault};
use futures::future::BoxFuture;
use std::time::SystemTime;

/// A staged change.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigCanary {
    /// Its number.
    pub canary: u64,
    /// When it was staged.
    pub time: SystemTime,
    /// Who staged it.
    pub who: String,
    /// Why, if they said so.
    pub reason: String,
    /// The share of the instances that has it.
    pub percent: u32,
    /// What it changes.
    pub edits: Vec<ConfigEdit>,
    /// What others have changed there since it was staged: what was there then, and what is there now. With any, it
    /// can't be promoted.
    pub overtaken: Vec<ConfigEdit>,
    /// The instances that have it, as the node that was asked knows them.
    pub instances: Vec<String>,
}

/// The end of a staged change, which is being made up. Await it to send it.
#[derive(Debug)]
#[must_use = "a request is sent when it is awaited"]
pub struct EndCanary {
    tree: ConfigTree,
    canary: u64,
    promote: bool,
    reason: String,
    idempotency_key: u128,
}

impl EndCanary {
    pub(super) fn new(tree: ConfigTree, canary: u64, promote: bool) -> EndCanary {
        EndCanary { tree, canary, promote, reason: String::new(), idempotency_key: chance::bits() }
    }

    /// Why, for the history.
    pub fn reason(mut self, reason: impl Into<String>) -> EndCanary {
        self.reason = reason.into();
        self
    }

    /// Repeats the change that was sent with `key`: what it did, it does not do again.
    pub fn idempotency_key(mut self, key: u128) -> EndCanary {
        self.idempotency_key = key;
        self
    }
}

impl IntoFuture for EndCanary {
    type Output = Result<ConfigChanged, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it. Errors are those of a [set](super::SetConfig), `NotFound` if there is no such staged change, and
    /// `Conflict` if others have changed since what it would replace.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let message = proto::EndCanaryRequest {
                namespace: self.tree.namespace(),
                canary: self.canary,
                promote: self.promote,
                reason: self.reason,
                idempotency_key: key_bytes(self.idempotency_key),
            };
            let (node, stake) = (&self.tree.node, Stake::Write(self.idempotency_key));
            let mut client = node.configuration();
            let sent = |request| async move { client.end_canary(request).await };
            node.ask(stake, node.timeout(), message, sent).await.map(ConfigChanged::from)
        })
    }
}

/// All staged changes of the tree.
pub(super) async fn list(tree: &ConfigTree) -> Result<Vec<ConfigCanary>, Fault> {
    let mut client = tree.node.configuration();
    let sent = |request| async move { client.list_canaries(request).await };
    let message = proto::ListCanariesRequest { namespace: tree.namespace() };
    let response = tree.node.ask(Stake::Read, tree.node.timeout(), message, sent).await?;
    let canary = |canary: proto::ConfigCanary| {
        let proto::ConfigCanary { canary, time_ms, who, reason, percent, edits, instances, overtaken } =
            canary;
        let views = |edits: Vec<proto::ConfigEdit>| edits.into_iter().map(ConfigEdit::from).collect();
        let (time, edits, overtaken) = (time_of(time_ms), views(edits), views(overtaken));
        ConfigCanary { canary, time, who, reason, percent, edits, overtaken, instances }
    };
    Ok(response.canaries.into_iter().map(canary).collect())
}
