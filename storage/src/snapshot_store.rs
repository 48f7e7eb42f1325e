//! Copies of the state as files, so that they can be streamed piece by piece.

use crate::{StorageError, file_name};
use bytes::Bytes;
use std::sync::Arc;

/// One file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its name within the snapshot. Never a path: no separators, no dots at the start. Names rise along the list.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// The CRC-32C of its content.
    pub crc32c: u32,
}

impl ManifestFile {
    /// How this file differs from the one that was wanted.
    pub(crate) fn differs_from(&self, wanted: &ManifestFile) -> String {
        format!(
            "it has {} bytes with checksum {:08x}, not {} with {:08x}",
            self.bytes, self.crc32c, wanted.bytes, wanted.crc32c
        )
    }
}

/// What a snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The snapshot, in letters, digits and `-`.
    pub id: String,
    /// The value of the key `applied` in the family `Raft` of the state that was copied, read from the copy itself.
    pub applied: Bytes,
    /// Its files, in the order of their names.
    pub files: Vec<ManifestFile>,
}

/// The most files of a snapshot, so that a manifest stays small and a garbled one allocates little. RocksDB's files
/// have 8 MiB and more each: room for half a terabyte.
const FILE_COUNT_MAX: usize = 65_536;

impl Manifest {
    /// Checks what must hold of every manifest, whoever sent it: an id fit for a directory's name, file names that are
    /// no paths, rising and so never twice.
    ///
    /// # Errors
    /// [`StorageError::Io`] with the kind `InvalidInput`.
    pub fn check(&self) -> Result<(), StorageError> {
        check_id(&self.id)?;
        if self.files.len() > FILE_COUNT_MAX {
            let count = self.files.len();
            return Err(StorageError::refused(format!(
                "snapshot {} has {count} files; {FILE_COUNT_MAX} is the most",
                self.id
            )));
        }
        for file in &self.files {
            file_name::check(&file.name)?;
        }
        match self.files.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            Some(pair) => Err(StorageError::refused(format!(
                "the files of snapshot {} are not in order at {:?}",
                self.id, pair[1].name
            ))),
            None => Ok(()),
        }
    }

    /// The file called `name`.
    ///
    /// # Errors
    /// [`StorageError::Io`] with the kind `InvalidInput` if there is none.
    pub(crate) fn file(&self, name: &str) -> Result<&ManifestFile, StorageError> {
        self.files
            .iter()
            .find(|file| file.name == name)
            .ok_or_else(|| StorageError::refused(format!("snapshot {} has no file {name:?}", self.id)))
    }
}

/// Why a snapshot can't be made under the id of one that is open.
pub(crate) fn being_read(id: &str) -> StorageError {
    StorageError::refused(format!("snapshot {id} is being read: the next one needs another id"))
}

/// The longest id of a snapshot: it becomes the name of a directory.
const ID_BYTES_MAX: usize = 128;

/// Checks the id of a snapshot.
pub(crate) fn check_id(id: &str) -> Result<(), StorageError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.is_empty() || id.len() > ID_BYTES_MAX || !id.bytes().all(good) {
        return Err(StorageError::refused(format!(
            "{id:?} is not a snapshot's id: letters, digits and '-' only"
        )));
    }
    Ok(())
}

/// A snapshot that is open. It can be read to its end though a newer one has become current meanwhile. Dropping the
/// last one of such a snapshot removes its files, which blocks.
pub trait SnapshotReader: Send + Sync + 'static {
    /// `bytes` bytes of `file` from `offset` on; fewer at its end. Blocks.
    fn read(&self, file: &str, offset: u64, bytes: usize) -> Result<Bytes, StorageError>;
}

/// Snapshots beside the state. At most one is current; making or receiving a newer one removes the older, as soon as
/// nobody reads it. All methods block, and none may run twice at the same time except `open`.
pub trait SnapshotStore: Send + Sync + 'static {
    /// Copies the state as it is, durably, and makes the copy the current snapshot.
    fn create(&self, id: &str) -> Result<Manifest, StorageError>;

    /// The current snapshot, if there is one that is whole.
    fn current(&self) -> Result<Option<Manifest>, StorageError>;

    /// Opens snapshot `id`. No other of that id is made while it is open.
    ///
    /// # Errors
    /// [`StorageError::Io`] with the kind `NotFound` if it is not there, or not any more.
    fn open(&self, id: &str) -> Result<Arc<dyn SnapshotReader>, StorageError>;

    /// Reads all of the current snapshot, which `manifest` describes, and compares what [`check`](Self::check) does:
    /// for whoever gives it to another. A copy is made of files as they are, and what has rotted there nobody has read.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] names the file: the state that the copy was made of is damaged too.
    fn verify(&self, manifest: &Manifest) -> Result<(), StorageError>;

    /// Starts to take in a snapshot, dropping what was taken in of another before.
    fn receive(&self, manifest: &Manifest) -> Result<(), StorageError>;

    /// Adds `chunk` at the end of `file` of the snapshot being taken in.
    fn receive_chunk(&self, file: &str, chunk: &[u8]) -> Result<(), StorageError>;

    /// Reads all of the snapshot that was taken in, and compares lengths and checksums: those of its files, and those
    /// within them, which show damage that was there before the copy was made.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] names the file. The state is as it was.
    fn check(&self, manifest: &Manifest) -> Result<(), StorageError>;

    /// Replaces the state by the snapshot that was taken in, and makes it current. It is [checked](Self::check) first,
    /// unless that was done. Atomic: after a power cut the state is the old one or the new one. Open [`StateStore`]
    /// handles see the new state afterwards.
    ///
    /// [`StateStore`]: crate::StateStore
    fn install(&self, manifest: &Manifest) -> Result<(), StorageError>;
}
