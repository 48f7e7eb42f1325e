//! Bugs of an engine of storage, planted between it and the node.

mod expiry;
mod snapshots;

use crate::options::PlantedBug;
use bytes::Bytes;
use expiry::{Expiries, ExpiryState};
use micro_actors::IDENTITY_FILE;
use micro_sdk::wire::Clock;
use micro_storage::{
    Batch, Change, Completion, Family, FileStore, LogMark, LogOp, LogRecord, LogStore, Room, ScanRange,
    StateStore, StateView, Storage, StorageError,
};
use snapshots::{PlantedSnapshots, SnapshotBug};
use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

/// The storage with its bug, if it is to have one.
pub fn with_bug(mut storage: Storage, bug: Option<PlantedBug>, clock: Arc<dyn Clock>) -> Storage {
    match bug {
        Some(PlantedBug::SyncErrorSwallowed) => storage.log = Arc::new(SwallowingLog(storage.log)),
        Some(PlantedBug::OutcomesLostInSnapshots) => {
            let bug = SnapshotBug::OutcomesLost(storage.state.clone());
            storage.snapshots = Arc::new(PlantedSnapshots { snapshots: storage.snapshots, bug });
        }
        Some(PlantedBug::OldCopies) => {
            let bug = SnapshotBug::OldHandedOut;
            storage.snapshots = Arc::new(PlantedSnapshots { snapshots: storage.snapshots, bug });
        }
        Some(PlantedBug::ReadersHoldUp) => {
            let bug = SnapshotBug::HeldUpByReaders(Arc::default());
            storage.snapshots = Arc::new(PlantedSnapshots { snapshots: storage.snapshots, bug });
        }
        Some(PlantedBug::AppliedIndexApart) => {
            let state = storage.state;
            storage.state = Arc::new(ApartState { state, owed: Mutex::default() });
        }
        Some(PlantedBug::ExpiryByOwnClock) => {
            let state = storage.state;
            storage.state = Arc::new(ExpiryState { state, expiries: Expiries::ByOwnClock(clock) });
        }
        Some(PlantedBug::RenewalsForgotten) => {
            let state = storage.state;
            storage.state = Arc::new(ExpiryState { state, expiries: Expiries::NeverForgotten });
        }
        Some(PlantedBug::LeasesEndEarly) => {
            let state = storage.state;
            storage.state = Arc::new(ExpiryState { state, expiries: Expiries::Early });
        }
        Some(PlantedBug::RenewalsSkipped) => storage.files = Arc::new(StuckIdentity(storage.files)),
        Some(PlantedBug::RoomUnseen) => storage.room = Arc::new(BoundlessRoom),
        _ => {}
    }
    storage
}

/// Files in which an identity that is there stays as it is.
struct StuckIdentity(Arc<dyn FileStore>);

impl FileStore for StuckIdentity {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.read(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        if name == IDENTITY_FILE && self.0.read(name)?.is_some() {
            return Err(StorageError::Io(std::io::Error::other(format!("{name} can't be written"))));
        }
        self.0.write(name, content)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.0.remove(name)
    }
}

/// Says that there is always room.
struct BoundlessRoom;

impl Room for BoundlessRoom {
    fn free_bytes(&self) -> Result<u64, StorageError> {
        Ok(u64::MAX)
    }
}

/// Says that a sync went well that did not (Rebello and others: "Can applications recover from fsync failures?", ATC
/// 2020).
struct SwallowingLog(Arc<dyn LogStore>);

impl LogStore for SwallowingLog {
    fn submit(&self, op: LogOp, done: Completion) {
        self.0.submit(op, Box::new(move |_| done(Ok(()))));
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, StorageError> {
        self.0.read(range, bytes_max)
    }

    fn range(&self) -> Result<Range<u64>, StorageError> {
        self.0.range()
    }

    fn tail(&self, bytes: u64) -> Result<u64, StorageError> {
        self.0.tail(bytes)
    }

    fn mark(&self, mark: LogMark) -> Result<Option<Bytes>, StorageError> {
        self.0.mark(mark)
    }
}

/// Writes how far the log has been applied not with the effects, but along with the next ones (etcd 3.5's first
/// releases, etcd-io/etcd#13766).
struct ApartState {
    state: Arc<dyn StateStore>,
    owed: Mutex<Vec<(Family, Bytes, Change)>>,
}

impl StateStore for ApartState {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.state.get(family, key)
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        self.state.scan(family, range, limit, bytes_max)
    }

    fn view(&self, look: &mut dyn FnMut(&dyn StateView)) -> Result<(), StorageError> {
        self.state.view(look)
    }

    fn write(&self, mut batch: Batch) -> Result<(), StorageError> {
        let own: Vec<_> = batch.changes.extract_if(.., |(family, ..)| *family == Family::Raft).collect();
        let owed = std::mem::replace(&mut *self.owed.lock().expect("nothing panics while it owes"), own);
        batch.changes.extend(owed);
        self.state.write(batch)
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.state.flush()
    }
}
