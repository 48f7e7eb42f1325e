//! Whether this node, or a service of the mesh, takes calls (gRPC health checking, `grpc.health.v1`).

use super::{Door, context, namespace, proxy::service_of, streams::Answers};
use futures::{StreamExt, stream};
use micro_sdk::wire::{Code, Fault};
use std::time::Duration;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server,
};

/// How often a watcher's answer is found out anew. Each costs a reading of the store, which many share.
const LOOK: Duration = Duration::from_secs(1);
/// The packages whose services are the node's own.
const OWN: [&str; 2] = ["micro.v1.", "grpc."];

impl Door {
    /// What is known of a service: by its name in the mesh, by that of gRPC, or the node itself for no name at all.
    async fn serving(&self, tenant: &str, service: &str) -> Result<ServingStatus, Fault> {
        if service.is_empty() || OWN.iter().any(|own| service.starts_with(own)) {
            let ready = !*self.draining.borrow() && self.local.readiness().await.is_ok();
            return Ok(if ready { ServingStatus::Serving } else { ServingStatus::NotServing });
        }
        let namespace = namespace(tenant)?;
        let Some(name) = service_of(service, &namespace, &self.local.table()) else {
            return Ok(ServingStatus::ServiceUnknown);
        };
        Ok(match self.local.knows(&namespace, &name) {
            Ok(()) => ServingStatus::Serving,
            Err(fault) if fault.code == Code::NotFound => ServingStatus::ServiceUnknown,
            Err(_drained) => ServingStatus::NotServing,
        })
    }

    /// The tenant and the service of a request that may be answered.
    fn asked(&self, request: Request<HealthCheckRequest>) -> Result<(String, String), Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        self.local.may_read_public(&context, "health")?;
        let tenant = metadata.get("micro-namespace").and_then(|value| value.to_str().ok()).unwrap_or("");
        if !request.service.is_empty() && !OWN.iter().any(|own| request.service.starts_with(own)) {
            // Whether a person's service is there is told to those who may call something of it.
            self.local.may_call(&context, &namespace(tenant)?, &request.service, "health")?;
        }
        Ok((tenant.to_owned(), request.service))
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl health_server::Health for Door {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let (tenant, service) = self.asked(request)?;
        match self.serving(&tenant, &service).await? {
            ServingStatus::ServiceUnknown => Err(Status::not_found(format!("no service {service:?}"))),
            status => Ok(Response::new(answer(status))),
        }
    }

    type WatchStream = Answers<HealthCheckResponse>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (tenant, service) = self.asked(request)?;
        let seat = self.seats.take()?;
        let door = self.clone();
        let watching = (door, seat, None::<ServingStatus>);
        let answers = stream::unfold(watching, move |(mut door, seat, last)| {
            let (tenant, service) = (tenant.clone(), service.clone());
            async move {
                loop {
                    if last.is_some() {
                        if *door.draining.borrow() {
                            return None;
                        }
                        // A stop is told of at once, and ends the watch behind it.
                        let stop = door.draining.wait_for(|draining| *draining);
                        let _ = tokio::time::timeout(LOOK, stop).await;
                    }
                    let status = match door.serving(&tenant, &service).await {
                        Ok(status) => status,
                        Err(fault) => return Some((Err(fault.into()), (door, seat, last))),
                    };
                    if last != Some(status) {
                        return Some((Ok(answer(status)), (door, seat, Some(status))));
                    }
                }
            }
        });
        Ok(Response::new(answers.boxed()))
    }
}
