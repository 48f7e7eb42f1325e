//! The services of the mesh, as a node lists them.

use super::{Node, node::Stake};
use crate::{
    proto,
    wire::{Code, Endpoint, Fault},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A service and where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceListing {
    /// What it is called by.
    pub name: String,
    /// Its running copies.
    pub instances: Vec<ServiceInstance>,
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ServiceInstance {
    /// Which copy.
    pub id: String,
    /// The version of the service.
    pub version: String,
    /// The id of the node that it is attached to.
    pub node: String,
    /// The name of that node.
    pub node_name: String,
    /// What it offers, as `Handler.method`.
    pub endpoints: Vec<String>,
    /// What its program says of it, by name.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// How it is.
    #[serde(default)]
    pub health: InstanceHealth,
}

/// Whether an instance works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It does, as far as anything says.
    #[default]
    Passing,
    /// No check has come to a result yet. Nobody is led to it.
    Unknown,
    /// It does not. Nobody is led to it.
    Failing,
}

/// How an instance is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InstanceHealth {
    /// Whether it works.
    pub state: HealthState,
    /// Why it is failing.
    pub reason: Option<String>,
    /// Since when it is failing: RFC 3339.
    pub since: Option<String>,
}

/// A service with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceDescription {
    /// What it is called by.
    pub name: String,
    /// Its running copies.
    pub instances: Vec<ServiceInstance>,
    /// Its endpoints with their schemas.
    pub endpoints: Vec<Endpoint>,
}

impl Node {
    /// All services of the mesh, as the node knows them, by name.
    ///
    /// # Errors
    /// As every request: `Unreachable`, `Denied`, `Timeout`.
    pub async fn services(&self) -> Result<Vec<ServiceListing>, Fault> {
        let message = proto::ListServicesRequest { namespace: self.namespace().to_string() };
        let mut client = self.registry_client();
        let sent = |request| async move { client.list_services(request).await };
        let response = self.ask(Stake::Read, self.timeout(), message, sent).await?;
        Ok(response.services.into_iter().map(ServiceListing::from).collect())
    }

    /// One service, with the schemas of its endpoints.
    ///
    /// # Errors
    /// `NotFound` if the mesh has no such service; else as every request.
    pub async fn service(&self, name: &str) -> Result<ServiceDescription, Fault> {
        let message =
            proto::GetServiceRequest { name: name.to_owned(), namespace: self.namespace().to_string() };
        let mut client = self.registry_client();
        let sent = |request| async move { client.get_service(request).await };
        let response = self.ask(Stake::Read, self.timeout(), message, sent).await?;
        ServiceDescription::try_from(response)
    }
}

impl From<proto::Instance> for ServiceInstance {
    fn from(instance: proto::Instance) -> Self {
        let proto::Instance { id, version, node, node_name, endpoints, metadata, health } = instance;
        let health = health.map(InstanceHealth::from).unwrap_or_default();
        ServiceInstance { id, version, node, node_name, endpoints, metadata, health }
    }
}

impl From<proto::Health> for InstanceHealth {
    fn from(health: proto::Health) -> Self {
        use proto::health::State;
        let proto::Health { state, reason, since } = health;
        let state = match State::try_from(state) {
            Ok(State::Passing) => HealthState::Passing,
            Ok(State::Failing) => HealthState::Failing,
            // What a newer node says of it is nothing to rely on.
            Ok(State::Unknown) | Err(_) => HealthState::Unknown,
        };
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        InstanceHealth { state, reason: said(reason), since: said(since) }
    }
}

impl From<proto::Service> for ServiceListing {
    fn from(service: proto::Service) -> Self {
        let instances = service.instances.into_iter().map(ServiceInstance::from).collect();
        ServiceListing { name: service.name, instances }
    }
}

impl TryFrom<proto::GetServiceResponse> for ServiceDescription {
    type Error = Fault;

    fn try_from(response: proto::GetServiceResponse) -> Result<Self, Fault> {
        let missing = || Fault::new(Code::Internal, "the node answered without a service");
        let ServiceListing { name, instances } = response.service.ok_or_else(missing)?.into();
        let endpoints = response.endpoints.into_iter().map(Endpoint::from).collect();
        Ok(ServiceDescription { name, instances, endpoints })
    }
}
