//! Where the values come from that the instances of a service use.

use super::{super::node::Stake, ConfigTree, parse};
use crate::{proto, wire::Fault};
use serde_json::Value;
use std::collections::BTreeMap;

/// The values that one instance uses.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceConfig {
    /// Its id.
    pub instance: String,
    /// The name of the node that it is attached to.
    pub node_name: String,
    /// The version of the tree that it has.
    pub version: u64,
    /// Its values, secrets as [`SECRET`](super::SECRET).
    pub values: Vec<ConfigOrigin>,
    /// Why nothing is known of it, if so.
    pub problem: Option<String>,
    /// What it says is wrong with its sources, by what that concerns: a file, a variable, the mesh, something that is
    /// watched. The values are those from before, where there are any.
    pub problems: BTreeMap<String, String>,
}

/// One value, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigOrigin {
    /// The path, in the tree of the mesh.
    pub path: String,
    /// The value.
    pub value: Value,
    /// `default`, `file`, `environment`, `mesh` or `flag`.
    pub source: String,
    /// Where in it: the file and line, the variable, the flag, the version of the tree.
    pub place: String,
    /// The sources that have another value for it, that this one wins over.
    pub shadowed: Vec<String>,
}

/// What all instances of `service` use.
pub(super) async fn ask(tree: &ConfigTree, service: String) -> Result<Vec<InstanceConfig>, Fault> {
    let mut client = tree.node.configuration();
    let sent = |request| async move { client.config_origins(request).await };
    let message = proto::ConfigOriginsRequest { namespace: tree.namespace(), service };
    let response = tree.node.ask(Stake::Read, tree.node.timeout(), message, sent).await?;
    response.instances.into_iter().map(instance).collect()
}

fn instance(instance: proto::InstanceConfig) -> Result<InstanceConfig, Fault> {
    let proto::InstanceConfig { instance, node_name, version, values, problem, problems } = instance;
    let origin = |origin: proto::ConfigOrigin| {
        let proto::ConfigOrigin { path, value, source, place, shadowed } = origin;
        Ok(ConfigOrigin { value: parse(&path, &value)?, path, source, place, shadowed })
    };
    let values = values.into_iter().map(origin).collect::<Result<_, Fault>>()?;
    let problem = Some(problem).filter(|problem| !problem.is_empty());
    let problems = problems.into_iter().collect();
    Ok(InstanceConfig { instance, node_name, version, values, problem, problems })
}
