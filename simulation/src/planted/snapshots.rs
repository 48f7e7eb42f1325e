//! Snapshots with a bug.

use bytes::Bytes;
use micro_storage::{
    Batch, Family, Manifest, ScanRange, SnapshotReader, SnapshotStore, StateStore, StorageError,
};
use std::{ops::Bound, sync::Arc};

/// What is wrong with them.
pub enum SnapshotBug {
    /// One that is installed in this state lacks what repeated requests were answered.
    OutcomesLost(Arc<dyn StateStore>),
    /// One that is there already is handed out, instead of making one.
    OldHandedOut,
    /// None is made while another is read: whoever takes one slowly has the log grow. The readers hold a clone each.
    HeldUpByReaders(Arc<()>),
}

/// Snapshots with a bug.
pub struct PlantedSnapshots {
    pub snapshots: Arc<dyn SnapshotStore>,
    pub bug: SnapshotBug,
}

/// A reader that is counted.
struct CountedReader {
    reader: Arc<dyn SnapshotReader>,
    _count: Arc<()>,
}

impl SnapshotReader for CountedReader {
    fn read(&self, file: &str, offset: u64, bytes: usize) -> Result<Bytes, StorageError> {
        self.reader.read(file, offset, bytes)
    }
}

impl SnapshotStore for PlantedSnapshots {
    fn create(&self, id: &str) -> Result<Manifest, StorageError> {
        let keeps_old = match &self.bug {
            SnapshotBug::OutcomesLost(_) => false,
            SnapshotBug::OldHandedOut => true,
            SnapshotBug::HeldUpByReaders(readers) => Arc::strong_count(readers) > 1,
        };
        match self.snapshots.current()? {
            Some(old) if keeps_old => Ok(old),
            _ => self.snapshots.create(id),
        }
    }

    fn current(&self) -> Result<Option<Manifest>, StorageError> {
        self.snapshots.current()
    }

    fn open(&self, id: &str) -> Result<Arc<dyn SnapshotReader>, StorageError> {
        let reader = self.snapshots.open(id)?;
        Ok(match &self.bug {
            SnapshotBug::HeldUpByReaders(readers) => {
                Arc::new(CountedReader { reader, _count: readers.clone() })
            }
            _ => reader,
        })
    }

    fn verify(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.snapshots.verify(manifest)
    }

    fn receive(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.snapshots.receive(manifest)
    }

    fn receive_chunk(&self, file: &str, chunk: &[u8]) -> Result<(), StorageError> {
        self.snapshots.receive_chunk(file, chunk)
    }

    fn check(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.snapshots.check(manifest)
    }

    fn install(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.snapshots.install(manifest)?;
        let SnapshotBug::OutcomesLost(state) = &self.bug else { return Ok(()) };
        let all = ScanRange { start: Bound::Unbounded, end: Bound::Unbounded };
        let outcomes = state.scan(Family::Outcomes, all, usize::MAX, usize::MAX)?;
        let mut batch = Batch::default();
        outcomes.into_iter().for_each(|(key, _)| batch.delete(Family::Outcomes, key));
        state.write(batch)
    }
}
