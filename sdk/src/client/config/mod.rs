//! The mesh's configuration: one tree of values for each namespace, read, changed and watched.
//!
//! A path names a place in the tree: `shop.limits.items`. A dot or a backslash inside a name is written `\.` and `\\`;
//! the empty path is the whole tree. Objects are branches; all else, arrays and empty objects too, is a leaf.

mod canary;
mod change;
mod get;
mod history;
mod leaf;
mod origins;
mod set;
mod watch;

pub use canary::{ConfigCanary, EndCanary};
pub use change::{ConfigChanged, DeleteConfig, RollBackConfig};
pub use get::{ConfigReading, GetConfig};
pub use history::{ConfigChange, ConfigHistory, ListConfigHistory};
pub use leaf::{ConfigEdit, ConfigLeaf};
pub use origins::{ConfigOrigin, InstanceConfig};
pub use set::SetConfig;
pub use watch::{ConfigUpdate, ConfigWatch, WatchConfig};

use super::{Node, node::Stake};
use crate::{
    proto,
    wire::{Code, Fault},
};
use serde::Serialize;
use serde_json::Value;
use std::time::{Duration, SystemTime};

/// The text that stands where a secret is that was not asked for.
pub const SECRET: &str = "[secret]";

/// What a rotation of the key of secrets did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRotation {
    /// The number of the key that seals from now on.
    pub key: u32,
    /// How many secrets were sealed anew.
    pub secrets: u64,
    /// How many could not be opened, and stay as they are until they are set anew.
    pub lost: u64,
    /// The first hundred of these: namespaces and paths.
    pub lost_places: Vec<(String, String)>,
}

/// The tree of values of one namespace. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ConfigTree {
    node: Node,
}

impl ConfigTree {
    pub(super) fn new(node: Node) -> ConfigTree {
        ConfigTree { node }
    }

    /// Reads what is at `path`, secrets as [`SECRET`] unless [`GetConfig::show_secrets`].
    pub fn get(&self, path: impl Into<String>) -> GetConfig {
        GetConfig::new(self.clone(), path.into())
    }

    /// Sets what is at `path`. An object is merged into what is there; all else replaces it.
    pub fn set(&self, path: impl Into<String>, value: impl Serialize) -> SetConfig {
        let text = serde_json::to_string(&value);
        let unfit = |error| Fault::new(Code::Usage, format!("the value can't be made JSON: {error}"));
        SetConfig::new(self.clone(), path.into(), text.map_err(unfit))
    }

    /// Sets what is at `path` to a value that is JSON text already: numbers stay as they are written.
    pub fn set_text(&self, path: impl Into<String>, json: impl Into<String>) -> SetConfig {
        SetConfig::new(self.clone(), path.into(), Ok(json.into()))
    }

    /// Removes what is at `path`. That nothing is there is no error.
    pub fn delete(&self, path: impl Into<String>) -> DeleteConfig {
        DeleteConfig::new(self.clone(), path.into())
    }

    /// Watches what is at `path`: it tells what is there now, and then what changes.
    pub fn watch(&self, path: impl Into<String>) -> WatchConfig {
        WatchConfig::new(self.clone(), path.into())
    }

    /// The changes at or under `path`, latest first.
    pub fn history(&self, path: impl Into<String>) -> ListConfigHistory {
        ListConfigHistory::new(self.clone(), path.into())
    }

    /// What is different at or under `path` between two versions of the tree; none means now.
    ///
    /// # Errors
    /// `Conflict` if a version is older than what is kept; else as every request.
    pub async fn diff(
        &self,
        path: impl Into<String>,
        from: u64,
        to: Option<u64>,
    ) -> Result<Vec<ConfigEdit>, Fault> {
        let message = proto::DiffConfigRequest {
            namespace: self.namespace(),
            path: path.into(),
            from,
            to: to.unwrap_or_default(),
        };
        let mut client = self.node.configuration();
        let sent = |request| async move { client.diff_config(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        Ok(response.edits.into_iter().map(ConfigEdit::from).collect())
    }

    /// Makes what is at or under `path` what it was at the version `to`, as a change of its own.
    pub fn roll_back(&self, path: impl Into<String>, to: u64) -> RollBackConfig {
        RollBackConfig::new(self.clone(), path.into(), to)
    }

    /// The staged changes: those that some instances have and others have not yet.
    ///
    /// # Errors
    /// As every request.
    pub async fn canaries(&self) -> Result<Vec<ConfigCanary>, Fault> {
        canary::list(self).await
    }

    /// Makes a staged change everybody's, unless others have changed since what it would replace.
    pub fn promote(&self, canary: u64) -> EndCanary {
        EndCanary::new(self.clone(), canary, true)
    }

    /// Takes a staged change back.
    pub fn abort(&self, canary: u64) -> EndCanary {
        EndCanary::new(self.clone(), canary, false)
    }

    /// Registers the JSON Schema (draft 2020-12) of a service's part of the tree, which is what is under its name; none
    /// takes it away. What is there already must fit.
    ///
    /// # Errors
    /// `Usage` if it is no schema, or what is there does not fit; else as every request.
    pub async fn set_schema(&self, service: impl Into<String>, schema: Option<&Value>) -> Result<(), Fault> {
        let message = proto::SetConfigSchemaRequest {
            namespace: self.namespace(),
            service: service.into(),
            schema: schema.map(Value::to_string).unwrap_or_default(),
        };
        let mut client = self.node.configuration();
        let sent = |request| async move { client.set_config_schema(request).await };
        // Done twice it is as good as done once.
        self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        Ok(())
    }

    /// The JSON Schema of a service's part of the tree, if it has one.
    ///
    /// # Errors
    /// As every request.
    pub async fn schema(&self, service: impl Into<String>) -> Result<Option<Value>, Fault> {
        let message = proto::GetConfigSchemaRequest { namespace: self.namespace(), service: service.into() };
        let mut client = self.node.configuration();
        let sent = |request| async move { client.get_config_schema(request).await };
        let response = self.node.ask(Stake::Read, self.node.timeout(), message, sent).await?;
        response.schema.as_deref().map(|text| parse("the schema", text)).transpose()
    }

    /// Where each value that the instances of a service use comes from, as they say themselves.
    ///
    /// # Errors
    /// `NotFound` if the mesh has no such service; else as every request.
    pub async fn origins(&self, service: impl Into<String>) -> Result<Vec<InstanceConfig>, Fault> {
        origins::ask(self, service.into()).await
    }

    /// Makes a new key for secrets, and seals the secrets of all namespaces anew with it. Asked again after a failure,
    /// it goes on.
    ///
    /// # Errors
    /// `Timeout` if it takes longer than this client waits; else as every request.
    pub async fn rotate_key(&self) -> Result<ConfigRotation, Fault> {
        let mut client = self.node.configuration();
        let sent = |request| async move { client.rotate_config_key(request).await };
        let message = proto::RotateConfigKeyRequest {};
        let response = self.node.ask(Stake::Call, self.node.timeout(), message, sent).await?;
        let proto::RotateConfigKeyResponse { key, secrets, lost, lost_places } = response;
        let lost_places = lost_places.into_iter().map(|place| (place.namespace, place.path)).collect();
        Ok(ConfigRotation { key, secrets, lost, lost_places })
    }

    fn namespace(&self) -> String {
        self.node.namespace().to_string()
    }
}

/// Reads the JSON that a node sent; the value itself is not repeated in what goes wrong, since it may be a secret.
fn parse(what: &str, text: &str) -> Result<Value, Fault> {
    serde_json::from_str(text).map_err(|error| {
        let message = format!("{what} is not JSON: {:?} at column {}", error.classify(), error.column());
        Fault::new(Code::Internal, message).help("client and node may be of different versions")
    })
}

/// The time of day that a node tells in milliseconds since 1970.
fn time_of(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
}
