//! What a program on this host offers to the mesh.

use super::{
    local::{Context, Local, PERMITS_DEFAULT},
    offering::Offering,
};
use bytes::Bytes;
use micro_actors::{
    ANY_METHOD,
    protobuf::{Contract, Reflection},
    registry::{Backend, Care, Encoding, Offer, Owner},
};
use micro_sdk::wire::{Code, Endpoint, Fault, Instance, InstanceId, Namespace, ServiceName, Streams};
use std::{collections::BTreeMap, net::SocketAddr};

/// An instance of a service, as its program tells of it.
#[derive(Clone)]
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
    /// How it is kept in sight.
    pub care: Care,
}

impl Introduction {
    /// What the program is asked by reflection, because it was not told; none if it was.
    async fn asked(&self) -> Result<Option<Reflection>, Fault> {
        match self.endpoints.is_empty() && self.descriptors.is_empty() {
            true => Reflection::ask(self.address).await.map(Some),
            false => Ok(None),
        }
    }

    /// Its endpoints, and what its messages are.
    fn described(&self, asked: Option<Reflection>) -> Result<(Vec<Endpoint>, Encoding), Fault> {
        let contract = match &self.descriptors[..] {
            [] => None,
            descriptors => Some(Contract::read(descriptors)?),
        };
        if !self.endpoints.is_empty() {
            return Ok((self.endpoints.clone(), Encoding::Json(contract)));
        }
        Ok(match (contract.filter(|contract| !contract.is_empty()), asked) {
            (Some(contract), _) | (None, Some(Reflection::Told(contract))) => {
                (contract.endpoints(), Encoding::Protobuf(contract))
            }
            (None, Some(Reflection::Untold)) => (vec![any_method()], Encoding::Json(None)),
            (None, Some(Reflection::Absent) | None) => (Vec::new(), Encoding::Json(None)),
        })
    }
}

/// What a server of gRPC offers that does not tell.
fn any_method() -> Endpoint {
    Endpoint {
        name: ANY_METHOD.to_owned(),
        request_schema: String::new(),
        response_schema: String::new(),
        doc: String::new(),
        routes: Vec::new(),
        streams: Streams { client: true, server: true },
    }
}

impl Local {
    /// Attaches an instance that listens on a loopback port of this host. Whoever calls it asks
    /// [`may_attach`](Self::may_attach) first.
    ///
    /// # Errors
    /// [`Code::Denied`] for anything but loopback: a node must not be made to call elsewhere. Why the registry refuses
    /// it, or what is wrong with its descriptors.
    pub async fn attach(&self, introduction: Introduction) -> Result<Offering, Fault> {
        refuse_others(introduction.address)?;
        let asked = introduction.asked().await?;
        self.attach_as(introduction, asked)
    }

    /// Attaches it as what it said when it was asked.
    pub(super) fn attach_as(
        &self,
        introduction: Introduction,
        asked: Option<Reflection>,
    ) -> Result<Offering, Fault> {
        let said = asked.as_ref().map(Reflection::digest);
        let (endpoints, encoding) = introduction.described(asked)?;
        let permits = if introduction.permits == 0 { PERMITS_DEFAULT } else { introduction.permits as usize };
        let backend = Backend::Http(introduction.address, encoding);
        let Introduction { namespace, service, version, metadata, care, .. } = introduction.clone();
        let offer = Offer { namespace, service, version, endpoints, metadata, care };
        let guard = self.system.registry().attach(offer, backend, permits)?;
        Ok(Offering { guard, introduction, said })
    }

    /// Offers an instance until its time to live has passed without another such call; whoever calls it asks
    /// [`may_attach`](Self::may_attach) first. `told` is the digest of all that is told of it: with the same one, what
    /// is registered is only prolonged.
    ///
    /// # Errors
    /// As [`attach`](Self::attach), and [`Code::Conflict`] if another has registered it.
    pub async fn register(&self, introduction: Introduction, told: [u8; 32]) -> Result<Instance, Fault> {
        refuse_others(introduction.address)?;
        let Introduction { namespace, service, address, care, .. } = &introduction;
        let registry = self.system.registry();
        if let Some(known) = registry.renew(&care.owner, (namespace, service), *address, told)? {
            return Ok(known);
        }
        let offering = self.attach(introduction).await?;
        let instance = offering.instance().clone();
        offering.register(self, told);
        Ok(instance)
    }

    /// Ends what was registered.
    ///
    /// # Errors
    /// [`Code::Denied`] if it is another's, [`Code::NotFound`] if it is not on this node.
    pub fn deregister(
        &self,
        context: &Context,
        (namespace, service): (&Namespace, &ServiceName),
        instance: InstanceId,
    ) -> Result<(), Fault> {
        self.may_attach(context, namespace, service)?;
        let owner = Owner::of(&context.caller);
        self.system.registry().deregister(&owner, (namespace, service), instance)
    }

    /// Hears how an instance of this node is of who attached or registered it.
    ///
    /// # Errors
    /// As [`deregister`](Self::deregister).
    pub fn report_health(
        &self,
        context: &Context,
        (namespace, service): (&Namespace, &ServiceName),
        instance: InstanceId,
        result: Result<(), String>,
    ) -> Result<(), Fault> {
        // It was told when the instance came; each sign of life would be a line of its own.
        self.may_attach(&context.clone().asking_again(), namespace, service)?;
        let owner = Owner::of(&context.caller);
        self.system.registry().report(&owner, (namespace, service), instance, result)
    }
}

/// Refuses all addresses but those of this host: a node must not be made to call elsewhere, nor to check who is there.
fn refuse_others(address: SocketAddr) -> Result<(), Fault> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!("an instance must listen on loopback of this host, not on {address}");
    Err(Fault::new(Code::Denied, message))
}
