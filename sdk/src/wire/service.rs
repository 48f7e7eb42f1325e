//! What a service tells about itself: its instances, its endpoints and their schemas.

use super::{Health, Mount, Namespace, NodeId, Route, ServiceName};
use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One running copy of a service on one node. Random; a restarted copy is another instance.
pub type InstanceId = u64;

/// Which of the two sides of an endpoint says any number of messages, where the other way is exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Streams {
    /// The caller does.
    pub client: bool,
    /// The service does.
    pub server: bool,
}

impl Streams {
    /// Whether one of them does: then it is no call of one request and one answer.
    pub fn any(self) -> bool {
        self.client || self.server
    }
}

/// One operation of a service.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Endpoint {
    /// `Handler.method`.
    pub name: String,
    /// The JSON Schema (draft 2020-12) of what goes in, as JSON text.
    pub request_schema: String,
    /// The JSON Schema of what comes out, as JSON text.
    pub response_schema: String,
    /// What it does, from the doc comment.
    pub doc: String,
    /// Ways to it over HTTP beside the path that its name gives.
    pub routes: Vec<Route>,
    /// Whether requests or answers are streams. The schemas are those of a message each.
    #[serde(default)]
    pub streams: Streams,
}

impl Endpoint {
    /// The same with streams on these sides.
    #[must_use]
    pub fn streams(self, client: bool, server: bool) -> Self {
        Endpoint { streams: Streams { client, server }, ..self }
    }

    /// The same with a further way to it.
    #[must_use]
    pub fn route(mut self, method: &str, path: &str, host: &str) -> Self {
        self.routes.push(Route { method: method.to_owned(), path: path.to_owned(), host: host.to_owned() });
        self
    }

    /// The same with all of a place of the HTTP api: for what takes HTTP as it is.
    #[must_use]
    pub fn mount(mut self, mount: &Mount) -> Self {
        self.routes.extend(mount.routes());
        self
    }
}

/// Where an instance takes calls, on its own host.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum InstanceAddress {
    /// An HTTP/2 server on a loopback port: `127.0.0.1:41233`.
    Http(String),
    /// A handler inside the node's own process (platform services, simulated services).
    Inside,
}

/// An instance as its node announces it. Small: it travels by gossip, schemas are fetched when asked for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Instance {
    /// Which copy.
    pub id: InstanceId,
    /// The tenant it works for.
    pub namespace: Namespace,
    /// Of which service.
    pub service: ServiceName,
    /// The service's own version.
    pub version: String,
    /// The node that it is attached to.
    pub node: NodeId,
    /// The names of its endpoints, as `Handler.method`.
    pub endpoints: Vec<String>,
    /// Explicit ways to them over HTTP, each with the name of its endpoint.
    pub routes: Vec<(String, Route)>,
    /// Those of its endpoints whose requests or answers are streams.
    pub streams: Vec<(String, Streams)>,
    /// What its program says of it, such as where it is or what it is good for, by name.
    pub metadata: BTreeMap<String, String>,
    /// Whether it works.
    pub health: Health,
}

impl Instance {
    /// Whether requests or answers of an endpoint, by its full name, are streams.
    pub fn streams_of(&self, endpoint: &str) -> Streams {
        let found = self.streams.iter().find(|(name, _)| name == endpoint);
        found.map_or_else(Streams::default, |(_, streams)| *streams)
    }
}
