//! Reflection of people's services (gRPC server reflection, v1 and v1alpha): their node tells what their descriptors
//! say, whether the server answers such questions itself or only gave its descriptors.

use super::Contract;
use crate::kit::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use micro_sdk::wire::{Code, Fault};
use std::convert::Infallible;
use tonic::Status;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::Builder,
};
use tower::Service;

/// The services of gRPC that are asked, the newer one first.
const SERVICES: [&str; 2] =
    [v1::server_reflection_server::SERVICE_NAME, v1alpha::server_reflection_server::SERVICE_NAME];
/// Their only method.
const METHOD: &str = "ServerReflectionInfo";

/// Which of [`SERVICES`] an endpoint is of.
fn version(endpoint: &str) -> Option<usize> {
    let (service, method) = endpoint.rsplit_once('.')?;
    SERVICES.iter().position(|known| *known == service && method == METHOD)
}

/// Whether an endpoint, by its full name, is that of reflection.
pub(crate) fn is_reflection(endpoint: &str) -> bool {
    version(endpoint).is_some()
}

/// Answers the questions in `body` by what is known of a service.
///
/// # Errors
/// [`Code::Failed`] if the descriptors are not what they were when they were taken.
pub(crate) async fn reflect(
    contract: &Contract,
    endpoint: &str,
    body: Body,
) -> Result<Response<Body>, Fault> {
    let descriptors = contract.descriptors();
    let builder = Builder::configure().register_encoded_file_descriptor_set(&descriptors);
    let broken = |error| Fault::new(Code::Failed, format!("the descriptors can't be told: {error}"));
    let version = version(endpoint).unwrap_or_default();
    let request = Request::post(format!("/{}/{METHOD}", SERVICES[version]))
        .body(body.map_err(Status::from))
        .map_err(|error| Fault::new(Code::Internal, error.to_string()))?;
    let answered: Result<Response<tonic::body::Body>, Infallible> = match version {
        0 => builder.build_v1().map_err(broken)?.call(request).await,
        _ => builder.build_v1alpha().map_err(broken)?.call(request).await,
    };
    let Ok(response) = answered;
    Ok(response.map(|body| body.map_err(Fault::from).boxed_unsync()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_known() {
        assert_eq!(version("grpc.reflection.v1.ServerReflection.ServerReflectionInfo"), Some(0));
        assert_eq!(version("grpc.reflection.v1alpha.ServerReflection.ServerReflectionInfo"), Some(1));
        for other in ["ServerReflectionInfo", "grpc.reflection.v1.ServerReflection.Other", "shop.Cart.Add"] {
            assert!(!is_reflection(other), "{other}");
        }
    }
}
