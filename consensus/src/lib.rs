//! One Raft group over storage and mesh: propose, read, watch, membership.
//!
//! The algorithm is openraft's; none of its types leave this crate. What is ours: the log adapter with its cache, the
//! replica that applies commands through a [`Machine`], the transport over mesh lanes, the queue that batches proposals
//! and passes them to the leader in one hop, and the coalesced read barrier.
//!
//! An acknowledged proposal is synced on a quorum. There is no faster default.

mod backup;
mod compactor;
mod config;
mod consensus;
mod contact;
mod entry;
mod errand;
mod error;
mod fetch;
mod findings;
mod gift;
mod intake;
mod lanes;
mod log;
mod machine;
mod membership;
mod message;
mod network;
mod observation;
mod office;
mod origins;
mod pace;
mod proposer;
mod raft;
mod read_only;
mod reader;
mod replica;
mod snapshot;
mod snapshot_chunks;
mod timekeeper;
mod transaction;
mod vigil;

pub use backup::{Backup, BackupFacts, Restoration, RestoreError};
pub use config::{
    ConsensusConfig, LOG_KEPT_BYTES_USUAL, LOG_KEPT_USUAL, PlantedBug, SNAPSHOT_BYTES_USUAL,
    SNAPSHOT_EVERY_USUAL,
};
pub use consensus::Consensus;
pub use error::{ConsensusError, ProposeError, ReadError};
pub use fetch::{FetchError, Fetched, fetch_state};
pub use findings::Finding;
pub use machine::Machine;
pub use observation::{LogPosition, Observation, Replication};
pub use pace::Pace;
pub use transaction::Transaction;
