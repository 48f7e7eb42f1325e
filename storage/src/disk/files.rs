//! Small files, each replaced as a whole.

use super::{
    data_dir::{DataDir, file_path},
    durable,
};
use crate::{FileStore, StorageError, file_name};
use std::sync::Arc;

/// [`FileStore`] in the directory `files`.
pub(super) struct DiskFiles {
    directory: Arc<DataDir>,
}

impl DiskFiles {
    pub fn new(directory: &Arc<DataDir>) -> Self {
        DiskFiles { directory: directory.clone() }
    }
}

impl FileStore for DiskFiles {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        file_name::check(name)?;
        durable::read(&file_path(self.directory.path(), name))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        file_name::check(name)?;
        durable::replace(&self.directory.path().join(super::data_dir::FILES), name, content)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        file_name::check(name)?;
        durable::remove(&file_path(self.directory.path(), name))?;
        durable::sync_directory(&self.directory.path().join(super::data_dir::FILES))
    }
}
