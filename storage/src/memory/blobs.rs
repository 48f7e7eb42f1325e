//! Blobs of the simulated disk: whole or not there.

use super::{PlantedBug, disk::Handle};
use crate::{
    BlobIntake, BlobReader, BlobStore, StorageError, StoredBlob,
    blob_digest::{BlobDigest, ChunkHash, chunk_hash},
    blob_store::{chunk_place, damaged, not_sealed},
};
use bytes::Bytes;
use micro_sdk::wire::BlobHash;
use rand::{Rng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One blob as it lies on the disk.
struct Blob {
    content: Bytes,
    outline: Vec<ChunkHash>,
}

/// The blobs on the disk.
#[derive(Default)]
pub(super) struct BlobPlatter {
    blobs: BTreeMap<BlobHash, Arc<Blob>>,
    damaged: BTreeMap<BlobHash, Arc<Blob>>,
    /// What was acknowledged and is not durable: with a planted bug only.
    unsynced: BTreeSet<BlobHash>,
}

impl BlobPlatter {
    /// The power is cut.
    pub fn crash(&mut self) {
        for hash in std::mem::take(&mut self.unsynced) {
            self.blobs.remove(&hash);
        }
    }

    /// Flips a bit of some blob; which one it is, if there is one with any content.
    pub fn flip_bit(&mut self, rng: &mut SmallRng) -> Option<BlobHash> {
        let mut some: Vec<_> = self.blobs.iter_mut().filter(|(_, blob)| !blob.content.is_empty()).collect();
        if some.is_empty() {
            return None;
        }
        let at = rng.random_range(0..some.len());
        let (hash, blob) = &mut some[at];
        let mut content = blob.content.to_vec();
        let byte = rng.random_range(0..content.len());
        content[byte] ^= 1 << rng.random_range(0..8);
        **blob = Arc::new(Blob { content: content.into(), outline: blob.outline.clone() });
        Some(**hash)
    }

    /// The blobs that are there and what was written.
    pub fn whole(&self) -> BTreeSet<BlobHash> {
        let whole = |(hash, blob): (&BlobHash, &Arc<Blob>)| {
            (BlobHash(chunk_hash(&blob.content)) == *hash).then_some(*hash)
        };
        self.blobs.iter().filter_map(whole).collect()
    }
}

impl BlobStore for Handle {
    fn begin(&self) -> Result<Box<dyn BlobIntake>, StorageError> {
        drop(self.lock_to_write()?);
        Ok(Box::new(MemoryIntake {
            disk: self.clone(),
            content: Vec::new(),
            outline: Vec::new(),
            digest: BlobDigest::new(),
            sealed: None,
        }))
    }

    fn open(&self, hash: BlobHash) -> Result<Option<Box<dyn BlobReader>>, StorageError> {
        let blob = self.lock()?.blobs.blobs.get(&hash).cloned();
        Ok(blob.map(|blob| Box::new(MemoryReader { hash, blob }) as Box<dyn BlobReader>))
    }

    fn remove(&self, hash: BlobHash) -> Result<(), StorageError> {
        self.lock()?.blobs.blobs.remove(&hash);
        Ok(())
    }

    fn set_aside(&self, hash: BlobHash) -> Result<(), StorageError> {
        let mut disk = self.lock()?;
        if let Some(blob) = disk.blobs.blobs.remove(&hash) {
            disk.blobs.damaged.insert(hash, blob);
        }
        Ok(())
    }

    fn list(&self) -> Result<Vec<BlobHash>, StorageError> {
        Ok(self.lock()?.blobs.blobs.keys().copied().collect())
    }
}

/// A blob on its way in.
struct MemoryIntake {
    disk: Handle,
    content: Vec<u8>,
    outline: Vec<ChunkHash>,
    digest: BlobDigest,
    sealed: Option<BlobHash>,
}

impl BlobIntake for MemoryIntake {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        drop(self.disk.lock_to_write()?);
        self.content.extend_from_slice(bytes);
        self.digest.add(bytes, |hash| self.outline.push(hash));
        Ok(())
    }

    fn seal(&mut self) -> Result<StoredBlob, StorageError> {
        drop(self.disk.lock_to_write()?);
        let digest = std::mem::replace(&mut self.digest, BlobDigest::new());
        let bytes = digest.bytes();
        let (hash, last) = digest.finish();
        self.outline.extend(last);
        self.sealed = Some(hash);
        Ok(StoredBlob { hash, bytes })
    }

    fn keep(self: Box<Self>) -> Result<(), StorageError> {
        let MemoryIntake { disk, content, outline, sealed, .. } = *self;
        let hash = sealed.ok_or_else(not_sealed)?;
        let mut disk = disk.lock_to_write()?;
        let blob = Arc::new(Blob { content: content.into(), outline });
        let new = disk.blobs.blobs.insert(hash, blob).is_none();
        if new && disk.bugs.contains(&PlantedBug::BlobNotSynced) {
            disk.blobs.unsynced.insert(hash);
        }
        Ok(())
    }
}

/// A blob that is being read. It outlives the crash of its node, as what was read before does.
struct MemoryReader {
    hash: BlobHash,
    blob: Arc<Blob>,
}

impl BlobReader for MemoryReader {
    fn bytes(&self) -> u64 {
        self.blob.content.len() as u64
    }

    fn chunk(&self, number: u64) -> Result<Bytes, StorageError> {
        let (offset, length) = chunk_place(self.bytes(), number);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let offset = usize::try_from(offset).map_err(|_| damaged(self.hash, number))?;
        let chunk = self.blob.content.slice(offset..offset + length);
        let hash = usize::try_from(number).ok().and_then(|number| self.blob.outline.get(number));
        match hash == Some(&chunk_hash(&chunk)) {
            true => Ok(chunk),
            false => Err(damaged(self.hash, number)),
        }
    }
}
