//! Blobs: two files each, the content and the hashes of its chunks.
//!
//! ```text
//! blobs/<hash>              the content, and nothing else
//! blobs/<hash>.outline      the SHA-256 of each MiB of it, one behind the other; there before the content is
//! blobs/incoming/           being taken in; a start drops it
//! blobs/damaged/            set aside: what was found to be not what was written
//! ```

#[cfg(test)]
mod tests;

use super::{
    data_dir::{BLOBS, DataDir},
    durable,
};
use crate::{
    BlobIntake, BlobReader, BlobStore, StorageError, StoredBlob,
    blob_digest::{BlobDigest, CHUNK_HASH_BYTES, ChunkHash, chunk_hash},
    blob_store::{chunk_count, chunk_place, damaged, not_sealed},
};
use bytes::Bytes;
use micro_sdk::wire::BlobHash;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

const INCOMING: &str = "incoming";
const DAMAGED: &str = "damaged";
/// What the name of the file with the hashes ends in.
const OUTLINE: &str = ".outline";
/// How much of what is taken in may wait for the kernel's own pace: what piles up goes out in one burst, and the sync
/// of the Raft log waits behind it.
const BYTES_PER_SYNC: u64 = 16 << 20;

/// [`BlobStore`] in the directory `blobs`.
pub(super) struct DiskBlobs {
    place: Arc<Place>,
}

struct Place {
    /// Keeps the data directory locked.
    _directory: Arc<DataDir>,
    path: PathBuf,
    /// Numbers what is being taken in.
    next: AtomicU64,
    /// Held while names change, so that of two files that belong together both are one blob's.
    naming: Mutex<()>,
}

impl DiskBlobs {
    /// Drops what was half taken in when the last process ended.
    pub fn open(directory: &Arc<DataDir>) -> Result<Self, StorageError> {
        let path = directory.path().join(BLOBS);
        durable::remove(&path.join(INCOMING))?;
        for name in [INCOMING, DAMAGED] {
            durable::create_directory(&path.join(name)).map_err(StorageError::from_io)?;
        }
        for name in durable::names(&path)? {
            // Its content was about to get its name.
            if let Some(hash) = name.strip_suffix(OUTLINE)
                && !path.join(hash).exists()
            {
                durable::remove(&path.join(&name))?;
            }
        }
        let place =
            Place { _directory: directory.clone(), path, next: AtomicU64::new(0), naming: Mutex::default() };
        Ok(DiskBlobs { place: Arc::new(place) })
    }
}

impl Place {
    fn content(&self, hash: BlobHash) -> PathBuf {
        self.path.join(hash.to_string())
    }

    fn outline(&self, hash: BlobHash) -> PathBuf {
        self.path.join(format!("{hash}{OUTLINE}"))
    }

    /// Changes names, alone.
    fn rename(&self, change: impl FnOnce() -> Result<(), StorageError>) -> Result<(), StorageError> {
        let _alone = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        change()?;
        durable::sync_directory(&self.path)
    }
}

fn open(path: &Path) -> Result<Option<File>, StorageError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StorageError::from_io(error)),
    }
}

impl BlobStore for DiskBlobs {
    fn begin(&self) -> Result<Box<dyn BlobIntake>, StorageError> {
        let number = self.place.next.fetch_add(1, Ordering::Relaxed);
        let path = self.place.path.join(INCOMING).join(number.to_string());
        let outline_path = path.with_extension(&OUTLINE[1..]);
        let create = |path: &Path| durable::create(path).map_err(StorageError::from_io);
        let (content, outline) = (create(&path)?, create(&outline_path)?);
        Ok(Box::new(DiskIntake {
            place: self.place.clone(),
            path,
            outline_path,
            content,
            outline,
            digest: BlobDigest::new(),
            synced: 0,
            sealed: None,
            kept: false,
        }))
    }

    fn open(&self, hash: BlobHash) -> Result<Option<Box<dyn BlobReader>>, StorageError> {
        let _alone = self.place.naming.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(content) = open(&self.place.content(hash))? else { return Ok(None) };
        let bytes = content.metadata().map_err(StorageError::from_io)?.len();
        let what = || format!("blob {hash}");
        let outline = open(&self.place.outline(hash))?;
        let outline = outline.ok_or_else(|| StorageError::corrupt(what(), "its outline is missing"))?;
        let hashes = outline.metadata().map_err(StorageError::from_io)?.len() / CHUNK_HASH_BYTES as u64;
        if hashes != chunk_count(bytes) {
            let detail = format!("it has {bytes} bytes, and hashes of {hashes} chunks");
            return Err(StorageError::corrupt(what(), detail));
        }
        Ok(Some(Box::new(DiskReader { hash, content, outline, bytes })))
    }

    fn remove(&self, hash: BlobHash) -> Result<(), StorageError> {
        self.place.rename(|| {
            // The content first: without it the outline is nothing.
            durable::remove(&self.place.content(hash))?;
            durable::remove(&self.place.outline(hash))
        })
    }

    fn set_aside(&self, hash: BlobHash) -> Result<(), StorageError> {
        let aside = self.place.path.join(DAMAGED);
        let names = [hash.to_string(), format!("{hash}{OUTLINE}")];
        self.place.rename(|| {
            for name in names {
                match fs::rename(self.place.path.join(&name), aside.join(&name)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(StorageError::from_io(error));
                    }
                    _ => {}
                }
            }
            durable::sync_directory(&aside)
        })
    }

    fn list(&self) -> Result<Vec<BlobHash>, StorageError> {
        Ok(durable::names(&self.place.path)?.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// A blob on its way in.
struct DiskIntake {
    place: Arc<Place>,
    path: PathBuf,
    outline_path: PathBuf,
    content: File,
    outline: File,
    digest: BlobDigest,
    /// How much of it the disk is known to have.
    synced: u64,
    sealed: Option<BlobHash>,
    kept: bool,
}

impl DiskIntake {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.content.write_all(bytes)?;
        let mut hashes = Vec::new();
        self.digest.add(bytes, |hash| hashes.extend_from_slice(&hash));
        self.outline.write_all(&hashes)?;
        if self.digest.bytes() - self.synced >= BYTES_PER_SYNC {
            self.content.sync_data()?;
            self.synced = self.digest.bytes();
        }
        Ok(())
    }
}

impl BlobIntake for DiskIntake {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.append(bytes).map_err(StorageError::from_io)
    }

    fn seal(&mut self) -> Result<StoredBlob, StorageError> {
        let digest = std::mem::replace(&mut self.digest, BlobDigest::new());
        let bytes = digest.bytes();
        let (hash, last) = digest.finish();
        let write = |outline: &mut File, last: Option<ChunkHash>| {
            last.map_or(Ok(()), |last| outline.write_all(&last))?;
            outline.sync_all()
        };
        write(&mut self.outline, last)
            .and_then(|()| self.content.sync_all())
            .map_err(StorageError::from_io)?;
        self.sealed = Some(hash);
        Ok(StoredBlob { hash, bytes })
    }

    fn keep(mut self: Box<Self>) -> Result<(), StorageError> {
        let hash = self.sealed.ok_or_else(not_sealed)?;
        self.place.rename(|| {
            let name = |from: &Path, to: &Path| fs::rename(from, to).map_err(StorageError::from_io);
            name(&self.outline_path, &self.place.outline(hash))?;
            name(&self.path, &self.place.content(hash))
        })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for DiskIntake {
    fn drop(&mut self) {
        if !self.kept {
            // What stays all the same goes with the next start.
            let _ = (fs::remove_file(&self.path), fs::remove_file(&self.outline_path));
        }
    }
}

/// A blob that is being read: open files, so that it stays whole when its names are gone.
struct DiskReader {
    hash: BlobHash,
    content: File,
    outline: File,
    bytes: u64,
}

impl BlobReader for DiskReader {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn chunk(&self, number: u64) -> Result<Bytes, StorageError> {
        let (offset, length) = chunk_place(self.bytes, number);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let (mut chunk, mut hash) = (vec![0; length], [0; CHUNK_HASH_BYTES]);
        let read = self.content.read_exact_at(&mut chunk, offset).and_then(|()| {
            self.outline.read_exact_at(&mut hash, number.saturating_mul(CHUNK_HASH_BYTES as u64))
        });
        match read {
            Ok(()) if chunk_hash(&chunk) == hash => Ok(chunk.into()),
            // Cut short since it was opened.
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(StorageError::from_io(error)),
            _ => Err(damaged(self.hash, number)),
        }
    }
}
