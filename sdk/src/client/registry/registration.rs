//! An instance of a program that can hold no stream.

use crate::{
    proto,
    wire::{Endpoint, Mount, Namespace, Streams},
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// What is registered: where a program listens, and what it takes.
#[derive(Clone, Debug)]
#[must_use = "nothing is registered until it is given to the registry"]
pub struct Registration {
    name: String,
    version: String,
    address: SocketAddr,
    endpoints: Vec<Endpoint>,
    metadata: BTreeMap<String, String>,
    ttl: Option<Duration>,
    check: Option<proto::HealthCheck>,
}

impl Registration {
    /// A program that takes HTTP as it is, at a loopback address of the node's host.
    pub fn http(name: impl Into<String>, address: SocketAddr) -> Registration {
        let all = Endpoint {
            name: "/".to_owned(),
            request_schema: String::new(),
            response_schema: String::new(),
            doc: String::new(),
            routes: Vec::new(),
            streams: Streams::default(),
        };
        Registration { endpoints: vec![all], ..Self::grpc(name, address) }
    }

    /// A server of gRPC, which the node asks by reflection what it offers.
    pub fn grpc(name: impl Into<String>, address: SocketAddr) -> Registration {
        let (endpoints, metadata) = (Vec::new(), BTreeMap::new());
        let (name, version) = (name.into(), String::new());
        Registration { name, version, address, endpoints, metadata, ttl: None, check: None }
    }

    /// The service's own version.
    pub fn version(mut self, version: impl Into<String>) -> Registration {
        self.version = version.into();
        self
    }

    /// Says something of the instance.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<String>) -> Registration {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Has all requests of this place of the HTTP api passed on to it too, if it takes HTTP as it is: paths are left as
    /// they are.
    pub fn mount(mut self, mount: &Mount) -> Registration {
        self.endpoints = self.endpoints.into_iter().map(|endpoint| endpoint.mount(mount)).collect();
        self
    }

    /// How long it counts without a sign of its owner, which is to register it again or to report: then it is failing,
    /// and after ten times as long gone. 30 s unless set.
    pub fn ttl(mut self, ttl: Duration) -> Registration {
        self.ttl = Some(ttl);
        self
    }

    /// How its node finds out whether it works. Without a check it counts as working until its time is over. A check of
    /// the program's own is not run: who registered it reports what comes of it ([`Registry::report_health`]).
    ///
    /// [`Registry::report_health`]: super::Registry::report_health
    #[cfg(feature = "serve")]
    pub fn health(mut self, check: &crate::serve::HealthCheck) -> Registration {
        self.check = Some(check.message());
        self
    }

    pub(super) fn message(self, namespace: &Namespace) -> proto::AttachRequest {
        let Registration { name, version, address, endpoints, metadata, ttl, check } = self;
        proto::AttachRequest {
            name,
            version,
            address: address.to_string(),
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            namespace: namespace.to_string(),
            metadata,
            check,
            ttl_ms: ttl.map_or(0, |ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)),
            ..proto::AttachRequest::default()
        }
    }
}

/// What was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The id of the instance.
    pub instance: String,
    /// The id of its node.
    pub node: String,
    /// The name of that node.
    pub node_name: String,
    /// How soon to register it again at the latest.
    pub ttl: Duration,
}

impl From<proto::RegisterResponse> for Registered {
    fn from(response: proto::RegisterResponse) -> Registered {
        let proto::RegisterResponse { instance, node, node_name, ttl_ms } = response;
        Registered { instance, node, node_name, ttl: Duration::from_millis(ttl_ms) }
    }
}
