//! What platform services are built on: a directory of actors, their supervisor, and dispatch by name.

mod conversation;
mod converse;
mod directory;
mod dispatch;
mod endpoint;
mod leader;
mod lost;
mod platform;
mod service_call;
mod service_ref;
mod supervisor;

pub(crate) use conversation::holding;
pub use conversation::{Body, RAW, RawRequest};
pub(crate) use converse::method;
pub use converse::{STOP_GRACE, shut_down};
pub use directory::Directory;
pub use dispatch::{Answer, Dispatch};
pub use endpoint::{ANY_METHOD, is_opaque, uncallable};
pub(crate) use leader::Leader;
pub use platform::{Invocation, Platform};
pub use service_ref::ServiceRef;
pub use supervisor::{Supervisor, SupervisorMessage};
