//! Where the values come from that the instances of a service use: each is asked itself, on its own node.

use crate::{
    auth::{decode, node_head},
    config::{CONFIG, ConfigService},
};
use bincode::{Decode, Encode};
use bytes::Bytes;
use futures::{StreamExt, stream};
use micro_sdk::wire::{Code, Codec, Fault, Instance, Namespace, ServiceName};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tokio::time::{Duration, Instant};

/// The reserved endpoint at which an instance tells what it uses: the SDK answers it, and only nodes may ask.
const ENDPOINT: &str = "-.config";
/// How long one instance may take: it has the answer in memory.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many are asked at once.
const ASKED_AT_ONCE: usize = 16;
/// How many are asked at all: more than a person reads.
const INSTANCES_MAX: usize = 256;

/// Which instances to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginsRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceName,
}

/// What one instance said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceReply {
    /// Which one.
    pub instance: Instance,
    /// The name of its node.
    pub node_name: String,
    /// The version of the tree that it has.
    pub version: u64,
    /// Its values.
    pub values: Vec<Origin>,
    /// Why nothing is known of it, if so.
    pub problem: Option<String>,
    /// What it says is wrong with its sources, by what that concerns.
    pub problems: BTreeMap<String, String>,
}

/// One value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The path.
    pub path: String,
    /// JSON text, `"[secret]"` for a secret.
    pub value: String,
    /// Which source.
    pub source: String,
    /// Where in it.
    pub place: String,
    /// The sources that it wins over.
    pub shadowed: Vec<String>,
}

/// Endpoint `instance`: asks an instance of the node that is called.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct InstanceRequest {
    pub namespace: Namespace,
    pub service: ServiceName,
    pub instance: u64,
}

/// What the SDK answers, as JSON.
#[derive(Default, Deserialize)]
struct Report {
    version: u64,
    #[serde(default)]
    values: Vec<ReportedValue>,
    #[serde(default)]
    problems: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ReportedValue {
    path: String,
    value: Box<RawValue>,
    source: String,
    #[serde(default)]
    place: String,
    #[serde(default)]
    shadowed: Vec<String>,
}

impl ConfigService {
    /// Asks the instances of a service which values they use, and where these come from.
    ///
    /// # Errors
    /// [`Code::NotFound`] if there is no such service. What is wrong with one instance stands beside it.
    pub async fn origins(
        &self,
        request: OriginsRequest,
        deadline: Instant,
    ) -> Result<Vec<InstanceReply>, Fault> {
        let registry = &self.parts.registry;
        let OriginsRequest { namespace, service } = request;
        // Refuses with what there is.
        registry.candidates(&namespace, &service)?;
        let instances: Vec<_> =
            registry.table().instances(&namespace, &service).iter().take(INSTANCES_MAX).cloned().collect();
        let deadline = deadline.min(Instant::now() + PATIENCE);
        let asked = instances.into_iter().map(|instance| async move {
            let node_name = self.parts.registry.node_name(instance.node);
            let report = self.ask_instance(&instance, deadline).await.and_then(|body| read(&body));
            let (Report { version, values, problems }, problem) = match report {
                Ok(report) => (report, None),
                Err(fault) => (Report::default(), Some(problem(fault))),
            };
            let values = values.into_iter().map(Origin::from).collect();
            InstanceReply { instance: (*instance).clone(), node_name, version, values, problem, problems }
        });
        Ok(stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await)
    }

    async fn ask_instance(&self, instance: &Instance, deadline: Instant) -> Result<Bytes, Fault> {
        let request = InstanceRequest {
            namespace: instance.namespace.clone(),
            service: instance.service.clone(),
            instance: instance.id,
        };
        if instance.node == self.parts.mesh.node() {
            return self.ask_own(request, deadline).await;
        }
        let head = node_head(&self.parts.seams, self.parts.mesh.node(), CONFIG, "instance", deadline);
        self.parts.dispatch.call_at(instance.node, head, Codec::encode(&request).into()).await
    }

    /// Asks an instance that is attached to this node.
    pub(super) async fn ask_own(&self, request: InstanceRequest, deadline: Instant) -> Result<Bytes, Fault> {
        let mut head = node_head(&self.parts.seams, self.parts.mesh.node(), CONFIG, ENDPOINT, deadline);
        (head.namespace, head.service) = (request.namespace, request.service);
        self.parts.registry.call_instance(request.instance, &head, Bytes::from_static(b"{}")).await
    }
}

impl From<ReportedValue> for Origin {
    fn from(value: ReportedValue) -> Self {
        let ReportedValue { path, value, source, place, shadowed } = value;
        Origin { path, value: value.get().to_owned(), source, place, shadowed }
    }
}

fn read(body: &[u8]) -> Result<Report, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let what =
            format!("it answers what is no report: {:?} at column {}", error.classify(), error.column());
        Fault::new(Code::Failed, what)
    })
}

fn problem(fault: Fault) -> String {
    match fault.code {
        Code::NotFound => "it does not tell: it was built without the SDK's configuration".to_owned(),
        _ => fault.message,
    }
}

/// What another node asks about an instance of this one.
pub(super) fn instance_request(body: &[u8]) -> Result<InstanceRequest, Fault> {
    decode(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_may_come_without_values_or_problems() {
        let report = read(br#"{"version":3,"problems":{"file a.toml":"line 1"}}"#).expect("it is a report");
        assert_eq!((report.version, report.problems["file a.toml"].as_str()), (3, "line 1"));
        assert!(read(br#"{"version":3}"#).is_ok_and(|report| report.problems.is_empty()));
        assert!(read(b"[]").is_err());
    }
}
