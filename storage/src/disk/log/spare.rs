//! Files that become the next segments: filled in the background, or those whose records were purged.
//!
//! One is asked for when the current segment is half full. Before that, one that was purged may come back for nothing,
//! and a node that does little never needs it. The writer never waits for it: if none is ready it takes a new empty
//! file, which costs each sync more until the next segment begins, and loses nothing.
//!
//! A purge gives back all that came since the last snapshot, at once. To fill as many files anew until the next one
//! took a twentieth of all CPU under load, so they are kept, no more than a busy node needs between two purges.

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

/// What spare files are called, with a number behind it, and one that is being filled.
const SPARE: &str = "spare";
const SPARE_PART: &str = "spare.part";
/// The most files that are kept: 128 MiB, less than twice of what the log of a busy node holds between two purges.
const SPARES_MAX: usize = 8;

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

/// Where the spare files are.
struct Shelf {
    directory: PathBuf,
    segment_bytes: u64,
    /// The whole ones: the first is called `spare.0`, the next `spare.1`. Held while a name changes hands.
    ready: Mutex<Vec<File>>,
    /// Keeps the lock until the thread has ended.
    _data_dir: Arc<DataDir>,
}

impl Spares {
    /// Starts the thread, and takes up the files that an earlier start has left.
    pub fn start(
        directory: &Path,
        segment_bytes: u64,
        data_dir: &Arc<DataDir>,
    ) -> Result<Self, StorageError> {
        durable::remove(&directory.join(SPARE_PART))?;
        let left = left(directory, segment_bytes)?;
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

    /// Gives a spare file the name of the segment `sequence`. None if there is no spare file yet.
    pub fn take(&self, sequence: u64) -> Result<Option<Segment>, StorageError> {
        // Held until the file has its name: the thread may put the next one there at once.
        let mut ready = self.shelf.ready();
        let Some(file) = ready.pop() else { return Ok(None) };
        let directory = &self.shelf.directory;
        let path = segment::put_in_place(directory, &directory.join(name(ready.len())), sequence)?;
        Ok(Some(Segment { sequence, path, file }))
    }

    /// Makes the file of a segment that is not needed any more a spare one, or removes it if there are enough.
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
    fn ready(&self) -> MutexGuard<'_, Vec<File>> {
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
        if !self.ready().is_empty() {
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
            Ok(Segment { file, .. }) if self.ready().len() < SPARES_MAX && whole(&file) => {
                self.put(&path, file)
            }
            // Synced, so that a power cut never leaves an old file without the ones between.
            _ => durable::remove(&path).and_then(|()| durable::sync_directory(&self.directory)),
        }
    }

    /// The name is durable before the file is offered: a power cut after it was written again must not bring back the
    /// name that it had.
    fn put(&self, path: &Path, file: File) -> Result<(), StorageError> {
        let mut ready = self.ready();
        durable::rename(path, &self.directory.join(name(ready.len())))?;
        ready.push(file);
        Ok(())
    }
}

/// The name of the spare file with this number.
fn name(number: usize) -> String {
    format!("{SPARE}.{number}")
}

/// The spare files in `directory`, under their names; those that are not whole are removed.
fn left(directory: &Path, segment_bytes: u64) -> Result<Vec<File>, StorageError> {
    let mut names = durable::names(directory)?;
    names.retain(|name| name.starts_with(SPARE));
    // The one of a version that knew only one comes last, so that it takes nobody's name.
    names.sort_by_key(|name| (name == SPARE, name.clone()));
    let mut ready = Vec::new();
    for found in names {
        let path = directory.join(&found);
        let file = OpenOptions::new().read(true).write(true).open(&path).ok();
        let whole = file.filter(|file| file.metadata().is_ok_and(|meta| meta.len() == segment_bytes));
        let Some(file) = whole.filter(|_| ready.len() < SPARES_MAX) else {
            durable::remove(&path)?;
            continue;
        };
        // A number is missing where one was taken and put into place before the next was.
        if found != name(ready.len()) {
            durable::rename(&path, &directory.join(name(ready.len())))?;
        }
        ready.push(file);
    }
    Ok(ready)
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
        (3..13).for_each(|sequence| spares.retire(retired(sequence, 4096)));
        spares.prepare();
        drop(spares);
        let first_byte = |name: &str| std::fs::read(home.path().join(name)).map(|bytes| bytes[0]).ok();
        let kept: Vec<_> = (0..10).filter_map(|number| first_byte(&name(number))).collect();
        assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9, 10], "no more than there may be");
        let logs = durable::names(home.path()).expect("it is there");
        assert!(!logs.iter().any(|name| name.ends_with(".log")), "{logs:?}");

        // As an earlier version left it, one that was cut off, and a number that is missing.
        std::fs::rename(home.path().join(name(2)), home.path().join(SPARE)).expect("it is there");
        std::fs::write(home.path().join(name(4)), [4; 100]).expect("there is room");
        let spares = Spares::start(home.path(), 4096, &data_dir).expect("it starts");
        let mut taken = Vec::new();
        while let Some(segment) = spares.take(9 + taken.len() as u64).expect("the disk is well") {
            taken.push(segment.read(0, 1).expect("it is whole")[0]);
        }
        assert_eq!(taken, [5, 10, 9, 8, 6, 4, 3]);
        spares.prepare();
        drop(spares);
        assert_eq!(std::fs::read(home.path().join(name(0))).expect("it is there"), [0; 4096]);
    }
}
