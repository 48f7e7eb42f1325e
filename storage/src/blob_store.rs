//! Large bytes as files, each named by the hash of its content.

use crate::StorageError;
use bytes::Bytes;
use micro_sdk::wire::BlobHash;

/// What is checked as one when it is read: large enough that its hash takes no room to speak of, small enough to be
/// held in memory for each reader.
pub const BLOB_CHUNK_BYTES: usize = 1 << 20;

/// A blob that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// The SHA-256 of its content.
    pub hash: BlobHash,
    /// Its length.
    pub bytes: u64,
}

/// Blobs. What is there under its hash is whole and durable; what was half taken in when the node died is gone at its
/// next start. All methods block.
///
/// Nothing damaged is ever handed out: each chunk is compared with its hash, and what differs is
/// [`StorageError::Corrupt`]. The damaged blob stays until somebody calls [`set_aside`](BlobStore::set_aside).
pub trait BlobStore: Send + Sync + 'static {
    /// Starts to take in a blob. Until [`BlobIntake::keep`] it is nothing, and dropped it leaves nothing.
    fn begin(&self) -> Result<Box<dyn BlobIntake>, StorageError>;

    /// A blob to read, or none when it is not there. It can be read to its end whatever becomes of the blob meanwhile.
    fn open(&self, hash: BlobHash) -> Result<Option<Box<dyn BlobReader>>, StorageError>;

    /// Removes a blob, durably before it returns. Removing what is not there is not an error.
    fn remove(&self, hash: BlobHash) -> Result<(), StorageError>;

    /// Moves a damaged blob to where it is not found any more, for a person to look at. What is not there is no error.
    fn set_aside(&self, hash: BlobHash) -> Result<(), StorageError>;

    /// All blobs that are there, in the order of their hashes.
    fn list(&self) -> Result<Vec<BlobHash>, StorageError>;
}

/// A blob that is being taken in.
pub trait BlobIntake: Send {
    /// Adds bytes at its end.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError>;

    /// Ends it and makes it durable, and says what it is. It is not there yet: whoever wanted another can drop it.
    fn seal(&mut self) -> Result<StoredBlob, StorageError>;

    /// Puts it under its hash, durably before it returns. If the same is there already, this one takes its place.
    ///
    /// # Errors
    /// [`StorageError::Io`] with the kind `InvalidInput` if it is not sealed.
    fn keep(self: Box<Self>) -> Result<(), StorageError>;
}

/// A blob that is being read. May be read by several at once.
pub trait BlobReader: Send + Sync {
    /// Its length.
    fn bytes(&self) -> u64;

    /// The chunk of this number, [`BLOB_CHUNK_BYTES`] long but for the last one; empty behind the last.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] if it is not what was written.
    fn chunk(&self, number: u64) -> Result<Bytes, StorageError>;
}

/// The number of chunks of a blob.
pub(crate) fn chunk_count(bytes: u64) -> u64 {
    bytes.div_ceil(BLOB_CHUNK_BYTES as u64)
}

/// Where a chunk lies in a blob of so many bytes: its offset and its length.
pub(crate) fn chunk_place(bytes: u64, number: u64) -> (u64, usize) {
    let offset = number.saturating_mul(BLOB_CHUNK_BYTES as u64).min(bytes);
    let length = usize::try_from(bytes - offset).unwrap_or(usize::MAX).min(BLOB_CHUNK_BYTES);
    (offset, length)
}

/// The failure of a chunk that is not what was written.
pub(crate) fn damaged(hash: BlobHash, number: u64) -> StorageError {
    StorageError::corrupt(format!("blob {hash}"), format!("chunk {number} is not what was written"))
}

/// The refusal of a blob that has not been ended.
pub(crate) fn not_sealed() -> StorageError {
    StorageError::refused("this blob is not sealed".to_owned())
}
