//! The services of the mesh, as a node lists them.

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

impl From<proto::Instance> for ServiceInstance {
    fn from(instance: proto::Instance) -> Self {
        let proto::Instance { id, version, node, node_name, endpoints, metadata } = instance;
        ServiceInstance { id, version, node, node_name, endpoints, metadata }
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
