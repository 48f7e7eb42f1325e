//! Node admission: the mesh's authority, join tokens, certificates and their renewal.
//!
//! ```text
//!   new node ── token's secret, public key ──► any node ── admit ──► leader ── use token ──► Raft
//!            ◄── certificate, peers ──────────────────────────────── unseal the authority, sign, add learner
//! ```
//!
//! The authority's private key lies in Raft, sealed. The key of the seal is a file on every voter, given to a learner
//! over its own link before it becomes a voter: so any voter can admit and renew, and no disk alone holds both on a
//! node that does not vote.

mod command;
mod machine;
mod platform;
mod seal;
mod state;

pub use command::{AuthCommand, AuthOutcome, NodeRecord};
pub use machine::AuthMachine;
pub use platform::{AUTH, AdmitRequest, AuthService, CreateTokenReply, CreateTokenRequest, UnsealRequest};
pub(crate) use platform::{decode, node_head};
pub use seal::{SealError, SealKey};
pub use state::AuthState;
#[cfg(test)]
pub(crate) use state::tests;
