//! The file that becomes the next segment: filled in the background, or one whose records were purged.
//!
//! The writer never waits for it. If none is ready it takes a new empty file, which costs each sync more until the
//! next segment begins, and loses nothing.

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
        let spares = Spares { shelf, errands: Some(errands), thread: Some(thread) };
        spares.send(Errand::Prepare);
        Ok(spares)
    }

    /// Gives the spare file the name of the segment `sequence`. None if there is no spare file yet.
    pub fn take(&self, sequence: u64) -> Result<Option<Segment>, StorageError> {
        let mut ready = self.shelf.ready();
        let Some(file) = ready.take() else { return Ok(None) };
        let directory = &self.shelf.directory;
        let path = segment::put_in_place(directory, &directory.join(SPARE), sequence)?;
        drop(ready);
        self.send(Errand::Prepare);
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
