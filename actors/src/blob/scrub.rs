//! Reads all blobs of this node's disk through, slowly, so that damage is found while there are other copies: what
//! nobody reads would rot unseen until the last one has. Where it has got to is kept, so that a restart goes on there.

use super::shelf::Shelf;
use bincode::{Decode, Encode};
use micro_sdk::wire::{BlobHash, Codec, Fault, Seams};
use micro_storage::{BLOB_CHUNK_BYTES, FileStore};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, sleep};

/// How long a round takes where nobody says otherwise: seldom enough to be no load, and often enough that two copies
/// hardly rot within one.
pub const SCRUB_ROUND: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most that is read a second: little of what a disk gives, and 4 TiB a week. A disk with more takes longer.
const PACE_BYTES_PER_S_MAX: u64 = 8 << 20;
/// The longest pause between two chunks: few blobs are read through soon, and then there is peace until the next round.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it is kept where it has got to: what was read since then is read again after a restart.
const KEEP_EVERY: Duration = Duration::from_secs(300);
/// The file with where it has got to.
const FILE: &str = "blob-scrub";
/// The most bytes that it has.
const FILE_BYTES_MAX: usize = 64;

/// Where a round has got to. Stored: changed, it is a new version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
struct Place {
    /// When the round began, in milliseconds since 1970.
    began_ms: u64,
    /// The last blob that was read, if any was.
    after: Option<BlobHash>,
}

/// The reader of one node's blobs.
pub(crate) struct Scrub {
    shelf: Shelf,
    files: Arc<dyn FileStore>,
    seams: Seams,
    round: Duration,
    place: Place,
    kept: Instant,
}

impl Scrub {
    /// Goes on where the file says, if it can be read. One round of all blobs takes `round`.
    pub fn new(shelf: Shelf, files: Arc<dyn FileStore>, seams: Seams, round: Duration) -> Self {
        let place = files.read(FILE).ok().flatten();
        let place = place.and_then(|file| Codec::decode::<Place, FILE_BYTES_MAX>(&file).ok());
        let place = place.unwrap_or(Place { began_ms: now_ms(&seams), after: None });
        Scrub { shelf, files, seams, round, place, kept: Instant::now() }
    }

    /// Reads until the task is ended.
    pub async fn run(mut self) {
        loop {
            if let Err(fault) = self.go_round().await {
                tracing::warn!(%fault, "the blobs on this disk could not be read through just now");
                sleep(PAUSE_MAX).await;
                continue;
            }
            sleep(self.left()).await;
            self.place = Place { began_ms: now_ms(&self.seams), after: None };
            self.keep();
        }
    }

    /// What is left of the time for this round. A clock that was put back begins it anew.
    fn left(&mut self) -> Duration {
        let now_ms = now_ms(&self.seams);
        self.place.began_ms = self.place.began_ms.min(now_ms);
        self.round.saturating_sub(Duration::from_millis(now_ms - self.place.began_ms))
    }

    /// Reads the blobs that are there now and come behind the last one that was read.
    async fn go_round(&mut self) -> Result<(), Fault> {
        let mut left: VecDeque<BlobHash> = self.shelf.list().await?.into();
        left.retain(|hash| self.place.after.is_none_or(|after| *hash > after));
        while let Some(hash) = left.pop_front() {
            let share = u32::try_from(left.len()).unwrap_or(u32::MAX).saturating_add(1);
            let time = self.left() / share;
            self.read(hash, time).await?;
            self.place.after = Some(hash);
            if self.kept.elapsed() >= KEEP_EVERY {
                self.keep();
            }
        }
        self.keep();
        Ok(())
    }

    /// Reads one blob in about this time, if it is still there. What is damaged is set aside by the reading, and the
    /// keeper is told.
    async fn read(&self, hash: BlobHash, time: Duration) -> Result<(), Fault> {
        let Some(reader) = self.shelf.open(hash).await? else { return Ok(()) };
        let chunks = reader.bytes().div_ceil(BLOB_CHUNK_BYTES as u64);
        let pause = time / u32::try_from(chunks.max(1)).unwrap_or(u32::MAX);
        for number in 0..chunks {
            let Some(chunk) = self.shelf.chunk(hash, &reader, number).await? else { return Ok(()) };
            let slowest = chunk.len() as u64 * 1000 / (PACE_BYTES_PER_S_MAX / 1000);
            sleep(pause.min(PAUSE_MAX).max(Duration::from_micros(slowest))).await;
        }
        Ok(())
    }

    /// Keeps where it has got to. If that fails the next start reads some blobs once more.
    fn keep(&mut self) {
        self.kept = Instant::now();
        let (files, place) = (self.files.clone(), Codec::encode(&self.place));
        self.seams.blocking.run(Box::new(move || {
            if let Err(error) = files.write(FILE, &place) {
                tracing::debug!(%error, "where the reading of the blobs has got to could not be kept");
            }
        }));
    }
}

/// The time of day, in milliseconds since 1970.
fn now_ms(seams: &Seams) -> u64 {
    let since = seams.clock.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::shelf::tests::{Still, put};
    use micro_sdk::wire::Clock;
    use micro_storage::memory::{self, MemoryDisk};

    const ROUND: Duration = Duration::from_secs(100);

    /// The time of the test's runtime.
    struct Paused(Instant);

    impl Clock for Paused {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.0.elapsed()
        }
    }

    fn open(disk: &Arc<MemoryDisk>, begin: Instant) -> (Shelf, Scrub) {
        let storage = memory::open(disk, Arc::new(Still)).expect("a good disk opens");
        let (entropy, blocking) = (Arc::new(Still), Arc::new(Still));
        let seams = Seams { clock: Arc::new(Paused(begin)), entropy, blocking };
        let shelf = Shelf::new(storage.blobs, storage.room, seams.clone());
        (shelf.clone(), Scrub::new(shelf, storage.files, seams, ROUND))
    }

    #[tokio::test(start_paused = true)]
    async fn damage_is_found_within_a_round_and_by_nobody_else() {
        let disk = MemoryDisk::new();
        let begin = Instant::now();
        let (shelf, scrub) = open(&disk, begin);
        for content in [b"a".as_slice(), b"b", b"c"] {
            put(&shelf, content).await;
        }
        let task = tokio::spawn(scrub.run());
        sleep(ROUND / 2).await;
        assert_eq!(shelf.list().await.map(|there| there.len()), Ok(3), "what is well stays");
        disk.flip_blob_bit(1).expect("there is a blob");
        let found = begin + ROUND * 2;
        tokio::time::timeout_at(found, shelf.damaged()).await.expect("it is found within the next round");
        assert_eq!(shelf.list().await.map(|there| there.len()), Ok(2), "it is set aside");
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_goes_on_where_it_was() {
        let disk = MemoryDisk::new();
        let begin = Instant::now();
        let (shelf, mut scrub) = open(&disk, begin);
        put(&shelf, b"a").await;
        scrub.go_round().await.expect("the disk is well");
        let place = scrub.place;
        assert!(place.after.is_some());
        drop(scrub);
        sleep(ROUND / 4).await;
        let (_, mut again) = open(&disk, begin);
        assert_eq!((again.place, again.left()), (place, ROUND - begin.elapsed()));
    }

    #[test]
    fn layouts_are_frozen() {
        let place = Place { began_ms: 5, after: Some(BlobHash([7; 32])) };
        let golden = [b"\x01\0\x05\x01".as_slice(), &[7; 32]].concat();
        assert_eq!(Codec::encode(&place), golden);
    }
}
