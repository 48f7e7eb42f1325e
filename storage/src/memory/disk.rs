//! The disk itself: what it holds, its faults, and the crash.

use super::{blobs::BlobPlatter, log::LogPlatter, snapshots::SnapshotPlatter, state::StatePlatter};
use crate::{Aside, Damage, Family, Room, StateView, StorageError};
use bytes::Bytes;
use micro_sdk::wire::BlobHash;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How the disk behaves from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How long one sync of the log takes. Half a millisecond on a healthy disk.
    pub sync_latency: Duration,
    /// Whether there is no room left: what writes fails with [`StorageError::Full`], and the log takes no more writes
    /// until it is opened again.
    pub full: bool,
    /// Whether there is little room left. Writes succeed: it is on those who write to stop.
    pub scarce: bool,
    /// Whether the next sync of the log fails with an I/O error, after which it takes no more writes until it is opened
    /// again. Falls back to false when it has happened.
    pub sync_fails_next: bool,
    /// Whether the engine of the state has failed to make durable what was written, on its own account, so that it
    /// takes no more writes until it is opened again. Falls back to false then.
    pub state_fails: bool,
}

impl Default for Faults {
    fn default() -> Self {
        // What a cloud's local SSD takes to flush.
        Faults {
            sync_latency: Duration::from_micros(500),
            full: false,
            scarce: false,
            sync_fails_next: false,
            state_fails: false,
        }
    }
}

/// A mistake that the disk can be told to make, to prove that the simulation's checkers see it. Never on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PlantedBug {
    /// Operations of the log are completed before they are durable.
    AckBeforeSync,
    /// Votes are completed, and read back, but gone after a crash.
    VoteNotPersisted,
    /// Blobs are there, and read back, but gone after a crash.
    BlobNotSynced,
    /// The state is read without a look at its checksums.
    RotUnseen,
    /// A log with a damaged record is opened all the same, without that record and all behind it.
    DamagedLogCut,
}

/// A disk that outlives its node. Shared by whoever simulates the crash and the storage that is open on it.
#[derive(Default)]
pub struct MemoryDisk {
    disk: Mutex<Disk>,
}

/// Everything on it.
#[derive(Default)]
pub(super) struct Disk {
    /// Counts the starts and crashes. A handle of another generation is inert.
    pub generation: u64,
    pub faults: Faults,
    pub bugs: BTreeSet<PlantedBug>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub log: LogPlatter,
    pub state: StatePlatter,
    pub snapshots: SnapshotPlatter,
    pub blobs: BlobPlatter,
    /// The note that the state is damaged.
    pub damage: Option<Damage>,
    /// The damaged states that were replaced, by name.
    pub aside: Vec<Aside>,
}

impl MemoryDisk {
    /// An empty, healthy disk.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How it behaves.
    pub fn faults(&self) -> Faults {
        self.lock().faults
    }

    /// Changes how it behaves from now on. A sync under way is judged when it ends.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Plants a bug, for good.
    pub fn plant(&self, bug: PlantedBug) {
        self.lock().bugs.insert(bug);
    }

    /// Cuts the power. Of the log's operations that were not synced a prefix is kept, possibly none or all, and the
    /// state falls back to some write between its last flush and now: both as `seed` has it. Handles become inert.
    pub fn crash(&self, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let owed = {
            let mut guard = self.lock();
            let disk = &mut *guard;
            disk.generation += 1;
            let kept = rng.random_range(0..=disk.log.unsynced_count());
            let undone = rng.random_range(0..=disk.state.unflushed_count());
            disk.state.undo(undone);
            disk.snapshots.drop_incoming();
            disk.blobs.crash();
            disk.log.restart(kept, &disk.bugs)
        };
        drop(owed); // Outside the lock: what a completion holds may reach back to the disk when it is dropped.
    }

    /// Flips one bit of one stored record of the log, both as `seed` has it. Returns the record's index, or none when
    /// there is no record. Reading that record, and opening the log, fails with [`StorageError::Corrupt`] from then on.
    pub fn flip_bit(&self, seed: u64) -> Option<u64> {
        let mut rng = SmallRng::seed_from_u64(seed);
        self.lock().log.flip_bit(&mut rng)
    }

    /// Flips one bit of one blob, both as `seed` has it. Returns which one, or none when there is none. Reading it
    /// fails with [`StorageError::Corrupt`] from then on.
    pub fn flip_blob_bit(&self, seed: u64) -> Option<BlobHash> {
        let mut rng = SmallRng::seed_from_u64(seed);
        self.lock().blobs.flip_bit(&mut rng)
    }

    /// The blobs on it that are what was written, whether a node runs or not: for checkers.
    pub fn whole_blobs(&self) -> BTreeSet<BlobHash> {
        self.lock().blobs.whole()
    }

    /// Flips one bit of one value of the state, both as `seed` has it. Returns the value's key, or none when there is
    /// no value. Reading it fails with [`StorageError::Corrupt`] from then on, unless it is written anew before.
    pub fn rot_state(&self, seed: u64) -> Option<(Family, Bytes)> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let disk = &mut *self.lock();
        disk.state.rot(&mut rng, !disk.bugs.contains(&PlantedBug::RotUnseen))
    }

    /// Whether the state is damaged, found out or not.
    pub fn is_rotten(&self) -> bool {
        let disk = self.lock();
        disk.damage.is_some() || disk.state.whole().is_err()
    }

    /// Shows `look` the state as it lies on the disk, past the fence: for whoever looks at a node from outside.
    pub fn look_at_state(&self, look: &mut dyn FnMut(&dyn StateView)) {
        look(&self.lock().state);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open disk, as long as no other start or crash came after it.
#[derive(Clone)]
pub(super) struct Handle {
    disk: Arc<MemoryDisk>,
    generation: u64,
}

impl Handle {
    pub fn new(disk: &Arc<MemoryDisk>) -> Self {
        let (generation, owed) = {
            let mut guard = disk.lock();
            let inner = &mut *guard;
            inner.generation += 1;
            inner.faults.state_fails = false;
            let all = inner.log.unsynced_count();
            inner.snapshots.drop_incoming();
            (inner.generation, inner.log.restart(all, &inner.bugs))
        };
        drop(owed);
        Handle { disk: disk.clone(), generation }
    }

    /// Reads the whole log, as an engine on files does when it is opened.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] for the first record that is not what was written.
    pub fn check_log(&self) -> Result<(), StorageError> {
        let disk = &mut *self.lock()?;
        disk.log.check(&disk.bugs)
    }

    /// The disk, unless this handle is inert.
    pub fn lock(&self) -> Result<MutexGuard<'_, Disk>, StorageError> {
        let disk = self.disk.lock();
        if disk.generation == self.generation {
            Ok(disk)
        } else {
            Err(io::Error::other("this handle was opened before a crash of the disk").into())
        }
    }

    /// The disk, to write to it.
    pub fn lock_to_write(&self) -> Result<MutexGuard<'_, Disk>, StorageError> {
        let disk = self.lock()?;
        disk.faults.check_room()?;
        Ok(disk)
    }
}

impl Room for Handle {
    fn free_bytes(&self) -> Result<u64, StorageError> {
        let faults = self.lock()?.faults;
        Ok(if faults.full || faults.scarce { 0 } else { u64::MAX })
    }
}

impl Faults {
    pub(super) fn check_room(&self) -> Result<(), StorageError> {
        match self.full {
            true => Err(StorageError::Full("the simulated disk has no room".to_owned())),
            false => Ok(()),
        }
    }
}
