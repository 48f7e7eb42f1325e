//! The room of the file system under the data directory.

use super::data_dir::DataDir;
use crate::{Room, StorageError};
use std::{io, sync::Arc};

/// [`Room`] as the file system counts it: without what it keeps for root.
pub(super) struct DiskRoom(pub Arc<DataDir>);

impl Room for DiskRoom {
    fn free_bytes(&self) -> Result<u64, StorageError> {
        let found =
            rustix::fs::statvfs(self.0.path()).map_err(|error| StorageError::Io(io::Error::from(error)))?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}
