//! The gRPC services of a node: thin translations between protobuf and the platform's own requests.

use crate::node::{Context, Local};
use futures::{
    Stream, StreamExt,
    future::{BoxFuture, ready},
    stream,
};
use hyper::body::Incoming;
use jiff::Timestamp;
use micro_actors::store::{self, LIST_LIMIT_MAX, TablePath};
use micro_sdk::{
    proto::{
        self, AttachEvent, AttachRequest, Attached, CallRequest, CallResponse, CreateTokenRequest,
        CreateTokenResponse, DeleteRequest, DeleteResponse, Draining, GetServiceRequest, GetServiceResponse,
        LeaveRequest, LeaveResponse, ListRequest, ListResponse, ListServicesRequest, ListServicesResponse,
        MESSAGE_BYTES_MAX, Place, ReadRequest, ReadResponse, StatusRequest, StatusResponse, WriteRequest,
        WriteResponse, attach_event, node_server, registry_server, store_server,
    },
    wire::{Caller, Code, Endpoint, Fault, Instance, Namespace, ServiceName, TraceId},
};
use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};
use tokio::sync::watch;
use tonic::{Extensions, Request, Response, Status, body::Body, metadata::MetadataMap};
use tower::Service as _;

/// An answer on its way.
pub(super) type Answering = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

/// All gRPC services of a node, told apart by the first part of the path: a router in front of three services cost
/// as much as a read.
#[derive(Clone)]
pub(super) struct Services {
    store: store_server::StoreServer<Door>,
    registry: registry_server::RegistryServer<Door>,
    node: node_server::NodeServer<Door>,
}

impl Services {
    /// The services of the node behind `local`.
    pub fn new(local: &Local, draining: watch::Receiver<bool>) -> Self {
        let door = Arc::new(Door { local: local.clone(), draining });
        let registry = registry_server::RegistryServer::from_arc(door.clone());
        let node = node_server::NodeServer::from_arc(door.clone());
        Services {
            store: store_server::StoreServer::from_arc(door).max_decoding_message_size(MESSAGE_BYTES_MAX),
            registry: registry.max_decoding_message_size(MESSAGE_BYTES_MAX),
            node: node
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        }
    }

    /// Answers one request. The service's own future is handed on as it is: each one around it would be moved, and
    /// would make the connection's task for the request larger.
    pub fn call(&self, request: http::Request<Incoming>) -> Answering {
        match request.uri().path().split('/').nth(1) {
            Some(store_server::SERVICE_NAME) => self.store.clone().call(request),
            Some(registry_server::SERVICE_NAME) => self.registry.clone().call(request),
            Some(node_server::SERVICE_NAME) => self.node.clone().call(request),
            _ => {
                let status = Status::unimplemented(format!("nothing is at {:?}", request.uri().path()));
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

/// The most that is taken off a caller's time, so that this node's answer, which knows more than the caller's own "no
/// answer", is there before the caller gives up.
const MARGIN_MAX: Duration = Duration::from_millis(50);

struct Door {
    local: Local,
    draining: watch::Receiver<bool>,
}

/// Who calls, until when, in which trace.
fn context(metadata: &MetadataMap, extensions: &Extensions) -> Result<Context, Fault> {
    // The acceptor puts it in; a request without one did not come through it.
    let caller = extensions.get::<Caller>().cloned();
    let caller = caller.ok_or_else(|| Fault::new(Code::Denied, "the caller is not known"))?;
    let text = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok());
    Ok(Context {
        caller,
        deadline: text("grpc-timeout").and_then(grpc_timeout).map(|time| time - (time / 20).min(MARGIN_MAX)),
        trace: text("traceparent").and_then(super::api::trace_of),
        idempotency_key: None,
    })
}

/// The duration in a `grpc-timeout` header: up to eight digits and a unit (gRPC over HTTP/2, requests).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = if digits.len() <= 8 { digits.parse().ok()? } else { return None };
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

fn usage(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Usage, error.to_string())
}

fn table(place: Option<Place>) -> Result<TablePath, Fault> {
    let Some(place) = place else { return Ok(TablePath::default()) };
    TablePath::parse(&place.namespace, &place.database, &place.table).map_err(usage)
}

fn namespace(text: &str) -> Result<Namespace, Fault> {
    if text.is_empty() { Ok(Namespace::default()) } else { text.parse().map_err(usage) }
}

fn idempotency_key(bytes: &[u8]) -> Result<Option<u128>, Fault> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let key: [u8; 16] = bytes
        .try_into()
        .map_err(|_| usage(format!("an idempotency key has 16 bytes, not {}", bytes.len())))?;
    Ok(Some(u128::from_be_bytes(key)))
}

fn record(record: store::Record) -> proto::Record {
    proto::Record { key: record.key, value: record.value.0, version: record.version }
}

#[tonic::async_trait]
impl store_server::Store for Door {
    async fn write(&self, request: Request<WriteRequest>) -> Result<Response<WriteResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let write = store::WriteRequest {
            table: table(request.place)?,
            key: request.key,
            value: store::Value(request.value),
            if_version: request.if_version,
            ..store::WriteRequest::default()
        };
        let reply = self.local.write(&context, write).await?;
        Ok(Response::new(WriteResponse { version: reply.version }))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let read = store::ReadRequest {
            table: table(request.place)?,
            key: request.key,
            at: None,
            stale: request.stale,
        };
        let reply = self.local.read(&context, read).await?;
        Ok(Response::new(ReadResponse { record: reply.record.map(record) }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let context = context(&metadata, &extensions)?;
        let list = store::ListRequest {
            range: store::RecordRange::prefix(table(request.place)?, request.prefix),
            after: request.after,
            limit: if request.limit == 0 { LIST_LIMIT_MAX } else { request.limit },
            stale: request.stale,
            ..store::ListRequest::default()
        };
        let reply = self.local.list(&context, list).await?;
        let records = reply.records.into_iter().map(record).collect();
        Ok(Response::new(ListResponse { records, more: reply.more }))
    }

    async fn delete(&self, request: Request<DeleteRequest>) -> Result<Response<DeleteResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let key = idempotency_key(&request.idempotency_key)?;
        let context = context(&metadata, &extensions)?.with_key(key);
        let delete = store::DeleteRequest {
            table: table(request.place)?,
            key: request.key,
            if_version: request.if_version,
        };
        let reply = self.local.delete(&context, delete).await?;
        Ok(Response::new(DeleteResponse { deleted: reply.deleted }))
    }
}

impl Door {
    fn service(&self, name: String, instances: Vec<Instance>) -> proto::Service {
        let instance = |instance: Instance| proto::Instance {
            id: format!("{:016x}", instance.id),
            version: instance.version,
            node: instance.node.to_string(),
            node_name: self.local.node_name(instance.node),
            endpoints: instance.endpoints,
        };
        proto::Service { name, instances: instances.into_iter().map(instance).collect() }
    }
}

type AttachStream = Pin<Box<dyn Stream<Item = Result<AttachEvent, Status>> + Send>>;

fn admin_only(context: &Context, what: &str) -> Result<(), Fault> {
    micro_actors::authorize(&context.caller, micro_actors::Action::UsePlatform, what)
}

#[tonic::async_trait]
impl registry_server::Registry for Door {
    type AttachStream = AttachStream;

    async fn attach(&self, request: Request<AttachRequest>) -> Result<Response<AttachStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        admin_only(&context(&metadata, &extensions)?, "registry/attach")?;
        let address: SocketAddr = request
            .address
            .parse()
            .map_err(|_| usage(format!("{:?} is not an address: IP:PORT is needed", request.address)))?;
        let endpoints = request.endpoints.into_iter().map(|endpoint| Endpoint {
            name: endpoint.name,
            request_schema: endpoint.request_schema,
            response_schema: endpoint.response_schema,
            doc: endpoint.doc,
        });
        let service: ServiceName = request.name.parse().map_err(usage)?;
        let guard = self.local.attach(
            namespace(&request.namespace)?,
            service,
            request.version,
            endpoints.collect(),
            address,
            request.permits,
        )?;
        let instance = guard.instance();
        let attached = attach_event::Event::Attached(Attached {
            instance: format!("{:016x}", instance.id),
            node: instance.node.to_string(),
            node_name: self.local.node_name(instance.node),
        });
        let first = stream::once(async move { Ok(AttachEvent { event: Some(attached) }) });
        // The instance stays attached for as long as somebody holds this stream.
        let mut draining = self.draining.clone();
        let last = stream::once(async move {
            let _guard = guard;
            // The sender lives as long as the doors do; when it is gone, so is the node.
            let _ = draining.wait_for(|draining| *draining).await;
            Ok(AttachEvent { event: Some(attach_event::Event::Draining(Draining {})) })
        });
        Ok(Response::new(first.chain(last).boxed()))
    }

    async fn list_services(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        admin_only(&context(&metadata, &extensions)?, "registry/list")?;
        let services = self.local.services(&namespace(&request.namespace)?);
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
        admin_only(&context, "registry/get")?;
        let name: ServiceName = request.name.parse().map_err(usage)?;
        let (instances, endpoints) =
            self.local.describe(&context, &namespace(&request.namespace)?, &name).await?;
        let endpoints = endpoints.into_iter().map(|endpoint| proto::Endpoint {
            name: endpoint.name,
            request_schema: endpoint.request_schema,
            response_schema: endpoint.response_schema,
            doc: endpoint.doc,
        });
        let service = Some(self.service(name.into(), instances));
        Ok(Response::new(GetServiceResponse { service, endpoints: endpoints.collect() }))
    }
}

#[tonic::async_trait]
impl node_server::Node for Door {
    async fn call(&self, request: Request<CallRequest>) -> Result<Response<CallResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let mut context =
            context(&metadata, &extensions)?.with_key(idempotency_key(&request.idempotency_key)?);
        if request.timeout_ms > 0 {
            let asked = Duration::from_millis(request.timeout_ms.into());
            context.deadline = Some(context.deadline.map_or(asked, |deadline| deadline.min(asked)));
        }
        let service: ServiceName = request.service.parse().map_err(usage)?;
        let mut head = self.local.head(&context, service, &request.endpoint);
        head.namespace = namespace(&request.namespace)?;
        head.metadata = super::api::metadata(request.metadata)?;
        let trace: TraceId = head.trace;
        let body = super::api::json(request.body)?;
        let answer = self.local.call(head, body).await?;
        let node = answer.node.to_string();
        Ok(Response::new(CallResponse { body: answer.body, trace_id: trace.to_string(), node }))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let document = self.local.status_document(&context(&metadata, &extensions)?).await?;
        Ok(Response::new(StatusResponse { document }))
    }

    async fn create_token(
        &self,
        request: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let ttl = Duration::from_secs(request.ttl_s.into());
        let reply = self.local.create_token(&context(&metadata, &extensions)?, ttl).await?;
        let expires = i64::try_from(reply.expires).ok().and_then(|s| Timestamp::from_second(s).ok());
        Ok(Response::new(CreateTokenResponse {
            token: reply.token,
            addresses: reply.addresses.iter().map(ToString::to_string).collect(),
            expires: expires.map(|at| at.to_string()).unwrap_or_default(),
        }))
    }

    async fn leave(&self, request: Request<LeaveRequest>) -> Result<Response<LeaveResponse>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let context = context(&metadata, &extensions)?.within(Duration::from_secs(30));
        self.local.leave(&context).await?;
        Ok(Response::new(LeaveResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read() {
        assert_eq!(grpc_timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        for bad in ["", "S", "10", "-1S", "123456789S", "1é"] {
            assert_eq!(grpc_timeout(bad), None, "{bad:?}");
        }
    }
}
