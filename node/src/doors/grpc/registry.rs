//! Who offers what, where.

use super::{
    Door,
    attachment::Attachment,
    context,
    leash::{Leash, held},
    namespace, usage,
};
use crate::node::Introduction;
use futures::{Stream, StreamExt};
use micro_actors::{auth::ServiceTokenRequest, registry::Instances};
use micro_sdk::{
    proto::{
        self, AttachEvent, AttachRequest, GetServiceRequest, GetServiceResponse, ListServicesRequest,
        ListServicesResponse, registry_server,
    },
    wire::{Endpoint, Instance, ServiceName},
};
use std::{net::SocketAddr, pin::Pin, sync::Arc};
use tonic::{Request, Response, Status};

impl Door {
    fn service(&self, name: String, instances: Instances) -> proto::Service {
        let instance = |instance: Arc<Instance>| proto::Instance {
            id: format!("{:016x}", instance.id),
            version: instance.version.clone(),
            node: instance.node.to_string(),
            node_name: self.local.node_name(instance.node),
            endpoints: instance.endpoints.clone(),
            metadata: instance.metadata.clone(),
        };
        proto::Service { name, instances: instances.into_iter().map(instance).collect() }
    }
}

type AttachStream = Pin<Box<dyn Stream<Item = Result<AttachEvent, Status>> + Send>>;

#[tonic::async_trait]
impl registry_server::Registry for Door {
    type AttachStream = AttachStream;

    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<AttachStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let address: SocketAddr = request
            .address
            .parse()
            .map_err(|_| usage(format!("{:?} is not an address: IP:PORT is needed", request.address)))?;
        let endpoints = request.endpoints.into_iter().map(Endpoint::from);
        let service: ServiceName = request.name.parse().map_err(usage)?;
        let namespace = namespace(&request.namespace)?;
        self.local.may_attach(&context, &namespace, &service)?;
        let account = ServiceTokenRequest { namespace: namespace.clone(), service: service.clone() };
        let (tenant, attached) = (namespace.clone(), service.clone());
        let leash = Leash::hold(&self.local, &context, move |local, context| {
            local.may_attach(context, &tenant, &attached)
        });
        let introduction = Introduction {
            namespace,
            service,
            version: request.version,
            address,
            endpoints: endpoints.collect(),
            descriptors: request.descriptors,
            permits: request.permits,
            metadata: request.metadata,
        };
        let guard = self.local.attach(introduction).await?;
        let attachment = Attachment {
            local: self.local.clone(),
            guard,
            service: account,
            draining: self.draining.clone(),
            last: None,
        };
        Ok(Response::new(held(attachment.events().boxed(), leash)))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let services = self.local.services(&context, &namespace(&request.namespace)?)?;
        let services =
            services.into_iter().map(|(name, instances)| self.service(name.into(), instances)).collect();
        Ok(Response::new(ListServicesResponse { services }))
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
        let service = Some(self.service(name.into(), instances));
        Ok(Response::new(GetServiceResponse { service, endpoints: endpoints.collect() }))
    }
}
