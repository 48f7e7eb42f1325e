//! Small files, durable at once.

use super::disk::Handle;
use crate::{FileStore, StorageError, file_name};

impl FileStore for Handle {
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        file_name::check(name)?;
        Ok(self.lock()?.files.get(name).cloned())
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        file_name::check(name)?;
        self.lock_to_write()?.files.insert(name.to_owned(), content.to_vec());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        file_name::check(name)?;
        self.lock()?.files.remove(name);
        Ok(())
    }
}
