//! Bytes that survive.
//!
//! Six seams, bundled in [`Storage`]: [`FileStore`] for a handful of small files, [`LogStore`] for the Raft log,
//! [`StateStore`] for what the log has been applied to, [`SnapshotStore`] for copies of that state on their way to
//! other nodes, [`BlobStore`] for large bytes, and [`Room`] for what is left. A [`Fence`] stands around the state and
//! its copies: behind the first checksum that does not hold, nothing is read from them. `disk` is what nodes run on;
//! `memory` is the same contract over a disk that can be made to fail, for the simulation. Both pass the suite in
//! [`conformance`].
//!
//! Nothing here knows Raft beyond the words "term" and "index", nor what the records mean.

pub mod blob_archive;
mod blob_digest;
mod blob_store;
pub mod conformance;
pub mod disk;
mod error;
mod fence;
mod file_name;
mod file_store;
mod log_extent;
mod log_store;
pub mod memory;
mod room;
mod sealed;
mod snapshot_store;
mod state_store;

pub use blob_store::{BLOB_CHUNK_BYTES, BlobIntake, BlobReader, BlobStore, StoredBlob};
pub use error::StorageError;
pub use fence::{Aside, Damage, Fence};
pub use file_store::FileStore;
pub use log_store::{Completion, LogMark, LogOp, LogRecord, LogStore};
pub use room::Room;
pub use snapshot_store::{Manifest, ManifestFile, SnapshotReader, SnapshotStore};
pub use state_store::{Batch, Change, Family, Order, ScanRange, StateStore, StateView};

use std::sync::Arc;

/// Everything that one node keeps.
#[derive(Clone)]
pub struct Storage {
    /// Identity, keys and settings: small files, each replaced as a whole.
    pub files: Arc<dyn FileStore>,
    /// The Raft log, its vote and its marks.
    pub log: Arc<dyn LogStore>,
    /// What the log has been applied to.
    pub state: Arc<dyn StateStore>,
    /// Copies of the state.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Large bytes, by their hash.
    pub blobs: Arc<dyn BlobStore>,
    /// How much more there is place for.
    pub room: Arc<dyn Room>,
    /// Whether the state is fit for use.
    pub fence: Fence,
}
