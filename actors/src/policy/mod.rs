//! Policies: what the nodes do with the calls of a service, as its people want it.
//!
//! One document a service, kept as a record of the store's reserved database and followed by every node, so that a
//! change counts everywhere a moment later. Who may write what of a service the registry has may write its policy.

mod book;
mod document;
mod follower;
mod node_pattern;
mod policies;
mod span;
mod star;
mod sticky;
mod version;

pub(crate) use book::PolicyBook;
pub use document::{
    ATTEMPTS_MAX, BreakerPolicy, HedgePolicy, LimitPolicy, LocalityPolicy, POLICY_BYTES_MAX, Policy,
    RetryPolicy, WeightedRoute,
};
pub(crate) use follower::{PolicyFollower, table};
pub use node_pattern::{NodePattern, TraitPattern};
pub use policies::{KeptPolicy, Policies};
pub use sticky::Sticky;
pub use version::VersionPattern;
