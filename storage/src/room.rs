//! How much room is left.

use crate::StorageError;

/// The room on the disk that holds a node's data.
pub trait Room: Send + Sync + 'static {
    /// The bytes that may still be written, by whoever writes first: the disk may have other users.
    ///
    /// # Errors
    /// If the disk does not say.
    fn free_bytes(&self) -> Result<u64, StorageError>;
}
