//! What a program offers to the mesh under a name: what its instance is made of.

use super::health::Care;
use micro_sdk::wire::{
    Code, Endpoint, Fault, Health, Instance, InstanceId, Namespace, NodeId, Route, ServiceName, Streams,
    metadata,
};
use std::collections::BTreeMap;

/// An instance of a service before it is attached.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The tenant that it works for.
    pub namespace: Namespace,
    /// What it is called by.
    pub service: ServiceName,
    /// The service's own version.
    pub version: String,
    /// What it can be asked, with schemas.
    pub endpoints: Vec<Endpoint>,
    /// What its program says of it.
    pub metadata: BTreeMap<String, String>,
    /// How it is kept in sight.
    pub care: Care,
}

impl Offer {
    /// Refuses what no instance can say of itself.
    ///
    /// # Errors
    /// [`Code::Usage`] with the limit.
    pub(super) fn refuse(&self) -> Result<(), Fault> {
        self.care.refuse()?;
        metadata::check(&self.metadata).map_err(|error| {
            Fault::new(Code::Usage, error.to_string())
                .help("metadata travels to every node: keep large things elsewhere")
        })
    }

    /// The instance `id` at `node`, as it is announced.
    pub(super) fn instance(&self, id: InstanceId, node: NodeId) -> Instance {
        let Offer { namespace, service, version, endpoints, metadata, .. } = self;
        Instance {
            id,
            namespace: namespace.clone(),
            service: service.clone(),
            version: version.clone(),
            node,
            endpoints: endpoints.iter().map(|endpoint| endpoint.name.clone()).collect(),
            routes: endpoints.iter().flat_map(routes_of).collect(),
            streams: streams_of(endpoints),
            metadata: metadata.clone(),
            health: Health::Passing,
        }
    }
}

/// The explicit routes of an endpoint, as they are announced.
fn routes_of(endpoint: &Endpoint) -> impl Iterator<Item = (String, Route)> {
    endpoint.routes.iter().map(|route| (endpoint.name.clone(), route.clone()))
}

/// The endpoints whose requests or answers are streams, as they are announced.
fn streams_of(endpoints: &[Endpoint]) -> Vec<(String, Streams)> {
    let streams = endpoints.iter().filter(|endpoint| endpoint.streams.any());
    streams.map(|endpoint| (endpoint.name.clone(), endpoint.streams)).collect()
}
