//! A file that commands of one user keep something in, and change one at a time.

use super::failure::Failure;
use etcetera::{BaseStrategy, base_strategy::Xdg};
use micro_sdk::wire::{Code, Fault};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The file, locked against other commands of this user until it is dropped.
pub(super) struct Kept {
    path: PathBuf,
    _lock: File,
}

impl Kept {
    /// Locks the file `name` in `folder`, neither of which has to be there yet.
    ///
    /// # Errors
    /// If the folder or the lock can't be made.
    pub(super) fn lock(folder: &Path, name: &str) -> Result<Self, Failure> {
        let path = folder.join(name);
        let failed = |error| unusable(&path, &error);
        fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).mode(0o600).open(path.with_extension("lock"));
        let lock = lock.map_err(failed)?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Kept { path, _lock: lock })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces what is in it at once, for this user alone to read.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn replace(&self, bytes: &[u8]) -> Result<(), Failure> {
        // Where people keep it elsewhere, the link to it stays.
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let temporary = path.with_extension("new");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|error: io::Error| {
            Fault::new(Code::Failed, format!("{} can't be written: {error}", self.path.display())).into()
        })
    }
}

/// Where this user's files are kept, if there is a home.
pub(super) fn folder() -> Option<PathBuf> {
    Xdg::new().ok().map(|home| home.config_dir().join("micro-node"))
}

/// Why a file is of no use.
pub(super) fn unusable(path: &Path, error: &io::Error) -> Failure {
    Fault::new(Code::Failed, format!("{} can't be used: {error}", path.display())).into()
}
