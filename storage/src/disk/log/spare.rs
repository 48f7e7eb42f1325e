//! The file that becomes the next segment: filled in the background, or one whose records were purged.
//!
//! It is asked for when the current segment is half full. Before that, one that was purged may come back for nothing,
//! and a node that does little never needs it. The writer never waits for it: if none is ready it takes a new empty
//! file, which costs each sync more until the next segment begins, and loses nothing.

use super::segment::{self, Segment};
use crate::{
    StorageError,
    disk::{data_dir::DataDir, durable},
};
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread::{self, JoinHandle},
};

/// The next segment before it has its name, and before it is filled.
const SPARE: &str = "spare";
const SPARE_PART: &str = "spare.part";

enum Errand {
    /// There should be a spare file.
    Prepare,
    /// Nothing in this segment is needed any more.
    Retire(Arc<Segment>),
}

/// Prepares spare files on a thread of its own.
pub struct Spares {
    shelf: Arc<Shelf>,
    /// None only while it is dropped.
    errands: Option<Sender<Errand>>,
    thread: Option<JoinHandle<()>>,
}

/// Where the one spare file is.
struct Shelf {
    directory: PathBuf,
    segment_bytes: u64,
    /// Whether the file called `spare` is whole. Held while the name changes hands.
    ready: Mutex<Option<File>>,
    /// Keeps the lock until the thread has ended.
    _data_dir: Arc<DataDir>,
}

impl Spares {
    /// Starts the thread, and takes up the file that an earlier start has left.
    pub fn start(
        directory: &Path,
        segment_bytes: u64,
        data_dir: &Arc<DataDir>,
    ) -> Result<Self, StorageError> {
        durable::remove(&directory.join(SPARE_PART))?;
        let path = directory.join(SPARE);
        let left = OpenOptions::new().read(true).write(true).open(&path).ok();
        let left = left.filter(|file| file.metadata().is_ok_and(|meta| meta.len() == segment_bytes));
        let shelf = Arc::new(Shelf {
            directory: directory.to_owned(),
            segment_bytes,
            ready: Mutex::new(left),
            _data_dir: data_dir.clone(),
        });
        let (errands, waiting) = mpsc::channel();
        let work = shelf.clone();
        let thread = thread::Builder::new().name("log-spare".to_owned());
        let thread = thread.spawn(move || work.run(waiting))?;
        Ok(Spares { shelf, errands: Some(errands), thread: Some(thread) })
    }

    /// Sees to it that there is a spare file soon.
    pub fn prepare(&self) {
        self.send(Errand::Prepare);
    }

    /// Gives the spare file the name of the segment `sequence`. None if there is no spare file yet.
    pub fn take(&self, sequence: u64) -> Result<Option<Segment>, StorageError> {
        // Held until the file has its name: the thread may put the next one there at once.
        let mut ready = self.shelf.ready();
        let Some(file) = ready.take() else { return Ok(None) };
        let directory = &self.shelf.directory;
        let path = segment::put_in_place(directory, &directory.join(SPARE), sequence)?;
        Ok(Some(Segment { sequence, path, file }))
    }

    /// Makes the file of a segment that is not needed any more a spare one, or removes it.
    pub fn retire(&self, segment: Arc<Segment>) {
        self.send(Errand::Retire(segment));
    }

    fn send(&self, errand: Errand) {
        let errands = self.errands.as_ref().expect("it is there until this is dropped");
        if errands.send(errand).is_err() {
            tracing::warn!("the thread that prepares the log's files has ended");
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.errands = None;
        let Some(thread) = self.thread.take() else { return };
        if thread.join().is_err() {
            tracing::error!("the thread that prepares the log's files panicked");
        }
    }
}

impl Shelf {
    fn ready(&self) -> MutexGuard<'_, Option<File>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, errands: Receiver<Errand>) {
        for errand in errands {
            let done = match errand {
                Errand::Prepare => self.prepare(),
                Errand::Retire(segment) => self.reuse_or_remove(segment),
            };
            if let Err(error) = done {
                // The writer will meet the same disk, and then it is somebody's business.
                tracing::warn!(%error, "a file for the log could not be prepared or removed");
            }
        }
    }

    fn prepare(&self) -> Result<(), StorageError> {
        if self.ready().is_some() {
            return Ok(());
        }
        let part = self.directory.join(SPARE_PART);
        let file = segment::fill(&part, self.segment_bytes)?;
        self.put(&part, file)
    }

    /// A reader that began before the purge may still read the file: only one that nobody has open is written again.
    fn reuse_or_remove(&self, segment: Arc<Segment>) -> Result<(), StorageError> {
        let path = segment.path.clone();
        let whole = |file: &File| file.metadata().is_ok_and(|meta| meta.len() == self.segment_bytes);
        match Arc::try_unwrap(segment) {
            Ok(Segment { file, .. }) if self.ready().is_none() && whole(&file) => self.put(&path, file),
            // Synced, so that a power cut never leaves an old file without the ones between.
            _ => durable::remove(&path).and_then(|()| durable::sync_directory(&self.directory)),
        }
    }

    /// The name is durable before the file is offered: a power cut after it was written again must not bring back the
    /// name that it had.
    fn put(&self, path: &Path, file: File) -> Result<(), StorageError> {
        let mut ready = self.ready();
        durable::rename(path, &self.directory.join(SPARE))?;
        *ready = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purged_file_is_the_next_spare_one_unless_there_is_one() {
        let home = tempfile::tempdir().expect("there is room");
        let data_dir = Arc::new(DataDir::open(home.path()).expect("it is new"));
        let retired = |sequence: u64, bytes: u64| {
            let segment = Segment::create(home.path(), sequence, bytes).expect("there is room");
            segment.write(0, &[sequence as u8]).expect("there is room");
            Arc::new(segment)
        };
        let spares = Spares::start(home.path(), 4096, &data_dir).expect("it starts");
        assert!(spares.take(9).expect("the disk is well").is_none(), "none is made before it is asked for");
        let read = retired(1, 4096);
        spares.retire(read.clone());
        spares.retire(retired(2, 1024)); // Too short.
        spares.retire(retired(3, 4096));
        spares.prepare();
        spares.retire(retired(4, 4096));
        drop(spares);
        let content = std::fs::read(home.path().join(SPARE)).expect("it is there");
        assert_eq!((content.len(), content[0]), (4096, 3));
        let logs = durable::names(home.path()).expect("it is there");
        assert!(!logs.iter().any(|name| name.ends_with(".log")), "{logs:?}");

        let spares = Spares::start(home.path(), 4096, &data_dir).expect("it starts");
        let taken = spares.take(9).expect("the disk is well").expect("an earlier start left it");
        assert_eq!(taken.read(0, 1).expect("it is whole"), [3]);
        spares.prepare();
        drop(spares);
        assert_eq!(std::fs::read(home.path().join(SPARE)).expect("it is there"), [0; 4096]);
    }
}
