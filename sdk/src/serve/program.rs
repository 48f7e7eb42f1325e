//! A program in whatever language, as the machinery that attaches services sees it.

use super::{Ctx, Service, unknown_endpoint};
use crate::wire::{Endpoint, Fault, Mount, Streams};
use bytes::Bytes;
use futures::future::BoxFuture;

/// The sole endpoint of what takes HTTP as it is: all paths.
const ALL: &str = "/";

/// The program. It is called where it is, and never here.
pub(crate) enum Program {
    /// It takes HTTP as it is, also at these places.
    Http(Vec<Mount>),
    /// It speaks gRPC, and says itself what it offers.
    Grpc,
}

impl Service for Program {
    fn name(&self) -> &str {
        "program"
    }

    fn version(&self) -> &str {
        ""
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let Program::Http(mounts) = self else { return Vec::new() };
        let all = Endpoint {
            name: ALL.to_owned(),
            request_schema: "true".to_owned(),
            response_schema: "true".to_owned(),
            doc: "Takes HTTP as it is.".to_owned(),
            routes: Vec::new(),
            streams: Streams::default(),
        };
        vec![mounts.iter().fold(all, Endpoint::mount)]
    }

    fn dispatch<'a>(
        &'a self,
        endpoint: &'a str,
        _ctx: Ctx,
        _body: Bytes,
    ) -> BoxFuture<'a, Result<Bytes, Fault>> {
        Box::pin(async move { Err(unknown_endpoint(self, endpoint)) })
    }
}
