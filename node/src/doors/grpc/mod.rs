//! The gRPC services of a node: thin translations between protobuf and the platform's own requests; and the proxy that
//! leads all other calls to people's services.

mod attachment;
mod audit;
mod auth;
mod blobs;
mod care;
mod config;
mod connection;
mod exchange;
mod gathered;
mod health;
mod leash;
mod node;
mod policies;
mod proxy;
mod records;
mod reflection;
mod registry;
mod registry_watch;
mod resets;
mod settings;
mod store;
mod streams;
mod unary;

pub(super) use connection::Connection;
pub(super) use exchange::Exchange;
pub(super) use proxy::Target;
pub(super) use unary::BEGINNING_BYTES;

use crate::{
    doors::limits::Limits,
    node::{Context, Local},
};
use bytes::Bytes;
use futures::future::{BoxFuture, ready};
use http::HeaderMap;
use micro_actors::{
    Body as Carried,
    audit::{Audit, Origin},
    auth::{AUTH, Verified},
    blob::BLOB,
    config::CONFIG,
    network::NETWORK,
    registry::REGISTRY,
    store::STORE,
};
use micro_sdk::{
    proto::{
        DESCRIPTORS, MESSAGE_BYTES_MAX, audit_server, auth_server, blobs_server, config_server, node_server,
        policies_server, registry_server, store_server,
    },
    wire::{Caller, Code, Fault, Namespace},
};
use prost_reflect::{DescriptorPool, ServiceDescriptor};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};
use streams::Seats;
use tokio::sync::watch;
use tonic::{Extensions, Status, body::Body, metadata::MetadataMap};
use tonic_health::pb::health_server::{self, HealthServer};
use tower::{BoxError, Service as _};

/// An answer on its way.
pub(super) type Answering = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

/// All gRPC services of a node, told apart by the first part of the path: a router in front of them cost
/// as much as a read.
#[derive(Clone)]
pub(super) struct Services {
    door: Arc<Door>,
    store: store_server::StoreServer<Door>,
    registry: registry_server::RegistryServer<Door>,
    node: node_server::NodeServer<Door>,
    config: config_server::ConfigServer<Door>,
    blobs: blobs_server::BlobsServer<Door>,
    auth: auth_server::AuthServer<Door>,
    audit: audit_server::AuditServer<Door>,
    policies: policies_server::PoliciesServer<Door>,
    health: HealthServer<Door>,
}

impl Services {
    /// The services of the node behind `local`.
    pub fn new(local: &Local, limits: &Arc<Limits>, draining: watch::Receiver<bool>) -> Self {
        let (local, limits) = (local.clone(), limits.clone());
        let door = Arc::new(Door { local, limits, draining, seats: Seats::default() });
        let registry = registry_server::RegistryServer::from_arc(door.clone());
        let node = node_server::NodeServer::from_arc(door.clone());
        let config = config_server::ConfigServer::from_arc(door.clone());
        let blobs = blobs_server::BlobsServer::from_arc(door.clone());
        Services {
            store: store_server::StoreServer::from_arc(door.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            registry: registry.max_decoding_message_size(MESSAGE_BYTES_MAX),
            node: node
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            config: config.max_decoding_message_size(MESSAGE_BYTES_MAX),
            blobs: blobs.max_decoding_message_size(MESSAGE_BYTES_MAX),
            auth: auth_server::AuthServer::from_arc(door.clone()),
            audit: audit_server::AuditServer::from_arc(door.clone()),
            policies: policies_server::PoliciesServer::from_arc(door.clone()),
            health: HealthServer::from_arc(door.clone()),
            door,
        }
    }

    /// Where decisions are told.
    pub fn audit(&self) -> &Audit {
        self.door.local.guard().audit()
    }

    /// Begins a gRPC call of a person's service for another door: what that carries along, and the frames of the
    /// request. It ends as one that came in by gRPC does.
    ///
    /// # Errors
    /// Why nobody answers. What goes wrong later is the error of the answer's body.
    pub async fn converse(
        &self,
        context: &Context,
        target: Target,
        carried: Vec<(String, String)>,
        body: Carried,
    ) -> Result<http::Response<Carried>, Fault> {
        self.door.converse(context, target, carried, body).await
    }

    /// Takes up a request, on a task of its own.
    ///
    /// The two that are asked most go the short way. It does the same with the same door, without the types and boxes
    /// that tonic needs to treat all kinds of streams alike: half of what the door costs a write.
    pub fn take(&self, exchange: Exchange) {
        if let Err(status) = exchange.kind() {
            return exchange.refuse_as_http(status);
        }
        let (door, judge) = (self.door.clone(), self.door.clone());
        match exchange.path() {
            STORE_WRITE => {
                let more = move |context: &Context| judge.local.may_send_more(context, &[STORE]);
                exchange.unary(more, move |context, request| door.write_one(context, request));
            }
            STORE_READ => {
                let more = move |context: &Context| judge.local.may_send_more(context, &[STORE]);
                let call = |context, request| async move { door.read_one(context, request).await };
                exchange.unary(more, call);
            }
            path => {
                let kinds = kinds_of(path);
                let more = move |context: &Context| judge.local.may_send_more(context, kinds);
                let services = self.clone();
                tokio::spawn(exchange.streamed(more, move |request| services.call(request)));
            }
        }
    }

    /// Answers a request that came in by whatever door: who calls is among its extensions.
    pub fn call<B>(self, request: http::Request<B>) -> Answering
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + std::fmt::Display + Send + 'static,
    {
        let Services {
            mut store,
            mut registry,
            mut node,
            mut config,
            mut blobs,
            mut auth,
            mut audit,
            mut policies,
            ..
        } = self;
        if let Some(status) = unknown(request.uri().path()) {
            return Box::pin(ready(Ok(status.into_http())));
        }
        // Each service has a health and a reflection of its own beside the node's.
        let named = request.headers().contains_key(proxy::SERVICE_HEADER);
        match request.uri().path().split('/').nth(1) {
            Some(store_server::SERVICE_NAME) => store.call(request),
            Some(registry_server::SERVICE_NAME) => registry.call(request),
            Some(node_server::SERVICE_NAME) => node.call(request),
            Some(config_server::SERVICE_NAME) => config.call(request),
            Some(blobs_server::SERVICE_NAME) => blobs.call(request),
            Some(auth_server::SERVICE_NAME) => auth.call(request),
            Some(audit_server::SERVICE_NAME) => audit.call(request),
            Some(policies_server::SERVICE_NAME) => policies.call(request),
            Some(health_server::SERVICE_NAME) if !named => self.health.clone().call(request),
            Some(reflection::V1 | reflection::V1_ALPHA) if !named => {
                reflection::call(&self.door, request.map(Body::new))
            }
            _ => proxy::call(self.door, request),
        }
    }
}

/// What is said of a path of the platform at which nothing is, with what there is.
fn unknown(path: &str) -> Option<Status> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let own = service.strip_prefix(OWN_PACKAGE)?;
    let methods = methods();
    let fault = Fault::new(Code::Unimplemented, format!("nothing of the platform is at {path:?}"));
    let fault = match methods.get(service) {
        Some(known) if known.contains(method) => return None,
        Some(known) => {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            fault.help(format!("the methods of {own} are {}", known.join(", ")))
        }
        None => {
            let known: Vec<&str> = methods.keys().filter_map(|name| name.strip_prefix(OWN_PACKAGE)).collect();
            fault.help(format!("the services of micro.v1 are {}", known.join(", ")))
        }
    };
    let told = format!("{}: {}", fault.message, fault.help.join("; "));
    Some(with_message(told, &fault.into()))
}

/// The methods of the platform, by service.
fn methods() -> &'static BTreeMap<String, BTreeSet<String>> {
    static ALL: OnceLock<BTreeMap<String, BTreeSet<String>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let pool = DescriptorPool::decode(DESCRIPTORS).expect("the descriptors are those that were compiled");
        let methods = |service: &ServiceDescriptor| {
            service.methods().map(|method| method.name().to_owned()).collect::<BTreeSet<_>>()
        };
        let services = pool.services().filter(|service| service.full_name().starts_with(OWN_PACKAGE));
        services.map(|service| (service.full_name().to_owned(), methods(&service))).collect()
    })
}

/// What a request to this path may be about: the types of resources, as rules have them.
pub(super) fn kinds_of(path: &str) -> &'static [&'static str] {
    match path.split('/').nth(1) {
        Some(store_server::SERVICE_NAME) => &[STORE],
        Some(registry_server::SERVICE_NAME | policies_server::SERVICE_NAME) => &[REGISTRY],
        Some(node_server::SERVICE_NAME) => &["service", NETWORK],
        Some(config_server::SERVICE_NAME) => &[CONFIG],
        Some(blobs_server::SERVICE_NAME) => &[BLOB],
        Some(auth_server::SERVICE_NAME) => &[AUTH],
        Some(audit_server::SERVICE_NAME) => &[NETWORK],
        Some(own) if own.starts_with(OWN_PACKAGE) => &[],
        _ => &["service"],
    }
}

/// The package of the node's own services.
const OWN_PACKAGE: &str = "micro.v1.";
/// The paths of what is asked most.
const STORE_WRITE: &str = "/micro.v1.Store/Write";
const STORE_READ: &str = "/micro.v1.Store/Read";

/// The most that is taken off a caller's time, so that this node's answer, which knows more than the caller's own "no
/// answer", is there before the caller gives up.
const MARGIN_MAX: Duration = Duration::from_millis(50);

#[derive(Clone)]
struct Door {
    local: Local,
    limits: Arc<Limits>,
    draining: watch::Receiver<bool>,
    seats: Seats,
}

/// The status of a refusal for whom it would help to show who they are: then it is no lack of permission (gRPC,
/// "Status codes").
pub(super) fn unproven(fault: Fault) -> Status {
    let denied = fault.code == Code::Denied;
    let status = Status::from(fault);
    match denied {
        true => with_code(tonic::Code::Unauthenticated, &status),
        false => status,
    }
}

/// The same status under another code.
fn with_code(code: tonic::Code, status: &Status) -> Status {
    Status::with_metadata(code, status.message(), status.metadata().clone())
}

/// The same status with another text: clients of gRPC show no more than that.
fn with_message(message: String, status: &Status) -> Status {
    Status::with_metadata(status.code(), message, status.metadata().clone())
}

/// Who calls, until when, in which trace.
fn context(metadata: &MetadataMap, extensions: &Extensions) -> Result<Context, Fault> {
    context_of(metadata.as_ref(), extensions)
}

/// The same from the headers of a request.
fn context_of(headers: &HeaderMap, extensions: &Extensions) -> Result<Context, Fault> {
    // The acceptor puts it in; a request without one did not come through it.
    let caller = extensions.get::<Caller>().cloned();
    let caller = caller.ok_or_else(|| Fault::new(Code::Denied, "the caller is not known"))?;
    Ok(Context {
        caller,
        origin: extensions.get::<Origin>().copied().unwrap_or_default(),
        again: false,
        deadline: deadline(headers)?,
        trace: crate::doors::http::trace_of(headers),
        idempotency_key: None,
        attempts: crate::doors::http::attempts(headers)?,
        dry_run: false,
        token: extensions.get::<Arc<Verified>>().cloned(),
    })
}

/// The time that a request gives to its call, less what its answer needs.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Fault> {
    let Some(value) = headers.get("grpc-timeout") else { return Ok(None) };
    let time = value.to_str().ok().and_then(grpc_timeout);
    let time = time.ok_or_else(|| {
        Fault::new(Code::Usage, format!("grpc-timeout takes up to eight digits and a unit, not {value:?}"))
    })?;
    Ok(Some(time - (time / 20).min(MARGIN_MAX)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_is_the_stores() {
        for (path, method) in [(STORE_WRITE, "Write"), (STORE_READ, "Read")] {
            assert_eq!(path, format!("/{}/{method}", store_server::SERVICE_NAME));
        }
    }

    #[test]
    fn of_what_is_not_there_it_is_told_what_is() {
        for known in ["/micro.v1.Store/Write", "/acme.v1.Till/Price", "/grpc.health.v1.Health/Check", "/"] {
            assert!(unknown(known).is_none(), "{known}");
        }
        for (path, told) in [
            ("/micro.v1.Store/Wrote", "the methods of Store are Compact, Delete,"),
            ("/micro.v1.Storage/Write", "the services of micro.v1 are Audit, Auth,"),
        ] {
            let status = unknown(path).expect("it is not there");
            assert_eq!(status.code(), tonic::Code::Unimplemented);
            assert!(status.message().contains(told) && status.message().contains(path), "{status:?}");
        }
    }

    #[test]
    fn grpc_timeouts_are_read() {
        assert_eq!(grpc_timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
        for bad in ["", "S", "10", "-1S", "123456789S", "1é"] {
            assert_eq!(grpc_timeout(bad), None, "{bad:?}");
        }
    }
}
