//! What a watch of the registry tells.

use super::super::ServiceInstance;
use crate::proto::watch_services_response::{Change, change::Action};
use serde::Serialize;

/// What happened to an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RegistryAction {
    /// It is there.
    Create,
    /// It is another than before: how it is has changed.
    Update,
    /// It is gone: it detached, expired, or its node is gone.
    Delete,
}

/// A change of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryChange {
    /// What happened.
    pub action: RegistryAction,
    /// Of which service it is.
    pub service: String,
    /// The instance as it is now, or as it was if it is gone.
    pub instance: ServiceInstance,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryEvent {
    /// A change; of what was there when the watch began, that it is there.
    Change(RegistryChange),
    /// All that was there is told: what follows happens from now on. It is told once.
    Mark,
}

impl RegistryChange {
    /// Reads what a node says; none if it is of a newer one.
    pub(super) fn read(change: Change) -> Option<RegistryChange> {
        let Change { action, service, instance } = change;
        let action = match Action::try_from(action).ok()? {
            Action::Create => RegistryAction::Create,
            Action::Update => RegistryAction::Update,
            Action::Delete => RegistryAction::Delete,
        };
        Some(RegistryChange { action, service, instance: instance?.into() })
    }
}
