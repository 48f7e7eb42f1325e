//! A handful of small files, each replaced as a whole.

use crate::StorageError;

/// Small named files: identity, keys, settings. After a power cut each holds what it held before a [`write`] or after
/// it, never a mixture.
///
/// [`write`]: FileStore::write
pub trait FileStore: Send + Sync + 'static {
    /// The content of `name`, or none when there is no such file.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError>;

    /// Replaces `name` by `content`, durably before it returns. All files are readable by their owner only (0600).
    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError>;

    /// Removes `name`, durably before it returns. Removing what is not there is not an error.
    fn remove(&self, name: &str) -> Result<(), StorageError>;
}
