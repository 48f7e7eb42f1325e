//! Services that speak protobuf, for callers that speak JSON, and the reverse. A service's descriptors say how its
//! messages stand in JSON (ProtoJSON); they are asked of the service itself, or it gives them when it attaches.

mod contract;
mod dialect;
mod mirror;
mod misread;
mod presence;
mod reflection;

pub use contract::Contract;
pub(crate) use contract::{MESSAGE_BYTES_MAX, from_json, to_json};
pub use dialect::{Dialect, PROTO_JSON, Schemas};
pub(crate) use mirror::{is_reflection, reflect};
pub use misread::misread;
pub use presence::until_gone;
pub use reflection::Reflection;
