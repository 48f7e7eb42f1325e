//! The actor kit, and the platform services built on it.
//!
//! Each platform service is one supervised ractor actor on every node, found by name through the node's own
//! [`Directory`] (ractor's registry is global to the process, and a process may hold many nodes). A person's service is
//! called the same way: [`Dispatch`] resolves a name to an actor here, an instance attached here, or another node.
//!
//! ractor mailboxes have no bound, so nothing enters one without a permit and a deadline.

pub mod acme;
mod address_book;
pub mod audit;
pub mod auth;
mod authorize;
pub mod blob;
pub mod calls;
pub mod config;
mod housekeeping;
mod kit;
mod machines;
pub mod network;
pub mod policy;
pub mod protobuf;
pub mod registry;
mod renewal;
mod spelling;
pub mod store;
mod system;

pub use address_book::{AddressBook, Peers, learn_peers};
pub(crate) use authorize::grants;
pub use authorize::{Action, authorize, explain, may_reach, would_reach};
pub use kit::{
    ANY_METHOD, Answer, Body, Directory, Dispatch, Invocation, Platform, RAW, RawRequest, STOP_GRACE,
    ServiceRef, Supervisor, is_opaque, shut_down, uncallable,
};
pub use machines::Machines;
pub use registry::{header_begins_with, is_passed_on, is_reserved, strip_hops};
pub use renewal::{
    IDENTITY_FILE, TRUST_FILE, keep as keep_identity, kept_trust, renew_at_start, renew_by_proof,
};
pub use spelling::{folded, nearest};
pub use system::{MeshBackup, System, SystemConfig};
