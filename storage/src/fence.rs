//! The fence around the state and its copies. The first checksum that does not hold shuts it: from then on nothing is
//! read from the state nor written to it, since what else is wrong there nobody can say. It is written down first, so
//! that the next start knows it too, and opened again only by a whole state that takes the damaged one's place.
//!
//! Engines find damage; the fence keeps everybody away from it. It knows of no engine. It also tells whoever waits for
//! that when the disk has failed under the state.

use crate::{
    Batch, Family, Manifest, Order, ScanRange, SnapshotReader, SnapshotStore, StateStore, StateView, Storage,
    StorageError,
};
use bytes::Bytes;
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// What was found not to be what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which file or part of the state.
    pub what: String,
    /// How it shows, with the offset if the engine knows it.
    pub detail: String,
}

impl Damage {
    fn error(&self) -> StorageError {
        StorageError::corrupt(&self.what, &self.detail)
    }
}

/// A damaged state that was replaced. Only a person may remove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Its name in the data directory.
    pub name: String,
    /// What was found in it.
    pub damage: Damage,
}

/// What an engine remembers of its own damage.
pub(crate) trait DamageNotes: Send + Sync + 'static {
    /// Writes down, durably, that the state is damaged. What is written there already stays.
    fn note(&self, damage: &Damage) -> Result<(), StorageError>;

    /// The damaged states that were replaced.
    fn aside(&self) -> Result<Vec<Aside>, StorageError>;
}

/// The fence of one storage. Clones are the same.
#[derive(Clone)]
pub struct Fence(Arc<Inner>);

struct Inner {
    /// The same as whether there is damage: one load for each key that is read.
    shut: AtomicBool,
    damage: watch::Sender<Option<Damage>>,
    /// Whether the damage was known when the storage was opened, so that nobody has read from the state: only then
    /// another may take its place.
    at_open: bool,
    notes: Box<dyn DamageNotes>,
    /// Whether what was found has been written down, or was known before.
    noted: AtomicBool,
    /// What has failed, once the disk has under the state: what was written there may be gone.
    failure: watch::Sender<Option<String>>,
}

impl Fence {
    /// The fence of a storage that was found `damaged` when it was opened, or was not.
    pub(crate) fn new(notes: impl DamageNotes, damaged: Option<Damage>) -> Self {
        Fence(Arc::new(Inner {
            shut: AtomicBool::new(damaged.is_some()),
            at_open: damaged.is_some(),
            noted: AtomicBool::new(damaged.is_some()),
            damage: watch::Sender::new(damaged),
            notes: Box::new(notes),
            failure: watch::Sender::new(None),
        }))
    }

    /// The same storage, behind this fence.
    pub(crate) fn around(&self, mut storage: Storage) -> Storage {
        storage.state = Arc::new(FencedState { state: storage.state, fence: self.clone() });
        storage.snapshots = Arc::new(FencedSnapshots { snapshots: storage.snapshots, fence: self.clone() });
        storage
    }

    /// Why the state can't be used; none if it can.
    pub fn damage(&self) -> Option<Damage> {
        self.0.damage.borrow().clone()
    }

    /// Waits until the state can't be used, and says why.
    pub async fn shut(&self) -> Damage {
        let mut damage = self.0.damage.subscribe();
        match damage.wait_for(Option::is_some).await.map(|damage| damage.clone()) {
            Ok(Some(damage)) => damage,
            // The sender is here, so that it does not end; and what was waited for is there.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Waits until the disk has failed under the state, and says how. From then on nobody knows what of the state is
    /// durable, and only a start that takes it from the log again helps.
    pub async fn failed(&self) -> String {
        let mut failure = self.0.failure.subscribe();
        match failure.wait_for(Option::is_some).await.map(|failure| failure.clone()) {
            Ok(Some(failure)) => failure,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Takes note of a failure of the disk, as [`failed`](Self::failed) tells it. A full disk has lost nothing.
    fn note_failure<T>(&self, done: Result<T, StorageError>) -> Result<T, StorageError> {
        done.inspect_err(|error| {
            let StorageError::Io(failure) = error else { return };
            // A caller's mistake.
            if failure.kind() == io::ErrorKind::InvalidInput {
                return;
            }
            self.0.failure.send_if_modified(|known| {
                let first = known.is_none();
                known.get_or_insert_with(|| error.to_string());
                first
            });
        })
    }

    /// The damaged states that were replaced and still lie in the data directory.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn aside(&self) -> Result<Vec<Aside>, StorageError> {
        self.0.notes.aside()
    }

    /// Does `work` unless the fence is shut, and shuts it if that meets damage.
    fn guard<T>(&self, work: impl FnOnce() -> Result<T, StorageError>) -> Result<T, StorageError> {
        self.pass()?;
        let done = work().inspect_err(|error| self.judge(error));
        self.write_down();
        done
    }

    fn pass(&self) -> Result<(), StorageError> {
        if !self.0.shut.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.damage() {
            Some(damage) => Err(damage.error()),
            None => Ok(()),
        }
    }

    /// Shuts the fence if `error` means damage. An engine may be in the midst of a call, so nothing is asked of it.
    fn judge(&self, error: &StorageError) {
        let StorageError::Corrupt { what, detail } = error else { return };
        let first = self.0.damage.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert_with(|| Damage { what: what.clone(), detail: detail.clone() });
            first
        });
        self.0.shut.store(true, Ordering::Release);
        if first {
            tracing::error!(what, detail, "the state is damaged: nothing is read from it any more");
        }
    }

    /// Writes down what was found, once.
    fn write_down(&self) {
        if !self.0.shut.load(Ordering::Acquire) || self.0.noted.swap(true, Ordering::AcqRel) {
            return;
        }
        let Some(damage) = self.damage() else { return };
        if let Err(error) = self.0.notes.note(&damage) {
            tracing::error!(%error, "that the state is damaged can't be written down: the next start has to find it anew");
        }
    }

    /// Opens the fence: another state has taken the damaged one's place.
    fn lift(&self) {
        self.0.damage.send_replace(None);
        self.0.shut.store(false, Ordering::Release);
        self.0.noted.store(false, Ordering::Release);
    }
}

struct FencedState {
    state: Arc<dyn StateStore>,
    fence: Fence,
}

impl StateStore for FencedState {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.fence.guard(|| self.state.get(family, key))
    }

    fn get_sorted(&self, family: Family, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, StorageError> {
        self.fence.guard(|| self.state.get_sorted(family, keys))
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        self.fence.guard(|| self.state.scan(family, range, limit, bytes_max))
    }

    fn view(&self, look: &mut dyn FnMut(&dyn StateView)) -> Result<(), StorageError> {
        self.fence.guard(|| self.state.view(&mut |view| look(&FencedView { view, fence: &self.fence })))
    }

    fn write(&self, batch: Batch) -> Result<(), StorageError> {
        self.fence.note_failure(self.fence.guard(|| self.state.write(batch)))
    }

    fn flush(&self) -> Result<(), StorageError> {
        self.fence.note_failure(self.fence.guard(|| self.state.flush()))
    }

    fn probe(&self) -> Result<(), StorageError> {
        self.fence.note_failure(self.fence.guard(|| self.state.probe()))
    }
}

/// What it meets is written down once the look is over.
struct FencedView<'a> {
    view: &'a dyn StateView,
    fence: &'a Fence,
}

impl StateView for FencedView<'_> {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        self.fence.pass()?;
        self.view.get(family, key).inspect_err(|error| self.fence.judge(error))
    }

    fn scan(
        &self,
        family: Family,
        range: ScanRange,
        order: Order,
        limit: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
        self.fence.pass()?;
        let found = self.view.scan(family, range, order, limit, bytes_max);
        found.inspect_err(|error| self.fence.judge(error))
    }
}

struct FencedSnapshots {
    snapshots: Arc<dyn SnapshotStore>,
    fence: Fence,
}

impl SnapshotStore for FencedSnapshots {
    fn create(&self, id: &str) -> Result<Manifest, StorageError> {
        self.fence.note_failure(self.fence.guard(|| self.snapshots.create(id)))
    }

    fn current(&self) -> Result<Option<Manifest>, StorageError> {
        self.fence.guard(|| self.snapshots.current())
    }

    fn open(&self, id: &str) -> Result<Arc<dyn SnapshotReader>, StorageError> {
        let reader = self.fence.guard(|| self.snapshots.open(id))?;
        Ok(Arc::new(FencedReader { reader, fence: self.fence.clone() }))
    }

    fn verify(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.fence.guard(|| self.snapshots.verify(manifest))
    }

    fn receive(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.snapshots.receive(manifest)
    }

    fn receive_chunk(&self, file: &str, chunk: &[u8]) -> Result<(), StorageError> {
        self.snapshots.receive_chunk(file, chunk)
    }

    /// Damage in it is another's: the state here is as it was.
    fn check(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.snapshots.check(manifest)
    }

    fn install(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let Some(damage) = self.fence.damage() else { return self.snapshots.install(manifest) };
        if !self.fence.0.at_open {
            return Err(damage.error());
        }
        // Whole, before anything is written down: until then a start may be refused with nothing changed.
        self.snapshots.check(manifest)?;
        self.fence.0.notes.note(&damage)?;
        self.snapshots.install(manifest)?;
        self.fence.lift();
        Ok(())
    }
}

/// The reader of a snapshot, until its fence is shut.
struct FencedReader {
    reader: Arc<dyn SnapshotReader>,
    fence: Fence,
}

impl SnapshotReader for FencedReader {
    fn read(&self, file: &str, offset: u64, bytes: usize) -> Result<Bytes, StorageError> {
        self.fence.guard(|| self.reader.read(file, offset, bytes))
    }
}
