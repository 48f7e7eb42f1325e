//! What a program on this host offers to the mesh.

use super::local::{Local, PERMITS_DEFAULT};
use bytes::Bytes;
use micro_actors::{
    protobuf::{Contract, reflected},
    registry::{AttachGuard, Backend, Encoding, Offer},
};
use micro_sdk::wire::{Code, Endpoint, Fault, Namespace, ServiceName};
use std::{collections::BTreeMap, net::SocketAddr};

/// An instance of a service, as its program tells of it.
pub struct Introduction {
    /// The tenant that it works for.
    pub namespace: Namespace,
    /// What it is called by.
    pub service: ServiceName,
    /// The service's own version.
    pub version: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// What takes JSON; none for a server of gRPC with protobuf.
    pub endpoints: Vec<Endpoint>,
    /// A `google.protobuf.FileDescriptorSet`, or nothing.
    pub descriptors: Bytes,
    /// The most calls in work at once; 0 for the default.
    pub permits: u32,
    /// What it says of itself beside that.
    pub metadata: BTreeMap<String, String>,
}

impl Introduction {
    /// Its endpoints, and what its messages are.
    async fn described(&self) -> Result<(Vec<Endpoint>, Encoding), Fault> {
        let contract = match &self.descriptors[..] {
            [] => None,
            descriptors => Some(Contract::read(descriptors)?),
        };
        if !self.endpoints.is_empty() {
            return Ok((self.endpoints.clone(), Encoding::Json(contract)));
        }
        let contract = match contract {
            Some(contract) => Some(contract),
            None => reflected(self.address).await?,
        };
        Ok(match contract.filter(|contract| !contract.is_empty()) {
            Some(contract) => (contract.endpoints(), Encoding::Protobuf(contract)),
            None => (Vec::new(), Encoding::Json(None)),
        })
    }
}

impl Local {
    /// Attaches an instance that listens on a loopback port of this host. Whoever calls it asks
    /// [`may_attach`](Self::may_attach) first.
    ///
    /// # Errors
    /// [`Code::Denied`] for anything but loopback: a node must not be made to call elsewhere. Why the registry refuses
    /// it, or what is wrong with its descriptors.
    pub async fn attach(&self, introduction: Introduction) -> Result<AttachGuard, Fault> {
        if !introduction.address.ip().is_loopback() {
            let message =
                format!("an instance must listen on loopback of this host, not on {}", introduction.address);
            return Err(Fault::new(Code::Denied, message));
        }
        let (endpoints, encoding) = introduction.described().await?;
        let permits = if introduction.permits == 0 { PERMITS_DEFAULT } else { introduction.permits as usize };
        let backend = Backend::Http(introduction.address, encoding);
        let Introduction { namespace, service, version, metadata, .. } = introduction;
        let offer = Offer { namespace, service, version, endpoints, metadata };
        self.system.registry().attach(offer, backend, permits)
    }
}
