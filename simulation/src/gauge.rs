//! What is counted between a node and its disk: the snapshots of others that it has taken in, and what it writes to a
//! log that has little room left, which is full one day.

use bytes::Bytes;
use micro_storage::{
    Completion, LogMark, LogOp, LogRecord, LogStore, Manifest, SnapshotReader, SnapshotStore, Storage,
    StorageError,
    memory::{Faults, MemoryDisk},
};
use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

/// The records that a disk with little room left takes until it has none. More than a leader sends at once to one who
/// lags behind, since a node learns of its disk only when it looks; fewer than what clients write in some ten seconds,
/// so that a node which never looks is found out.
const SCARCE_RECORDS_MAX: usize = 600;

/// The counts of one host.
#[derive(Debug, Default)]
pub struct Gauge {
    snapshots: AtomicU32,
    scarce_records: AtomicUsize,
}

impl Gauge {
    /// How many snapshots of others were taken in.
    pub fn snapshots(&self) -> u32 {
        self.snapshots.load(Ordering::Relaxed)
    }

    /// The disk has little room left from now on, or enough again.
    pub fn set_scarce(&self, disk: &MemoryDisk, scarce: bool) {
        self.scarce_records.store(0, Ordering::Relaxed);
        disk.set_faults(Faults { scarce, ..disk.faults() });
    }
}

/// The storage of a host, counted.
pub fn gauged(mut storage: Storage, gauge: &Arc<Gauge>, disk: &Arc<MemoryDisk>) -> Storage {
    storage.log = Arc::new(GaugedLog { log: storage.log, gauge: gauge.clone(), disk: disk.clone() });
    storage.snapshots = Arc::new(GaugedSnapshots { snapshots: storage.snapshots, gauge: gauge.clone() });
    storage
}

struct GaugedLog {
    log: Arc<dyn LogStore>,
    gauge: Arc<Gauge>,
    disk: Arc<MemoryDisk>,
}

impl LogStore for GaugedLog {
    fn submit(&self, op: LogOp, done: Completion) {
        let faults = self.disk.faults();
        if let (LogOp::Append(records), true) = (&op, faults.scarce) {
            let before = self.gauge.scarce_records.fetch_add(records.len(), Ordering::Relaxed);
            if before + records.len() > SCARCE_RECORDS_MAX {
                self.disk.set_faults(Faults { full: true, ..faults });
            }
        }
        self.log.submit(op, done);
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, StorageError> {
        self.log.read(range, bytes_max)
    }

    fn range(&self) -> Result<Range<u64>, StorageError> {
        self.log.range()
    }

    fn tail(&self, bytes: u64) -> Result<u64, StorageError> {
        self.log.tail(bytes)
    }

    fn mark(&self, mark: LogMark) -> Result<Option<Bytes>, StorageError> {
        self.log.mark(mark)
    }
}

struct GaugedSnapshots {
    snapshots: Arc<dyn SnapshotStore>,
    gauge: Arc<Gauge>,
}

impl SnapshotStore for GaugedSnapshots {
    fn create(&self, id: &str) -> Result<Manifest, StorageError> {
        self.snapshots.create(id)
    }

    fn current(&self) -> Result<Option<Manifest>, StorageError> {
        self.snapshots.current()
    }

    fn open(&self, id: &str) -> Result<Arc<dyn SnapshotReader>, StorageError> {
        self.snapshots.open(id)
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
        self.gauge.snapshots.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
