//! File operations that have happened for good once they return.

use crate::StorageError;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Makes the names in `directory` durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), StorageError> {
    File::open(directory).and_then(|file| file.sync_all()).map_err(StorageError::from_io)
}

/// Makes `directory`, for its owner only, with those above it. One that is there stays as it is.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Creates `path` for its owner only, or empties what is there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Replaces the file `name` in `directory`: written aside, synced, renamed, and the directory synced.
pub(super) fn replace(directory: &Path, name: &str, content: &[u8]) -> Result<(), StorageError> {
    let aside = directory.join(format!(".{name}.part"));
    let write = || {
        let mut file = create(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, directory.join(name))
    };
    write().map_err(StorageError::from_io)?;
    sync_directory(directory)
}

/// The content of a file, or none when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, StorageError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::from_io(error)),
    }
}

/// Removes a file or a directory with all that is in it. What is not there is no error.
pub(super) fn remove(path: &Path) -> Result<(), StorageError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StorageError::from_io(error)),
        _ => Ok(()),
    }
}

/// Renames a file or a directory within its parent, and syncs that.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), StorageError> {
    fs::rename(from, to).map_err(StorageError::from_io)?;
    sync_directory(to.parent().unwrap_or(Path::new(".")))
}

/// The names in a directory, in order.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, StorageError> {
    let read = || {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    };
    read().map_err(StorageError::from_io)
}

/// Syncs every file in `directory`, and the directory.
pub(super) fn sync_files(directory: &Path) -> Result<(), StorageError> {
    for name in names(directory)? {
        File::open(directory.join(name)).and_then(|file| file.sync_all()).map_err(StorageError::from_io)?;
    }
    sync_directory(directory)
}
