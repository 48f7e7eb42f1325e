//! Removals and rollbacks, and what a change answers.

use super::{
    super::{call::key_bytes, node::Stake},
    ConfigEdit, ConfigTree,
};
use crate::{chance, proto, wire::Fault};
use futures::future::BoxFuture;
use std::time::Duration;

/// What a change did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChanged {
    /// The version of the tree after it; the one before, if nothing changed.
    pub version: u64,
    /// What changed.
    pub edits: Vec<ConfigEdit>,
    /// The staged change that was made; none if it is everybody's.
    pub canary: Option<u64>,
    /// The staged changes that touch what was changed. What they would replace is another now, so that they can't be
    /// promoted.
    pub staged: Vec<u64>,
}

impl From<proto::ChangeConfigResponse> for ConfigChanged {
    fn from(response: proto::ChangeConfigResponse) -> ConfigChanged {
        let proto::ChangeConfigResponse { version, edits, canary, staged } = response;
        let edits = edits.into_iter().map(ConfigEdit::from).collect();
        ConfigChanged { version, edits, canary: (canary != 0).then_some(canary), staged }
    }
}

/// How a change is to be made.
#[derive(Debug)]
struct Terms {
    tree: ConfigTree,
    path: String,
    if_version: Option<u64>,
    reason: String,
    dry_run: bool,
    idempotency_key: u128,
    timeout: Duration,
}

impl Terms {
    fn new(tree: ConfigTree, path: String) -> Terms {
        Terms {
            timeout: tree.node.timeout(),
            tree,
            path,
            if_version: None,
            reason: String::new(),
            dry_run: false,
            idempotency_key: chance::bits(),
        }
    }
}

/// A removal that is being made up. Await it to send it.
#[derive(Debug)]
#[must_use = "a removal is sent when it is awaited"]
pub struct DeleteConfig(Terms);

/// A rollback that is being made up. Await it to send it.
#[derive(Debug)]
#[must_use = "a rollback is sent when it is awaited"]
pub struct RollBackConfig {
    terms: Terms,
    to: u64,
}

/// What both can be told.
macro_rules! terms {
    ($change:ident, $($terms:tt)+) => {
        impl $change {
            /// Only if this is the version of the tree.
            pub fn if_version(mut self, version: u64) -> Self {
                self.$($terms)+.if_version = Some(version);
                self
            }

            /// Why, for the history.
            pub fn reason(mut self, reason: impl Into<String>) -> Self {
                self.$($terms)+.reason = reason.into();
                self
            }

            /// Says what would change, and changes nothing.
            pub fn dry_run(mut self) -> Self {
                self.$($terms)+.dry_run = true;
                self
            }

            /// Repeats the change that was sent with `key`: what it did, it does not do again.
            pub fn idempotency_key(mut self, key: u128) -> Self {
                self.$($terms)+.idempotency_key = key;
                self
            }

            /// Waits no longer than `timeout`.
            pub fn timeout(mut self, timeout: Duration) -> Self {
                self.$($terms)+.timeout = timeout;
                self
            }
        }
    };
}

terms!(DeleteConfig, 0);
terms!(RollBackConfig, terms);

impl DeleteConfig {
    pub(super) fn new(tree: ConfigTree, path: String) -> DeleteConfig {
        DeleteConfig(Terms::new(tree, path))
    }
}

impl RollBackConfig {
    pub(super) fn new(tree: ConfigTree, path: String, to: u64) -> RollBackConfig {
        RollBackConfig { terms: Terms::new(tree, path), to }
    }
}

impl IntoFuture for DeleteConfig {
    type Output = Result<ConfigChanged, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it. Errors are those of a [set](super::SetConfig).
    fn into_future(self) -> Self::IntoFuture {
        let DeleteConfig(terms) = self;
        Box::pin(async move {
            let message = proto::DeleteConfigRequest {
                namespace: terms.tree.namespace(),
                path: terms.path,
                if_version: terms.if_version,
                reason: terms.reason,
                idempotency_key: key_bytes(terms.idempotency_key),
                dry_run: terms.dry_run,
            };
            let (node, stake) = (&terms.tree.node, Stake::Write(terms.idempotency_key));
            let mut client = node.configuration();
            let sent = |request| async move { client.delete_config(request).await };
            node.ask(stake, terms.timeout, message, sent).await.map(ConfigChanged::from)
        })
    }
}

impl IntoFuture for RollBackConfig {
    type Output = Result<ConfigChanged, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it. Errors are those of a [set](super::SetConfig), and `Conflict` if the version is older than what is
    /// kept.
    fn into_future(self) -> Self::IntoFuture {
        let RollBackConfig { terms, to } = self;
        Box::pin(async move {
            let message = proto::RollBackConfigRequest {
                namespace: terms.tree.namespace(),
                path: terms.path,
                to,
                if_version: terms.if_version,
                reason: terms.reason,
                idempotency_key: key_bytes(terms.idempotency_key),
                dry_run: terms.dry_run,
            };
            let (node, stake) = (&terms.tree.node, Stake::Write(terms.idempotency_key));
            let mut client = node.configuration();
            let sent = |request| async move { client.roll_back_config(request).await };
            node.ask(stake, terms.timeout, message, sent).await.map(ConfigChanged::from)
        })
    }
}
