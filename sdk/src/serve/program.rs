//! A program in whatever language, as the machinery that attaches services sees it.

use super::{Ctx, Service, unknown_endpoint};
use crate::wire::{Endpoint, Fault, Streams};
use bytes::Bytes;
use futures::future::BoxFuture;

/// The sole endpoint of what takes HTTP as it is: all paths.
const ALL: &str = "/";

/// The program. It is called where it is, and never here.
pub(crate) enum Program {
    /// It takes HTTP as it is.
    Http,
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
        if matches!(self, Program::Grpc) {
            return Vec::new();
        }
        vec![Endpoint {
            name: ALL.to_owned(),
            request_schema: "true".to_owned(),
            response_schema: "true".to_owned(),
            doc: "Takes HTTP as it is.".to_owned(),
            routes: Vec::new(),
            streams: Streams::default(),
        }]
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
