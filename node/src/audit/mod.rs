//! The audit log of this node: what was allowed and denied, in files that show when they were changed.
//!
//! ```text
//!   decisions ──► Audit: a queue ──► writer, a thread of its own ──► DATA_DIR/audit/<number of its first entry>.jsonl
//!                                                                     entry: {"seq":7, …, "prev": SHA-256 of line 6}
//! ```
//!
//! An entry is a line of JSON. Each names the hash of the line before it, so that a line that was changed or removed,
//! or a file, is found by whoever reads them through; and whoever keeps the hash of the last line elsewhere knows that
//! none before it was made anew. The number and the hash of the last line that was synced are also among the node's
//! small files, for what is removed from the end. The oldest files are given up as new ones come, and an entry says so.
//!
//! Nothing here decides, and nothing waits for it. It is no part of a simulation, which has neither files nor threads.
#![allow(clippy::disallowed_methods, reason = "an operator's files, written by a thread of their own")]

mod chain;
mod digest;
mod entry;
mod follower;
mod query;
mod repeats;
mod segments;
#[cfg(test)]
mod tests;
mod trail;
mod verification;
mod writer;

pub use chain::AuditBounds;
pub use digest::Digest;
pub use entry::Entry;
pub use follower::Follower;
pub use query::Query;
pub use trail::Trail;
pub use verification::{Break, Verification};
