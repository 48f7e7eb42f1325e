//! The flags about what a node keeps: of records, of the log that they come by, and of blobs.

use super::number;
use crate::config::StorageConfig;
use clap::Args;
use micro_actors::{
    blob::{COPIES_DEFAULT, COPIES_MAX},
    store::{TRANSACTION_OPS_MAX, TRANSACTION_OPS_USUAL},
};
use micro_consensus::{LOG_KEPT_USUAL, SNAPSHOT_EVERY_USUAL};
use std::ops::RangeInclusive;

/// How many operations a transaction may have: at least as many as the batches of the SDK, which are one each.
pub(super) const TRANSACTION_OPS: RangeInclusive<usize> = TRANSACTION_OPS_USUAL..=TRANSACTION_OPS_MAX;
/// How many copies of a blob there may be.
pub(super) const COPIES: RangeInclusive<usize> = 1..=COPIES_MAX as usize;
/// After how many entries a snapshot may be due: with fewer a busy node would make several a second, and with more it
/// would start for a minute, since that many may have to be done again.
pub(super) const SNAPSHOT_EVERY: RangeInclusive<usize> = 1_000..=10_000_000;
/// How many entries may be kept behind it: with fewer every replica that stumbles is sent a snapshot.
pub(super) const LOG_KEPT: RangeInclusive<usize> = 1_000..=10_000_000;

/// What a node keeps, and how.
#[derive(Debug, Args)]
pub(super) struct StorageFlags {
    /// Comparisons and operations of one transaction of a caller at most: 1024 to 4096
    #[arg(long, env = "MICRO_NODE_TRANSACTION_OPERATIONS", value_name = "N", default_value_t = TRANSACTION_OPS_USUAL,
          value_parser = number::<usize>(&TRANSACTION_OPS))]
    transaction_operations: usize,

    /// After how many entries of its log this node makes a snapshot, or after 128 MiB of it: 1000 to 10000000. Fewer
    /// make it start sooner and keep less on disk, and cost more checkpoints. Each node may have another number
    #[arg(long, env = "MICRO_NODE_SNAPSHOT_EVERY", value_name = "ENTRIES", default_value_t = SNAPSHOT_EVERY_USUAL,
          value_parser = number::<u64>(&SNAPSHOT_EVERY))]
    snapshot_every: u64,

    /// How many entries this node keeps behind a snapshot, in 256 MiB at most: 1000 to 10000000. A replica that lacks
    /// no more than the leader has kept catches up without the whole state. Each node may have another number
    #[arg(long, env = "MICRO_NODE_LOG_KEPT", value_name = "ENTRIES", default_value_t = LOG_KEPT_USUAL,
          value_parser = number::<u64>(&LOG_KEPT))]
    log_kept: u64,

    /// How many copies there are to be of a blob for which its put does not say it: 1 to 9. The node decides that takes
    /// the put, so give it to all of them
    #[arg(long, env = "MICRO_NODE_BLOB_COPIES", value_name = "N", default_value_t = COPIES_DEFAULT,
          value_parser = number::<u32>(&COPIES))]
    blob_copies: u32,
}

impl StorageFlags {
    /// What they say.
    pub(super) fn config(&self) -> StorageConfig {
        let StorageFlags { transaction_operations, snapshot_every, log_kept, blob_copies } = *self;
        StorageConfig { transaction_ops: transaction_operations, snapshot_every, log_kept, blob_copies }
    }
}
