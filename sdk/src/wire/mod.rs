//! The types that travel between processes, and the seams of time and chance.
//!
//! Nothing here does I/O or depends on a runtime: every other crate stands on this one.

mod account;
mod blob_hash;
mod codec;
mod fault;
mod head;
mod health;
mod id;
pub mod limits;
pub mod metadata;
mod mount;
mod name;
mod route;
mod seam;
mod service;
pub mod status;

pub use account::{
    ACCOUNT_NAME_BYTES_MAX, AccountCaller, AccountKind, AccountName, SCOPE_BYTES_MAX, SCOPES_MAX, Scope,
};
pub use blob_hash::{BlobHash, ParseHashError};
pub use codec::{Codec, CodecError};
pub use fault::{Code, Effect, Fault};
pub use head::{Caller, HOPS_MAX, Head};
pub use health::Health;
pub use id::{ClusterId, LogIndex, NodeId, ParseIdError, Term, TraceId};
pub use mount::{Mount, MountError};
pub use name::{COORDINATION, NameError, Namespace, ServiceName};
pub use route::{ROUTE_BYTES_MAX, ROUTE_METHOD_ANY, ROUTE_METHODS, Route, RouteError, Segment};
pub use seam::{Blocking, Clock, Entropy, Job, Seams, Timer};
pub use service::{Endpoint, Instance, InstanceAddress, InstanceId, Streams};
