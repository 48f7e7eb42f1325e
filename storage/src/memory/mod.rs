//! The contract of [`crate::Storage`] over a simulated disk: one that survives the crash of its node, loses what was
//! not synced, and can be made slow, full or faulty. For the simulation, and for tests.
//!
//! Deterministic: no clock, no thread, no chance of its own. What takes time happens through a [`Timer`]; where a crash
//! cuts comes from the seed that it is given.
//!
//! What the model promises and takes away:
//!
//! | part | kept by a crash |
//! |---|---|
//! | files, snapshots, blobs | all that a call returned from |
//! | log | every operation that was completed, and a prefix of those that were not |
//! | state | the state after some write not older than the last flush |

mod blobs;
mod damage;
mod disk;
mod files;
mod log;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;

pub use disk::{Faults, MemoryDisk, PlantedBug};

use crate::{Fence, Storage, StorageError};
use disk::Handle;
use log::MemoryLog;
use micro_sdk::wire::Timer;
use std::sync::Arc;

/// Starts a node on `disk`. Handles from before become inert: they change nothing, their reads fail, and completions
/// that are still owed to them are never called.
///
/// Without a [`MemoryDisk::crash`] before it this is the restart after an orderly end: what was submitted is kept.
/// `timer` runs the syncs of the log; it belongs to the node, and may die with it.
///
/// # Errors
/// [`StorageError::Corrupt`] if a record of the log is not what was written.
pub fn open(disk: &Arc<MemoryDisk>, timer: Arc<dyn Timer>) -> Result<Storage, StorageError> {
    let handle = Handle::new(disk);
    handle.check_log()?;
    let known = handle.lock()?.damage.clone();
    let fence = Fence::new(handle.clone(), known);
    Ok(fence.around(Storage {
        files: Arc::new(handle.clone()),
        log: Arc::new(MemoryLog::new(handle.clone(), timer)),
        state: Arc::new(handle.clone()),
        snapshots: Arc::new(handle.clone()),
        blobs: Arc::new(handle.clone()),
        room: Arc::new(handle),
        fence: fence.clone(),
    }))
}
