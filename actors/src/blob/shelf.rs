//! The blobs of this node's disk, off the runtime's thread, and which of them must not be removed just now.

use super::limits::{ROOM_LEFT_BYTES, ROOM_LOOK_BYTES};
use bytes::Bytes;
use micro_sdk::wire::{BlobHash, Code, Fault, Seams};
use micro_storage::{BLOB_CHUNK_BYTES, BlobIntake, BlobReader, BlobStore, Room, StorageError, StoredBlob};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

/// The blobs of this node's disk. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shelf(Arc<Inner>);

struct Inner {
    blobs: Arc<dyn BlobStore>,
    room: Arc<dyn Room>,
    seams: Seams,
    /// What may be about to be named. Held while a blob is removed as well, so that none gets in between.
    pins: Mutex<BTreeMap<BlobHash, Pin>>,
    /// Everything counts as pinned when the node starts: it does not know who was about to name what.
    opened: Instant,
    damage: Notify,
}

/// Why a blob must not be removed.
#[derive(Clone, Copy)]
struct Pin {
    /// How many hold it now.
    holds: usize,
    /// Until when it is kept when none does.
    until: Instant,
}

/// Keeps a blob from being removed while it lives, and for a grace after that.
pub(crate) struct Hold {
    shelf: Shelf,
    hash: BlobHash,
    grace: Duration,
}

impl Hold {
    /// Keeps it for so long from when it is dropped.
    pub fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(pin) = self.shelf.pins().get_mut(&self.hash) {
            pin.holds -= 1;
            pin.until = pin.until.max(Instant::now() + self.grace);
        }
    }
}

/// A blob on its way in, written piece by piece.
pub(crate) struct Intake {
    intake: Box<dyn BlobIntake>,
    bytes: u64,
    /// At how many bytes the room is looked at again.
    look_at: u64,
}

/// A blob that is being read.
pub(crate) type Reader = Arc<dyn BlobReader>;

impl Shelf {
    pub fn new(blobs: Arc<dyn BlobStore>, room: Arc<dyn Room>, seams: Seams) -> Self {
        let (pins, damage) = (Mutex::default(), Notify::new());
        Shelf(Arc::new(Inner { blobs, room, seams, pins, opened: Instant::now(), damage }))
    }

    fn pins(&self) -> MutexGuard<'_, BTreeMap<BlobHash, Pin>> {
        self.0.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shelf) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (done, waiting) = oneshot::channel();
        let shelf = self.clone();
        self.0.seams.blocking.run(Box::new(move || drop(done.send(work(&shelf)))));
        waiting.await.map_err(|_| Fault::new(Code::Unavailable, "the node is shutting down"))?
    }

    /// Holds a blob, whether it is there or not. May wait for a removal: on a thread that may block.
    fn hold(&self, hash: BlobHash, grace: Duration) -> Hold {
        let until = Instant::now();
        self.pins().entry(hash).or_insert(Pin { holds: 0, until }).holds += 1;
        Hold { shelf: self.clone(), hash, grace }
    }

    /// Refuses what would leave too little room on this disk.
    fn check_room(&self, bytes: u64) -> Result<(), Fault> {
        let free = self.0.room.free_bytes().map_err(|error| failed(&error))?;
        if free >= bytes.saturating_add(ROOM_LEFT_BYTES) {
            return Ok(());
        }
        let left = format!("{free} bytes are free, and {ROOM_LEFT_BYTES} must stay so");
        let message = match bytes {
            0 => format!("the disk of this node is nearly full: {left}"),
            bytes => format!("the disk of this node has no room for a blob of {bytes} bytes: {left}"),
        };
        Err(Fault::new(Code::Unavailable, message)
            .help("free some space there, or give it more: it takes blobs again by itself")
            .help("or put it through another node"))
    }

    /// About how much room there is: the power of two.
    pub fn room(&self) -> u32 {
        self.0.room.free_bytes().map_or(0, |free| free.checked_ilog2().unwrap_or(0))
    }

    /// Starts to take in a blob of `bytes` bytes, if that is known.
    pub async fn begin(&self, bytes: u64) -> Result<Intake, Fault> {
        self.blocking(move |shelf| {
            shelf.check_room(bytes)?;
            let intake = shelf.0.blobs.begin().map_err(|error| failed(&error))?;
            Ok(Intake { intake, bytes: 0, look_at: ROOM_LOOK_BYTES })
        })
        .await
    }

    /// Adds a piece.
    pub async fn write(&self, mut intake: Intake, piece: Bytes) -> Result<Intake, Fault> {
        self.blocking(move |shelf| {
            intake.bytes += piece.len() as u64;
            if intake.bytes >= intake.look_at {
                shelf.check_room(0)?;
                intake.look_at = intake.bytes + ROOM_LOOK_BYTES;
            }
            intake.intake.write(&piece).map_err(|error| failed(&error))?;
            Ok(intake)
        })
        .await
    }

    /// Ends a blob and keeps it, held for as long as `grace` after the hold is gone; refuses one that `fits` does not
    /// take.
    pub async fn keep(
        &self,
        intake: Intake,
        grace: Duration,
        fits: impl FnOnce(StoredBlob) -> Result<(), Fault> + Send + 'static,
    ) -> Result<(StoredBlob, Hold), Fault> {
        self.blocking(move |shelf| {
            let mut intake = intake.intake;
            let stored = intake.seal().map_err(|error| failed(&error))?;
            fits(stored)?;
            let hold = shelf.hold(stored.hash, grace);
            intake.keep().map_err(|error| failed(&error))?;
            Ok((stored, hold))
        })
        .await
    }

    /// Holds a blob, and tells whether it is there.
    pub async fn hold_if_there(&self, hash: BlobHash, grace: Duration) -> Result<(bool, Hold), Fault> {
        self.blocking(move |shelf| {
            let hold = shelf.hold(hash, grace);
            Ok((shelf.open_here(hash)?.is_some(), hold))
        })
        .await
    }

    /// A blob to read. A damaged one is set aside, and is not there.
    pub async fn open(&self, hash: BlobHash) -> Result<Option<Reader>, Fault> {
        self.blocking(move |shelf| shelf.open_here(hash)).await
    }

    fn open_here(&self, hash: BlobHash) -> Result<Option<Reader>, Fault> {
        match self.0.blobs.open(hash) {
            Ok(reader) => Ok(reader.map(Arc::from)),
            Err(error @ StorageError::Corrupt { .. }) => {
                self.set_aside(hash, &error);
                Ok(None)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// A chunk of a blob, checked; none if it is damaged: the blob is set aside then.
    pub async fn chunk(&self, hash: BlobHash, reader: &Reader, number: u64) -> Result<Option<Bytes>, Fault> {
        let reader = reader.clone();
        self.blocking(move |shelf| match reader.chunk(number) {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error @ StorageError::Corrupt { .. }) => {
                shelf.set_aside(hash, &error);
                Ok(None)
            }
            Err(error) => Err(failed(&error)),
        })
        .await
    }

    /// Bytes of a blob from `at` on, up to the end of their chunk and not beyond `end`; none if they are damaged.
    pub async fn read(
        &self,
        hash: BlobHash,
        reader: &Reader,
        at: u64,
        end: u64,
    ) -> Result<Option<Bytes>, Fault> {
        let chunk_bytes = BLOB_CHUNK_BYTES as u64;
        let (number, within) = (at / chunk_bytes, at % chunk_bytes);
        let Some(chunk) = self.chunk(hash, reader, number).await? else { return Ok(None) };
        let length = usize::try_from((end - at).min(chunk_bytes)).unwrap_or(BLOB_CHUNK_BYTES);
        let from = usize::try_from(within).unwrap_or(0).min(chunk.len());
        Ok(Some(chunk.slice(from..from.saturating_add(length).min(chunk.len()))))
    }

    fn set_aside(&self, hash: BlobHash, error: &StorageError) {
        tracing::error!(%hash, %error, "a blob on this disk is damaged: it is set aside, and copied again");
        if let Err(error) = self.0.blobs.set_aside(hash) {
            tracing::error!(%hash, %error, "the damaged blob can't be set aside");
        }
        self.0.damage.notify_one();
    }

    /// Resolves when damage was found.
    pub async fn damaged(&self) {
        self.0.damage.notified().await;
    }

    /// All blobs that are there.
    pub async fn list(&self) -> Result<Vec<BlobHash>, Fault> {
        self.blocking(|shelf| shelf.0.blobs.list().map_err(|error| failed(&error))).await
    }

    /// Whether a blob may be removed if nothing names it: nobody holds it, and its grace is over.
    pub fn is_free(&self, hash: BlobHash, grace: Duration) -> bool {
        free(&self.pins(), hash, self.0.opened + grace)
    }

    /// Removes a blob, unless somebody holds it after all. Tells whether it did.
    pub async fn remove(&self, hash: BlobHash, grace: Duration) -> Result<bool, Fault> {
        self.blocking(move |shelf| {
            let mut pins = shelf.pins();
            if !free(&pins, hash, shelf.0.opened + grace) {
                return Ok(false);
            }
            pins.remove(&hash);
            shelf.0.blobs.remove(hash).map_err(|error| failed(&error))?;
            Ok(true)
        })
        .await
    }

    /// Forgets the graces that are over.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.pins().retain(|_, pin| pin.holds > 0 || pin.until > now);
    }
}

fn free(pins: &BTreeMap<BlobHash, Pin>, hash: BlobHash, from: Instant) -> bool {
    let now = Instant::now();
    now >= from && pins.get(&hash).is_none_or(|pin| pin.holds == 0 && now >= pin.until)
}

/// What a failure of the disk means for a caller.
pub(crate) fn failed(error: &StorageError) -> Fault {
    match error {
        StorageError::Full(_) => Fault::new(Code::Unavailable, error.to_string())
            .help("free some space on that node, or put it through another"),
        _ => Fault::new(Code::Failed, error.to_string()).help("see the log of the node"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use micro_sdk::wire::{Blocking, Clock, Entropy, Job, Timer};
    use micro_storage::memory::{self, MemoryDisk};
    use std::time::SystemTime;

    pub(in crate::blob) struct Still;

    impl Clock for Still {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
    }

    impl Entropy for Still {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(1);
        }
    }

    impl Blocking for Still {
        fn run(&self, job: Job) {
            job();
        }
    }

    impl Timer for Still {
        fn after(&self, _: Duration, job: Job) {
            job();
        }
    }

    const GRACE: Duration = Duration::from_secs(60);

    fn shelf(disk: &Arc<MemoryDisk>) -> Shelf {
        let storage = memory::open(disk, Arc::new(Still)).expect("an empty disk opens");
        let seams = Seams { clock: Arc::new(Still), entropy: Arc::new(Still), blocking: Arc::new(Still) };
        Shelf::new(storage.blobs, storage.room, seams)
    }

    pub(in crate::blob) async fn put(shelf: &Shelf, content: &'static [u8]) -> (StoredBlob, Hold) {
        let intake = shelf.begin(0).await.expect("there is room");
        let intake = shelf.write(intake, Bytes::from_static(content)).await.expect("there is room");
        shelf.keep(intake, GRACE, |_| Ok(())).await.expect("it is kept")
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_or_was_lately_is_not_removed() {
        let shelf = shelf(&MemoryDisk::new());
        tokio::time::advance(GRACE).await;
        let (stored, hold) = put(&shelf, b"a").await;
        assert_eq!(shelf.remove(stored.hash, GRACE).await, Ok(false), "it is held");
        tokio::time::advance(2 * GRACE).await;
        assert_eq!(shelf.remove(stored.hash, GRACE).await, Ok(false), "it is held for long");
        drop(hold);
        tokio::time::advance(GRACE / 2).await;
        shelf.tidy();
        assert_eq!(shelf.remove(stored.hash, GRACE).await, Ok(false), "its grace is not over");
        tokio::time::advance(GRACE).await;
        assert_eq!(shelf.remove(stored.hash, GRACE).await, Ok(true));
        assert_eq!(shelf.list().await, Ok(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_removed_soon_after_the_start() {
        let disk = MemoryDisk::new();
        let (stored, _) = put(&shelf(&disk), b"a").await;
        let again = shelf(&disk);
        assert_eq!(again.remove(stored.hash, GRACE).await, Ok(false));
        tokio::time::advance(GRACE).await;
        assert_eq!(again.remove(stored.hash, GRACE).await, Ok(true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_damaged_blob_is_set_aside() {
        let disk = MemoryDisk::new();
        let shelf = shelf(&disk);
        let (stored, _hold) = put(&shelf, b"a").await;
        let reader = shelf.open(stored.hash).await.expect("the disk is well").expect("it is there");
        assert_eq!(shelf.read(stored.hash, &reader, 0, 1).await, Ok(Some(Bytes::from_static(b"a"))));
        disk.flip_blob_bit(1);
        let reader = shelf.open(stored.hash).await.expect("the disk is well").expect("it is there");
        assert_eq!(shelf.read(stored.hash, &reader, 0, 1).await, Ok(None));
        shelf.damaged().await;
        assert_eq!(shelf.list().await, Ok(Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_put_that_would_fill_the_disk_is_refused() {
        let disk = MemoryDisk::new();
        let shelf = shelf(&disk);
        disk.set_faults(memory::Faults { scarce: true, ..memory::Faults::default() });
        let fault = shelf.begin(0).await.map(drop).expect_err("there is no room");
        assert_eq!(fault.code, Code::Unavailable);
        assert!(fault.message.contains("nearly full"), "{fault}");
    }
}
