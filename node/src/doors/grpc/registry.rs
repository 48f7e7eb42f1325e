//! Who offers what, where.

use super::{
    Door,
    attachment::Attachment,
    care, context,
    leash::{Leash, held},
    namespace,
    registry_watch::{Told, watching},
    streams::Answers,
    usage,
};
use crate::node::{Context, Introduction, Local};
use futures::StreamExt;
use jiff::Timestamp;
use micro_actors::{
    auth::{READ, Resource, ServiceTokenRequest},
    registry::{Instances, REGISTRY},
};
use micro_sdk::{
    proto::{
        self, AttachEvent, AttachRequest, DeregisterRequest, DeregisterResponse, GetServiceRequest,
        GetServiceResponse, ListServicesRequest, ListServicesResponse, RegisterResponse, ReportHealthRequest,
        ReportHealthResponse, WatchServicesRequest, WatchServicesResponse, health::State, registry_server,
    },
    wire::{Endpoint, Fault, Health, Instance, InstanceId, Namespace, ServiceName},
};
use prost::Message;
use ring::digest::{SHA256, digest};
use std::net::SocketAddr;
use tonic::{Request, Response, Status};

/// A service as it is listed.
fn listed(local: &Local, name: String, instances: &Instances) -> proto::Service {
    let instances = instances.iter().map(|one| instance(local, one));
    proto::Service { name, instances: instances.collect() }
}

/// An instance, with the name of its node.
pub(super) fn instance(local: &Local, instance: &Instance) -> proto::Instance {
    proto::Instance {
        id: shown(instance.id),
        version: instance.version.clone(),
        node: instance.node.to_string(),
        node_name: local.node_name(instance.node),
        endpoints: instance.endpoints.clone(),
        metadata: instance.metadata.clone(),
        health: Some(health(&instance.health)),
    }
}

fn health(health: &Health) -> proto::Health {
    let of = |state: State, reason: &str, since: String| proto::Health {
        state: state.into(),
        reason: reason.to_owned(),
        since,
    };
    match health {
        Health::Passing => of(State::Passing, "", String::new()),
        Health::Unknown => of(State::Unknown, "", String::new()),
        Health::Failing { reason, since_ms } => {
            let since = i64::try_from(*since_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
            of(State::Failing, reason, since.map(|since| since.to_string()).unwrap_or_default())
        }
    }
}

/// The id of an instance as it is shown.
fn shown(id: InstanceId) -> String {
    format!("{id:016x}")
}

fn read_id(text: &str) -> Result<InstanceId, Fault> {
    u64::from_str_radix(text, 16)
        .map_err(|_| usage(format!("{text:?} is not the id of an instance: it has 16 hexadecimal digits")))
}

/// What a program tells of itself, if the caller may offer that.
fn introduced(local: &Local, context: &Context, request: AttachRequest) -> Result<Introduction, Fault> {
    let address: SocketAddr = request
        .address
        .parse()
        .map_err(|_| usage(format!("{:?} is not an address: IP:PORT is needed", request.address)))?;
    let service: ServiceName = request.name.parse().map_err(usage)?;
    let namespace = namespace(&request.namespace)?;
    local.may_attach(context, &namespace, &service)?;
    Ok(Introduction {
        namespace,
        service,
        version: request.version,
        address,
        endpoints: request.endpoints.into_iter().map(Endpoint::from).collect(),
        descriptors: request.descriptors,
        permits: request.permits,
        metadata: request.metadata,
        care: care::read(request.check, request.ttl_ms, context)?,
    })
}

/// What a request about an instance names.
fn named(of: &str, name: &str, instance: &str) -> Result<(Namespace, ServiceName, InstanceId), Fault> {
    Ok((namespace(of)?, name.parse().map_err(usage)?, read_id(instance)?))
}

#[tonic::async_trait]
impl registry_server::Registry for Door {
    type AttachStream = Answers<AttachEvent>;
    type WatchServicesStream = Answers<WatchServicesResponse>;

    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<Self::AttachStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let introduction = introduced(&self.local, &context, request)?;
        let (tenant, attached) = (introduction.namespace.clone(), introduction.service.clone());
        let account = ServiceTokenRequest { namespace: tenant.clone(), service: attached.clone() };
        let leash = Leash::hold(&self.local, &context, move |local, context| {
            local.may_attach(context, &tenant, &attached)
        });
        let offering = self.local.attach(introduction).await?;
        let attachment = Attachment::new(&self.local, offering, account, self.draining.clone());
        Ok(Response::new(held(attachment.events().boxed(), leash)))
    }

    async fn report_health(
        &self,
        request: Request<ReportHealthRequest>,
    ) -> Result<Response<ReportHealthResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let ReportHealthRequest { namespace, name, instance, failing, reason } = request;
        let (namespace, service, id) = named(&namespace, &name, &instance)?;
        let result = if failing { Err(reason) } else { Ok(()) };
        self.local.report_health(&context, (&namespace, &service), id, result)?;
        Ok(Response::new(ReportHealthResponse {}))
    }

    async fn register(&self, request: Request<AttachRequest>) -> Result<Response<RegisterResponse>, Status> {
        let (metadata, extensions, mut request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        if request.ttl_ms == 0 {
            request.ttl_ms = care::LEASE_MS_DEFAULT;
        }
        let ttl_ms = request.ttl_ms;
        let told = digest(&SHA256, &request.encode_to_vec());
        let told: [u8; 32] = told.as_ref().try_into().expect("it has 256 bits");
        let introduction = introduced(&self.local, &context, request)?;
        let registered = self.local.register(introduction, told).await?;
        Ok(Response::new(RegisterResponse {
            instance: shown(registered.id),
            node: registered.node.to_string(),
            node_name: self.local.node_name(registered.node),
            ttl_ms,
        }))
    }

    async fn deregister(
        &self,
        request: Request<DeregisterRequest>,
    ) -> Result<Response<DeregisterResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let (namespace, service, id) = named(&request.namespace, &request.name, &request.instance)?;
        self.local.deregister(&context, (&namespace, &service), id)?;
        Ok(Response::new(DeregisterResponse {}))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let services = self.local.services(&context, &namespace(&request.namespace)?)?;
        let services =
            services.into_iter().map(|(name, instances)| listed(&self.local, name.into(), &instances));
        Ok(Response::new(ListServicesResponse { services: services.collect() }))
    }

    async fn get_service(
        &self,
        request: Request<GetServiceRequest>,
    ) -> Result<Response<GetServiceResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let name: ServiceName = request.name.parse().map_err(usage)?;
        let (instances, endpoints) =
            self.local.describe(&context, &namespace(&request.namespace)?, &name).await?;
        let endpoints = endpoints.into_iter().map(proto::Endpoint::from);
        let service = Some(listed(&self.local, name.into(), &instances));
        Ok(Response::new(GetServiceResponse { service, endpoints: endpoints.collect() }))
    }

    async fn watch_services(
        &self,
        request: Request<WatchServicesRequest>,
    ) -> Result<Response<Self::WatchServicesStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let namespace = namespace(&request.namespace)?;
        let name = match &request.name[..] {
            "" => None,
            name => Some(name.parse::<ServiceName>().map_err(usage)?),
        };
        let told = Told::new(&self.local, namespace.clone(), name.clone(), self.draining.clone());
        let may = move |local: &Local, context: &Context| match &name {
            Some(name) => local.may(context, &Resource::of(&namespace, REGISTRY, name.as_str(), READ)),
            None => local.may(context, &Resource::of(&namespace, REGISTRY, "", READ).and_below("")),
        };
        may(&self.local, &context)?;
        let seat = self.seats.take()?;
        let leash = Leash::hold(&self.local, &context, may);
        Ok(Response::new(held(watching(told, seat), leash)))
    }
}
