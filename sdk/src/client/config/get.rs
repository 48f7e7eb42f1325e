//! A reading of the tree.

use super::{super::node::Stake, ConfigLeaf, ConfigTree, parse};
use crate::{
    proto,
    wire::{Code, Fault},
};
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, time::Duration};

/// A reading that is being made up. Await it to send it.
#[derive(Debug)]
#[must_use = "a reading is sent when it is awaited"]
pub struct GetConfig {
    tree: ConfigTree,
    path: String,
    show_secrets: bool,
    stale: bool,
    at: Option<u64>,
    instance: String,
    timeout: Duration,
}

/// What is at a path. Secrets that are in it are not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigReading {
    /// JSON text; none if nothing is there. That `null` is there is something.
    pub text: Option<String>,
    /// The version of the tree: the number of its last change, 0 before the first.
    pub version: u64,
    /// The leaves, in the order of their paths.
    pub leaves: Vec<ConfigLeaf>,
    /// Of a stale reading: how long ago the node's replica is known to have been current; none if that can't be said.
    pub age: Option<Duration>,
}

impl ConfigReading {
    /// The value, if something is there.
    ///
    /// # Errors
    /// `Internal` if the node sent what is not JSON.
    pub fn value(&self) -> Result<Option<Value>, Fault> {
        self.text.as_deref().map(|text| parse("what is there", text)).transpose()
    }

    /// The value as a `T`, if something is there.
    ///
    /// # Errors
    /// `Failed` if it is something else than a `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<Option<T>, Fault> {
        let not = |error| Fault::new(Code::Failed, format!("the value is not as expected: {error}"));
        self.text.as_deref().map(serde_json::from_str).transpose().map_err(not)
    }
}

impl fmt::Debug for ConfigReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The leaves say it all, and know which of them are secret.
        let there = self.text.as_ref().map(|_| &self.leaves);
        f.debug_struct("ConfigReading").field("there", &there).field("version", &self.version).finish()
    }
}

impl GetConfig {
    pub(super) fn new(tree: ConfigTree, path: String) -> GetConfig {
        let timeout = tree.node.timeout();
        let instance = String::new();
        GetConfig { tree, path, show_secrets: false, stale: false, at: None, instance, timeout }
    }

    /// With secrets as they are; else each is [`SECRET`](super::SECRET).
    pub fn show_secrets(mut self) -> GetConfig {
        self.show_secrets = true;
        self
    }

    /// Answers from the node's own replica, as it is: faster, also without quorum, and maybe old.
    pub fn stale(mut self) -> GetConfig {
        self.stale = true;
        self
    }

    /// As of this version of the tree.
    pub fn at(mut self, version: u64) -> GetConfig {
        self.at = Some(version);
        self
    }

    /// With the staged changes that this instance of a service has.
    pub fn instance(mut self, instance: impl Into<String>) -> GetConfig {
        self.instance = instance.into();
        self
    }

    /// Waits no longer than `timeout`.
    pub fn timeout(mut self, timeout: Duration) -> GetConfig {
        self.timeout = timeout;
        self
    }
}

impl IntoFuture for GetConfig {
    type Output = Result<ConfigReading, Fault>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Sends it.
    ///
    /// Errors: `Usage` if it is no path; `Conflict` if the version is older than what is kept; `Denied` if this caller
    /// may not see secrets; `Unavailable` without quorum; `Timeout`.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let message = proto::GetConfigRequest {
                namespace: self.tree.namespace(),
                path: self.path,
                show_secrets: self.show_secrets,
                stale: self.stale,
                at: self.at,
                instance: self.instance,
            };
            let node = &self.tree.node;
            let mut client = node.configuration();
            let sent = |request| async move { client.get_config(request).await };
            let response = node.ask(Stake::Read, self.timeout, message, sent).await?;
            let leaves = response.leaves.into_iter().map(ConfigLeaf::from).collect();
            let age = response.age_ms.map(Duration::from_millis);
            Ok(ConfigReading { text: response.value, version: response.version, leaves, age })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::SECRET, *};

    #[test]
    fn a_reading_with_secrets_is_not_printed() {
        let (path, text) = ("shop.key".to_owned(), "\"hunter2\"".to_owned());
        let leaf = ConfigLeaf { path, text, secret: true, version: 1, canary: None };
        let text = Some("{\"shop\":{\"key\":\"hunter2\"}}".to_owned());
        let reading = ConfigReading { text, version: 1, leaves: vec![leaf], age: None };
        let shown = format!("{reading:?}");
        assert!(!shown.contains("hunter2") && shown.contains(SECRET), "{shown}");
    }
}
