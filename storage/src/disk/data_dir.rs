//! The data directory as a whole: who holds it, which layout it has, and how it is given up.

use super::{
    damage::{self, DAMAGED},
    durable,
    remains::{self, ASIDE},
};
use crate::StorageError;
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The layout that this build writes, and the only one that it reads. 1 kept the log in RocksDB, 2 had entries without
/// a time and records without a history, 3 kept the history among the records, 4 the figures of the store, 5 had
/// outcomes without a time; none was ever released.
const LAYOUT_VERSION: u32 = 6;

/// Held under `flock` while a process has the directory open. Never removed: a lock on a file that has lost its name
/// keeps nobody out.
const LOCK: &str = "LOCK";
/// The version of the layout. There once the first start has come through.
const LAYOUT: &str = "LAYOUT";
/// There from the first moment of a reset to its last: half a directory must never come to life, least of all an
/// identity without its log.
const RESET: &str = "RESET";

/// The log, and the database with what an interrupted exchange of the state may leave.
pub(super) const RAFT: &str = "raft";
pub(super) const STATE: &str = "state";
pub(super) const STATE_PART: &str = "state.part";
pub(super) const STATE_NEW: &str = "state.new";
pub(super) const STATE_OLD: &str = "state.old";
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const FILES: &str = "files";
pub(super) const BLOBS: &str = "blobs";
pub(super) const AUDIT: &str = "audit";

/// All that is ours to remove, in the order of removal, beside damaged states and what was given up.
pub(super) const OWNED: [&str; 12] =
    [ASIDE, FILES, RAFT, STATE, STATE_PART, STATE_NEW, STATE_OLD, SNAPSHOTS, BLOBS, AUDIT, DAMAGED, LAYOUT];

/// A data directory that this process holds.
pub(super) struct DataDir {
    path: PathBuf,
    /// Whether no start has come through yet.
    fresh: bool,
    /// Keeps the lock while it is open.
    _lock: File,
}

impl DataDir {
    /// [Holds](Self::hold) the directory, and checks the layout.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let held = Self::hold(path)?;
        let fresh = match durable::read(&path.join(LAYOUT))? {
            None => true,
            Some(text) => check_layout(path, &text).map(|()| false)?,
        };
        Ok(DataDir { fresh, ..held })
    }

    /// Takes the directory, makes it if need be, and finishes a reset that was cut short, or what was being put aside.
    pub fn hold(path: &Path) -> Result<Self, StorageError> {
        let unwritable = |source: io::Error| unwritable(path, source);
        durable::create_directory(path).map_err(unwritable)?;
        let lock = lock(path)?;
        if path.join(RESET).exists() {
            wipe(path)?;
        }
        remains::finish(path)?;
        for name in [FILES, SNAPSHOTS, BLOBS] {
            durable::create_directory(&path.join(name)).map_err(unwritable)?;
        }
        Ok(DataDir { path: path.to_owned(), fresh: false, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no start has come through yet, so that databases may be missing.
    pub fn fresh(&self) -> bool {
        self.fresh
    }

    /// Notes that a start has come through.
    pub fn complete(&self) -> Result<(), StorageError> {
        if !self.fresh {
            return Ok(());
        }
        durable::replace(&self.path, LAYOUT, format!("{LAYOUT_VERSION}\n").as_bytes())
    }
}

fn unwritable(path: &Path, source: io::Error) -> StorageError {
    match StorageError::from_io(source) {
        StorageError::Io(source) => StorageError::Unwritable { path: path.to_owned(), source },
        other => other,
    }
}

fn check_layout(path: &Path, text: &[u8]) -> Result<(), StorageError> {
    let found = std::str::from_utf8(text).ok().and_then(|text| text.trim_end().parse().ok());
    match found {
        Some(LAYOUT_VERSION) => Ok(()),
        Some(found) if found > 0 => {
            Err(StorageError::Layout { path: path.to_owned(), found, known: LAYOUT_VERSION })
        }
        _ => Err(StorageError::corrupt(path.join(LAYOUT).display().to_string(), "it holds no version")),
    }
}

/// Takes the lock, or tells who has it. The pid is written for people: the kernel's lock alone decides, and it ends
/// with its holder however that ends.
fn lock(path: &Path) -> Result<File, StorageError> {
    let unwritable = |source: io::Error| unwritable(path, source);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join(LOCK))
        .map_err(unwritable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok() && !pid.trim().is_empty();
            let pid = if known { pid.trim().to_owned() } else { "unknown".to_owned() };
            return Err(StorageError::InUse { path: path.to_owned(), pid });
        }
        Err(error) => return Err(unwritable(error.into())),
    }
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
    };
    note(&mut file).map_err(unwritable)?;
    Ok(file)
}

/// The name of something in the directory at `path` that no node has put there, if there is such a thing. One that is
/// not there holds nothing.
///
/// # Errors
/// If it can't be read.
pub fn foreign(path: &Path) -> io::Result<Option<String>> {
    let entries = match path.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // What was damaged or given up has the name that it had, and a number behind it; a file system has its own.
        let ours = OWNED.iter().chain(&[LOCK, RESET, "lost+found"]).any(|own| name.starts_with(own));
        if !ours {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// Where the [`FileStore`](crate::FileStore) of the data directory at `path` keeps `name`: for the command line, which
/// tells people where their admin secret is and reads it while the node runs.
pub fn file_path(path: &Path, name: &str) -> PathBuf {
    path.join(FILES).join(name)
}

/// Where the node that lives in the data directory at `path` keeps its audit log, which it writes itself.
pub fn audit_path(path: &Path) -> PathBuf {
    path.join(AUDIT)
}

/// What [`reset`] would remove from `path`: the names that are there and are micro-node's.
pub fn owned(path: &Path) -> Vec<PathBuf> {
    let mut aside = damage::aside_names(path).unwrap_or_default();
    aside.extend(remains::given_up_names(path).unwrap_or_default());
    let names = aside.iter().map(String::as_str).chain(OWNED);
    names.map(|name| path.join(name)).filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Removes what micro-node keeps in the data directory at `path`, and nothing else. The directory itself, its lock file
/// and whatever somebody else put there stay. A directory that is not there, or holds nothing of ours, is left alone.
///
/// If it is cut short, the next [`open`](super::open) or `reset` finishes it.
///
/// # Errors
/// [`StorageError::InUse`] if a node runs on it; [`StorageError::Unwritable`], [`StorageError::Io`] if the disk fails.
pub fn reset(path: &Path) -> Result<(), StorageError> {
    if owned(path).is_empty() && !path.join(RESET).exists() {
        return Ok(());
    }
    let _lock = lock(path)?;
    wipe(path)
}

fn wipe(path: &Path) -> Result<(), StorageError> {
    durable::replace(path, RESET, b"")?;
    for owned in owned(path) {
        durable::remove(&owned)?;
    }
    durable::sync_directory(path)?;
    durable::remove(&path.join(RESET))?;
    durable::sync_directory(path)
}
