//! The bytes of a snapshot on their way to somebody.

use crate::replica::Replica;
use bytes::Bytes;
use micro_storage::{Manifest, ManifestFile, SnapshotReader, StorageError};
use std::{collections::VecDeque, io, sync::Arc};

/// The bytes of one chunk: large enough to keep a link busy, small enough that a read of it does not hold a thread of
/// the blocking pool for long.
const CHUNK_BYTES: usize = 512 << 10;

/// The files of one snapshot, one behind the other in the order of its manifest. It stays readable for as long as this
/// lives, whatever snapshots are made meanwhile: whoever takes it slowly holds up nobody, and costs the disk what the
/// state has replaced since.
pub(crate) struct SnapshotChunks {
    replica: Replica,
    /// Only a drop takes it.
    reader: Option<Arc<dyn SnapshotReader>>,
    id: String,
    files: VecDeque<ManifestFile>,
    /// How much of the first of them was read, and its checksum so far.
    offset: u64,
    crc32c: u32,
    damaged: Option<String>,
}

impl SnapshotChunks {
    /// Opens the snapshot that `manifest` describes.
    ///
    /// # Errors
    /// If a newer one has replaced it.
    pub async fn open(replica: &Replica, manifest: &Manifest) -> io::Result<SnapshotChunks> {
        let (snapshots, id) = (replica.snapshots(), manifest.id.clone());
        let reader = replica.blocking(move || snapshots.open(&id)).await?;
        Ok(SnapshotChunks {
            replica: replica.clone(),
            reader: Some(reader),
            id: manifest.id.clone(),
            files: manifest.files.clone().into(),
            offset: 0,
            crc32c: 0,
            damaged: None,
        })
    }

    /// The next bytes, never none of them; none at the end. A chunk is of one file.
    ///
    /// # Errors
    /// If the disk can't read them, or if the file that they end [is not what was written](Self::damaged_file).
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some(file) = self.files.front() else { return Ok(None) };
            if self.offset == file.bytes {
                self.files.pop_front();
                (self.offset, self.crc32c) = (0, 0);
                continue;
            }
            let reader = self.reader.clone().expect("it is there until the drop");
            let (name, offset) = (file.name.clone(), self.offset);
            let chunk = self.replica.blocking(move || reader.read(&name, offset, CHUNK_BYTES)).await?;
            self.offset += chunk.len() as u64;
            self.crc32c = crc32c::crc32c_append(self.crc32c, &chunk);
            let wrong = if chunk.is_empty() || self.offset > file.bytes {
                "it has another length than its manifest says"
            } else if self.offset == file.bytes && self.crc32c != file.crc32c {
                "its checksum is not the one of its manifest"
            } else {
                return Ok(Some(chunk));
            };
            let what = format!("snapshots/{}/state/{}", self.id, file.name);
            self.damaged = Some(what.clone());
            return Err(StorageError::Corrupt { what, detail: wrong.to_owned() }.into());
        }
    }

    /// The file that was found not to be what was written, as a path in the data directory.
    pub fn damaged_file(&self) -> Option<&str> {
        self.damaged.as_deref()
    }
}

impl Drop for SnapshotChunks {
    fn drop(&mut self) {
        // The last one to let go of an old snapshot removes its files.
        let reader = self.reader.take();
        self.replica.seams().blocking.run(Box::new(move || drop(reader)));
    }
}
