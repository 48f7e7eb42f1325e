//! The registry's actor: tells other nodes about the instances attached here.

use crate::{Dispatch, Invocation, Platform, policy::Policy, registry::Registry};
use bincode::{Decode, Encode};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_sdk::wire::{Code, Codec, Endpoint, Fault, Namespace, ServiceName, limits::BODY_BYTES_MAX};
use std::sync::Arc;

/// The name of the registry service.
pub const REGISTRY: &str = "registry";

/// The endpoints of a service on one node; none if it has no instance there.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DescribeReply(pub Option<Vec<Endpoint>>);

/// Endpoint `rehearse`, from node to node: answers with the [`Rehearsal`](crate::calls::Rehearsal) of the calls that a
/// node took in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RehearseRequest {
    /// The tenant.
    pub namespace: Namespace,
    /// The service.
    pub service: ServiceName,
    /// The policy, in JSON.
    pub document: String,
}

/// The registry's actor.
pub struct RegistryService {
    registry: Registry,
    dispatch: Dispatch,
}

impl RegistryService {
    /// Serves `registry`.
    pub fn new(registry: Registry, dispatch: Dispatch) -> Self {
        RegistryService { registry, dispatch }
    }
}

impl Platform for RegistryService {
    fn name(&self) -> &'static str {
        REGISTRY
    }

    fn handle(self: Arc<Self>, call: Invocation) -> BoxFuture<'static, Result<Bytes, Fault>> {
        Box::pin(async move {
            match call.head.endpoint.as_str() {
                "describe" => {
                    let asked: (Namespace, ServiceName) = Codec::decode::<_, BODY_BYTES_MAX>(&call.body)
                        .map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
                    let reply = DescribeReply(self.registry.describe(&asked.0, &asked.1));
                    Ok(Codec::encode(&reply).into())
                }
                "rehearse" => {
                    let asked: RehearseRequest = Codec::decode::<_, BODY_BYTES_MAX>(&call.body)
                        .map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
                    let policy = Policy::parse(&asked.document)?;
                    let rehearsal = self.dispatch.calls().rehearse(&asked.namespace, &asked.service, &policy);
                    Ok(Codec::encode(&rehearsal).into())
                }
                other => Err(Fault::new(Code::NotFound, format!("the registry has no endpoint {other:?}"))),
            }
        })
    }
}
