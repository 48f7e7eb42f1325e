//! The configuration of the mesh: one tree of values for each namespace, with history, secrets, schemas and staged
//! changes.
//!
//! ```text
//!   a change ──► one look at the state: what it comes to ──► one transaction, if the head is still the same ──► done
//!                        ▲                                              │
//!                        └─────────────── somebody was faster ──────────┘
//! ```
//!
//! What is kept are records of the store in a database that no request can name. So Raft, snapshots, watches and
//! durability are the store's; what is here decides what a change comes to, and nothing else.
//!
//! Secrets are sealed before they become part of a transaction. Only voters have what opens the keys; another node
//! passes the request on to the leader.

mod canary;
mod commit;
mod document;
mod effort;
mod inheritance;
mod leaf;
mod lost;
mod origins;
mod path;
mod plaintext;
mod plan;
mod platform;
mod reading;
mod record;
mod request;
mod rotation;
mod schema;
mod setting;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod vault;
mod watch;
mod writing;

pub use inheritance::{Inherited, MeshSeal, inherit_keys};
pub use lost::LostSecrets;
pub use origins::{InstanceReply, Origin, OriginsRequest};
pub use path::ConfigPath;
pub use plaintext::Plaintext;
pub(crate) use platform::ConfigParts;
pub use platform::{CONFIG, ConfigService};
pub use request::{
    CanaryView, ChangeReply, ChangeRequest, ChangeView, DiffRequest, EditView, GetRequest, HistoryReply,
    HistoryRequest, LeafView, Reading, RotateReply, RotateRequest, SetSchemaRequest, What,
};
pub use watch::{ConfigUpdate, ConfigWatch, WatchConfigRequest};
