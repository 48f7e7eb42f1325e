//! What the node's own services are, for tools that ask (gRPC server reflection, v1 and v1alpha). People's services
//! have their own, which `micro-service: NAME` leads to.

use super::{Answering, Door, context_of};
use http::Request;
use micro_sdk::{proto::DESCRIPTORS, wire::Fault};
use std::sync::OnceLock;
use tonic::{Status, body::Body};
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::Builder,
};
use tower::Service;

/// Where it is asked: `/SERVICE/ServerReflectionInfo`.
pub(super) const V1: &str = v1::server_reflection_server::SERVICE_NAME;
pub(super) const V1_ALPHA: &str = v1alpha::server_reflection_server::SERVICE_NAME;

/// Answers what all callers may ask.
type Answer = Box<dyn Fn(Request<Body>) -> Answering + Send + Sync>;

/// Tells a caller what there is.
pub(super) fn call(door: &Door, request: Request<Body>) -> Answering {
    static BOTH: OnceLock<(Answer, Answer)> = OnceLock::new();
    if let Err(fault) = may(door, &request) {
        return Box::pin(async { Ok(Status::from(fault).into_http()) });
    }
    let (new, old) = BOTH.get_or_init(|| (first(), alpha()));
    let is_new = request.uri().path().split('/').nth(1) == Some(V1);
    if is_new { new(request) } else { old(request) }
}

fn may(door: &Door, request: &Request<Body>) -> Result<(), Fault> {
    let context = context_of(request.headers(), request.extensions())?;
    door.local.may_read_public(&context, "reflection")
}

/// All descriptors: of the platform, and of what every server of gRPC has.
fn described() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn first() -> Answer {
    let server = described().build_v1().expect("the descriptors are those that were compiled");
    Box::new(move |request| server.clone().call(request))
}

fn alpha() -> Answer {
    let server = described().build_v1alpha().expect("the descriptors are those that were compiled");
    Box::new(move |request| server.clone().call(request))
}
