//! What nodes run on: one directory with a log of its own format, a RocksDB database, and a few small files.
//!
//! ```text
//! DATA_DIR/               0700
//!   LOCK                  held while a process has the directory open; the holder's pid
//!   LAYOUT                the version of all this; written once the first start has come through
//!   files/                small files: identity, keys, settings (0600 each)
//!   raft/                 the log and its marks, synced before anything is acknowledged; see `log`
//!   state/                RocksDB: what the log has been applied to, synced on request
//!   damaged               there while the state is known to be damaged; see `damage`
//!   state.damaged-<n>/    a damaged state that was replaced
//!   snapshots/<id>/       a copy: `manifest`, and `state/` with the files of a checkpoint
//!   given-up-<n>/         all of a node that was given up, but its blobs; see `remains`
//!   blobs/<hash>          large bytes under their SHA-256; see `blobs`
//!   audit/                the audit log; the node writes it, and here it is only known by its name
//! ```
//!
//! RocksDB runs threads and reads clocks of its own, so the simulation can't run this engine: it is held to the same
//! conformance suite as the memory engine instead, and to crash tests of its own.

#![allow(
    clippy::disallowed_methods,
    reason = "the one place with files, and the one thread that writes the log"
)]

mod blobs;
mod catalogue;
mod damage;
mod data_dir;
mod durable;
mod files;
mod log;
mod manifest;
mod options;
mod remains;
mod room;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;
mod trims;

pub use data_dir::{audit_path, file_path, foreign, owned, reset};
pub use remains::Remains;

use crate::{Fence, Storage, StorageError};
use blobs::DiskBlobs;
use data_dir::DataDir;
use files::DiskFiles;
use log::{SEGMENT_BYTES, SegmentLog};
use snapshots::RocksSnapshots;
use state::RocksState;
use std::{path::Path, sync::Arc};

/// Opens the data directory at `path`, and makes it first if there is none.
///
/// A state that is damaged does not keep the rest from being opened: the [`Fence`] is shut then, nothing can be read
/// from the state, and a snapshot may take its place.
///
/// The directory stays locked until the last handle of the storage is dropped. Dropping waits until the log's queue is
/// written and synced.
///
/// # Errors
/// - [`StorageError::InUse`] if another process (or this one) has it open.
/// - [`StorageError::Unwritable`] if it can't be made or written.
/// - [`StorageError::Layout`] if a build with another layout wrote it.
/// - [`StorageError::Corrupt`] if files of the log are missing or not what was written. Nothing is changed then.
/// - [`StorageError::Full`], [`StorageError::Io`] if the disk fails.
pub fn open(path: &Path) -> Result<Storage, StorageError> {
    open_with(path, SEGMENT_BYTES)
}

fn open_with(path: &Path, segment_bytes: u64) -> Result<Storage, StorageError> {
    let directory = Arc::new(DataDir::open(path)?);
    let cache = options::cache();
    let log = SegmentLog::open(&directory, segment_bytes)?;
    let (state, damage) = RocksState::open(&directory, &cache)?;
    let state = Arc::new(state);
    let snapshots = RocksSnapshots::open(&directory, &state)?;
    let blobs = DiskBlobs::open(&directory)?;
    directory.complete()?;
    let fence = Fence::new(damage::DiskNotes(directory.clone()), damage);
    Ok(fence.around(Storage {
        files: Arc::new(DiskFiles::new(&directory)),
        log: Arc::new(log),
        state,
        snapshots: Arc::new(snapshots),
        blobs: Arc::new(blobs),
        room: Arc::new(room::DiskRoom(directory)),
        fence: fence.clone(),
    }))
}
