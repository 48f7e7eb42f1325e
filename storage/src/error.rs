//! What can go wrong with a disk, told apart by who can do something about it.

use std::{io, path::PathBuf};

/// A failure of the storage.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process holds the data directory.
    #[error("data directory {path} is in use by process {pid}")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Who holds it, as written in its lock file; `unknown` when that can't be read.
        pid: String,
    },
    /// The data directory can't be written.
    #[error("data directory {path} can't be written: {source}")]
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room left. Nothing that was acknowledged is lost.
    #[error("disk is full: {0}")]
    Full(String),
    /// Bytes are not what was written. They are left as they are: only an operator may decide to give them up.
    #[error("{what} is corrupt: {detail}")]
    Corrupt {
        /// Which file or record.
        what: String,
        /// How it shows.
        detail: String,
    },
    /// Written by a build whose layout this one does not know.
    #[error("data directory {path} has layout version {found}; this build knows {known}")]
    Layout {
        /// The directory.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The version that this build knows.
        known: u32,
    },
    /// Any other failure of the disk.
    #[error("disk failed: {0}")]
    Io(#[from] io::Error),
}

impl StorageError {
    /// The failure of a file operation: a disk without room is told apart from all else.
    pub(crate) fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::Full(error.to_string())
            }
            _ => StorageError::Io(error),
        }
    }

    /// A caller's mistake, of which nothing was done.
    pub(crate) fn refused(why: String) -> Self {
        StorageError::Io(io::Error::new(io::ErrorKind::InvalidInput, why))
    }

    /// Bytes that are not what was written.
    pub(crate) fn corrupt(what: impl Into<String>, detail: impl Into<String>) -> Self {
        StorageError::Corrupt { what: what.into(), detail: detail.into() }
    }

    /// The same failure once more, for those who come after it. System errors keep their kind and text only.
    pub(crate) fn again(&self) -> Self {
        match self {
            StorageError::Full(detail) => StorageError::Full(detail.clone()),
            StorageError::Corrupt { what, detail } => StorageError::corrupt(what, detail),
            StorageError::Io(error) => StorageError::Io(io::Error::new(error.kind(), error.to_string())),
            other => StorageError::Io(io::Error::other(other.to_string())),
        }
    }
}

impl From<StorageError> for io::Error {
    fn from(error: StorageError) -> io::Error {
        match error {
            StorageError::Io(error) => error,
            StorageError::Full(_) => io::Error::new(io::ErrorKind::StorageFull, error),
            StorageError::Corrupt { .. } => io::Error::new(io::ErrorKind::InvalidData, error),
            other => io::Error::other(other),
        }
    }
}
