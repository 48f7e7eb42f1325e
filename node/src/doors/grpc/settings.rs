//! The configuration and what is asked about it, between protobuf and the platform's own types.

use super::usage;
use micro_actors::config::{
    CanaryView, ChangeReply, ChangeView, ConfigUpdate, EditView, InstanceReply, LeafView, Origin, Reading,
    RotateReply,
};
use micro_sdk::{
    proto::{
        ChangeConfigResponse, ConfigCanary, ConfigChange, ConfigEdit, ConfigLeaf, ConfigOrigin, ConfigPlace,
        GetConfigResponse, InstanceConfig, RotateConfigKeyResponse, WatchConfigResponse,
    },
    wire::{Fault, InstanceId, Namespace},
};

/// The instance that a caller names, if it names one.
pub(super) fn instance(text: &str) -> Result<Option<InstanceId>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = InstanceId::from_str_radix(text, 16);
    id.map(Some).map_err(|_| {
        usage(format!("{text:?} is no instance"))
            .help("`micro-node services` with the name of a service shows its instances")
    })
}

/// An instance as it is called everywhere.
fn instance_name(id: InstanceId) -> String {
    format!("{id:016x}")
}

fn leaf(leaf: LeafView) -> ConfigLeaf {
    let LeafView { path, value, secret, version, canary } = leaf;
    ConfigLeaf { path, value: value.into_exposed(), secret, version, canary }
}

pub(super) fn edit(edit: EditView) -> ConfigEdit {
    let EditView { path, before, after, secret } = edit;
    ConfigEdit { path, before, after, secret }
}

fn edits(edits: Vec<EditView>) -> Vec<ConfigEdit> {
    edits.into_iter().map(edit).collect()
}

pub(super) fn reading(reading: Reading) -> GetConfigResponse {
    let Reading { value, version, leaves, age_ms, .. } = reading;
    GetConfigResponse {
        value: value.map(micro_actors::config::Plaintext::into_exposed),
        version,
        leaves: leaves.into_iter().map(leaf).collect(),
        age_ms,
    }
}

pub(super) fn update(update: ConfigUpdate) -> WatchConfigResponse {
    let who = update.reading.who.clone();
    let GetConfigResponse { value, version, leaves, .. } = reading(update.reading);
    WatchConfigResponse { value, version, leaves, edits: edits(update.edits), who }
}

pub(super) fn changed(reply: ChangeReply) -> ChangeConfigResponse {
    let ChangeReply { version, edits: changed, canary, staged } = reply;
    ChangeConfigResponse { version, edits: edits(changed), canary, staged }
}

pub(super) fn rotated(reply: RotateReply) -> RotateConfigKeyResponse {
    let RotateReply { key, secrets, lost, lost_paths } = reply;
    let place =
        |(namespace, path): (Namespace, String)| ConfigPlace { namespace: namespace.to_string(), path };
    RotateConfigKeyResponse { key, secrets, lost, lost_places: lost_paths.into_iter().map(place).collect() }
}

pub(super) fn change(change: ChangeView) -> ConfigChange {
    ConfigChange {
        version: change.version,
        time_ms: change.time_ms,
        who: change.who,
        reason: change.reason,
        edits: edits(change.edits),
        action: change.action.to_owned(),
        canary: change.canary,
    }
}

pub(super) fn canary(canary: CanaryView) -> ConfigCanary {
    ConfigCanary {
        canary: canary.canary,
        time_ms: canary.time_ms,
        who: canary.who,
        reason: canary.reason,
        percent: canary.percent,
        edits: edits(canary.edits),
        overtaken: edits(canary.overtaken),
        instances: canary.instances.into_iter().map(instance_name).collect(),
    }
}

pub(super) fn origins(reply: InstanceReply) -> InstanceConfig {
    let origin = |origin: Origin| {
        let Origin { path, value, source, place, shadowed } = origin;
        ConfigOrigin { path, value, source, place, shadowed }
    };
    InstanceConfig {
        instance: instance_name(reply.instance.id),
        node_name: reply.node_name,
        version: reply.version,
        values: reply.values.into_iter().map(origin).collect(),
        problem: reply.problem.unwrap_or_default(),
        problems: reply.problems.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_named_as_it_is_shown() {
        assert_eq!(instance(&instance_name(0xabc)), Ok(Some(0xabc)));
        assert_eq!(instance(""), Ok(None));
        assert!(instance("x").is_err());
    }
}
