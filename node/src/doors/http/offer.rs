//! A service as paths name it: how its endpoints may be written, and what they take.

use crate::{node::Local, request::Spellings};
use micro_actors::ANY_METHOD;
use micro_sdk::wire::{Endpoint, Instance, InstanceId, Namespace, ServiceName, Streams};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::OnceCell;

/// How long a node that has an instance may take to tell what it takes: without an answer texts stay texts.
const DESCRIBE_PATIENCE: Duration = Duration::from_secs(2);

/// One endpoint as its service describes it.
#[derive(Debug)]
pub(super) struct Described {
    /// As the service tells it.
    pub endpoint: Endpoint,
    /// Its request schema, read.
    pub request: Value,
    /// Its response schema, read.
    pub response: Value,
}

/// A service of one namespace.
#[derive(Debug)]
pub(super) struct Offer {
    /// The tenant.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceName,
    /// Its instances: others may offer something else.
    instances: BTreeSet<InstanceId>,
    /// How its endpoints may be written.
    names: Spellings,
    /// Which of its endpoints are streams.
    streams: BTreeMap<String, Streams>,
    described: OnceCell<Vec<Described>>,
}

impl Offer {
    /// What these instances offer.
    pub fn of(namespace: &Namespace, service: &ServiceName, instances: &[Arc<Instance>]) -> Self {
        let endpoints: BTreeSet<&str> =
            instances.iter().flat_map(|instance| &instance.endpoints).map(String::as_str).collect();
        // No path means it: what such a service is asked is said in its own messages only.
        let endpoints = endpoints.into_iter().filter(|name| *name != ANY_METHOD).collect();
        Offer {
            namespace: namespace.clone(),
            service: service.clone(),
            instances: ids(instances),
            names: Spellings::of(service.as_str(), &endpoints),
            streams: instances.iter().flat_map(|instance| instance.streams.iter().cloned()).collect(),
            described: OnceCell::new(),
        }
    }

    /// Whether it is still what these instances offer.
    pub fn holds_for(&self, instances: &[Arc<Instance>]) -> bool {
        self.instances == ids(instances)
    }

    /// The endpoint that a path means, however it is written.
    pub fn endpoint(&self, handler: Option<&str>, method: &str) -> Option<&str> {
        self.names.find(handler, method)
    }

    /// The path of an endpoint, by its full name.
    pub fn path_of(&self, endpoint: &str) -> String {
        format!("/{}/{}", self.service, self.names.path(endpoint))
    }

    /// Which sides of an endpoint, by its full name, are streams.
    pub fn streams_of(&self, endpoint: &str) -> Streams {
        self.streams.get(endpoint).copied().unwrap_or_default()
    }

    /// Its endpoints with their schemas, asked for once; nothing if nobody tells.
    pub async fn described(&self, local: &Local) -> &[Described] {
        let ask = async || -> Result<Vec<Described>, ()> {
            let endpoints = local.endpoints(&self.namespace, &self.service, DESCRIBE_PATIENCE).await;
            let endpoints = endpoints.map_err(|fault| {
                tracing::debug!(service = %self.service, %fault, "what a service takes is not known");
            })?;
            Ok(endpoints.into_iter().map(described).collect())
        };
        self.described.get_or_try_init(ask).await.map_or(&[], Vec::as_slice)
    }
}

fn ids(instances: &[Arc<Instance>]) -> BTreeSet<InstanceId> {
    instances.iter().map(|instance| instance.id).collect()
}

fn described(endpoint: Endpoint) -> Described {
    let read = |schema: &str| serde_json::from_str(schema).unwrap_or(Value::Bool(true));
    Described { request: read(&endpoint.request_schema), response: read(&endpoint.response_schema), endpoint }
}

/// A place for an offer that others hold too.
pub(super) type Shared = Arc<Offer>;
