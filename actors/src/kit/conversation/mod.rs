//! Calls whose request and answer go on: gRPC calls of all four kinds, carried as they are.
//!
//! Within a process a request is a body and the answer a response of the `http` crate, as they stand in HTTP/2; between
//! nodes they are the pieces of the mesh. What is in the messages is nobody's business here. Requests of HTTP for
//! instances that take them as they are go the same way.

mod metadata;
mod pieces;
mod raw;
mod replay;

pub(crate) use pieces::{reply, request_of, said_by, said_to};
pub use raw::{RAW, RawRequest};
pub(crate) use replay::Replay;

use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use micro_sdk::wire::Fault;

/// A request or an answer, as it comes. Its error says why there is no more.
pub type Body = UnsyncBoxBody<Bytes, Fault>;

/// The same body, which holds `held` for as long as it is there.
pub(crate) fn holding<T: Send + 'static>(body: Body, held: T) -> Body {
    body.map_frame(move |frame| {
        let _held = &held;
        frame
    })
    .boxed_unsync()
}
