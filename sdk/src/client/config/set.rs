//! A value that is set.

use super::{
    super::{call::key_bytes, node::Stake},
    ConfigChanged, ConfigTree,
};
use crate::{chance, proto, wire::Fault};
use futures::future::BoxFuture;
use std::{fmt, time::Duration};

/// A value that is about to be set. Await it to send it.
///
/// It carries an idempotency key, so a repetition, by the node or with [`SetConfig::idempotency_key`] by the caller,
/// sets once.
#[must_use = "a value is set when this is awaited"]
pub struct SetConfig {
    tree: ConfigTree,
    path: String,
    /// None if the value could not be made.
    text: Result<String, Fault>,
    secret: bool,
    replace: bool,
    if_version: Option<u64>,
    reason: String,
    canary_percent: u32,
    dry_run: bool,
    idempotency_key: u128,
    timeout: Duration,
}

impl fmt::Debug for SetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The value may be a secret, also where that is known to the node alone.
        f.debug_struct("SetConfig").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SetConfig {
    pub(super) fn new(tree: ConfigTree, path: String, text: Result<String, Fault>) -> SetConfig {
        SetConfig {
            timeout: tree.node.timeout(),
            tree,
            path,
            text,
            secret: false,
            replace: false,
            if_version: None,
            reason: String::new(),
            canary_percent: 0,
            dry_run: false,
            idempotency_key: chance::bits(),
        }
    }

    /// Every leaf in it is a secret: sealed wherever it is kept, and shown to nobody who does not ask for it. A leaf
    /// that is one already stays one without this.
    pub fn secret(mut self) -> SetConfig {
        self.secret = true;
        self
    }

    /// An object too replaces what is there, instead of being merged into it.
    pub fn replace(mut self) -> SetConfig {
        self.replace = true;
        self
    }

    /// Only if this is the version of the tree.
    pub fn if_version(mut self, version: u64) -> SetConfig {
        self.if_version = Some(version);
        self
    }

    /// Why, for the history.
    pub fn reason(mut self, reason: impl Into<String>) -> SetConfig {
        self.reason = reason.into();
        self
    }

    /// Stages it: only this share of the instances of the service that the path begins with has it, in percent, and at
    /// least one instance, until somebody [promotes](ConfigTree::promote) or [aborts](ConfigTree::abort) it.
    pub fn canary(mut self, percent: u32) -> SetConfig {
        self.canary_percent = percent;
        self
    }

    /// Says what would change, and changes nothing.
    pub fn dry_run(mut self) -> SetConfig {
        self.dry_run = true;
        self
    }

    /// Repeats the change that was sent with `key`: what it did, it does not do again.
    pub fn idempotency_key(mut self, key: u128) -> SetConfig {
        self.idempotency_key = key;
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> SetConfig {
        self.timeout = timeout;
        self
    }
}

impl IntoFuture for SetConfig {
    type Output = Result<ConfigChanged, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it.
    ///
    /// Errors: `Usage` if it is no path, beyond a limit, or does not fit the schema; `Conflict` if the version is
    /// another;
    /// `Unavailable` without quorum; `Unknown` if it may have been done.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let message = proto::SetConfigRequest {
                namespace: self.tree.namespace(),
                path: self.path,
                value: self.text?,
                secret: self.secret,
                replace: self.replace,
                if_version: self.if_version,
                reason: self.reason,
                idempotency_key: key_bytes(self.idempotency_key),
                canary_percent: self.canary_percent,
                dry_run: self.dry_run,
            };
            let (node, stake) = (&self.tree.node, Stake::Write(self.idempotency_key));
            let mut client = node.configuration();
            let sent = |request| async move { client.set_config(request).await };
            node.ask(stake, self.timeout, message, sent).await.map(ConfigChanged::from)
        })
    }
}
