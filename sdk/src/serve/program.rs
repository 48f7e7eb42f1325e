//! A program that takes HTTP as it is, as the machinery that attaches services sees it.

use super::{Ctx, Service, unknown_endpoint};
use crate::wire::{Endpoint, Fault, Streams};
use bytes::Bytes;
use futures::future::BoxFuture;

/// Its sole endpoint: all paths.
const ALL: &str = "/";

/// The program. It is called where it is, and never here.
pub(crate) struct Program;

impl Service for Program {
    fn name(&self) -> &str {
        "program"
    }

    fn version(&self) -> &str {
        ""
    }

    fn endpoints(&self) -> Vec<Endpoint> {
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
