//! Restoring a backup: its state becomes that of a new group's first replica.

use super::{BackupFacts, DIGEST_BYTES, HEAD_BYTES_MAX, Head, MAGIC};
use crate::{
    entry::{AppliedRecord, LogIdRecord, MembershipRecord, decode},
    replica::APPLIED_KEY,
};
use micro_sdk::wire::{Codec, NodeId};
use micro_storage::{Batch, Family, Manifest, ScanRange, StateStore, Storage, StorageError};
use ring::digest::{Context, SHA256};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
};

/// The bytes of one read.
const CHUNK_BYTES: usize = 512 << 10;
/// The rows of a family that are forgotten at once.
const ROWS_AT_ONCE: usize = 4096;

/// Why a backup is not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It can't be read.
    #[error("the backup can't be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("this is no backup of micro-node, or one of another layout")]
    Foreign,
    /// It was changed or cut.
    #[error("the backup is damaged: {0}")]
    Damaged(String),
    /// Its place can't take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A backup that is being read.
pub struct Restoration<R> {
    head: Head,
    manifest: Manifest,
    source: R,
    digest: Context,
}

impl<R: Read> Restoration<R> {
    /// Reads what the backup in `source` says of itself.
    ///
    /// # Errors
    /// [`RestoreError::Foreign`] or [`RestoreError::Damaged`].
    pub fn open(mut source: R) -> Result<Self, RestoreError> {
        let mut digest = Context::new(&SHA256);
        let mut take = |bytes: usize, what: &str| {
            let mut taken = vec![0; bytes];
            source.read_exact(&mut taken).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => RestoreError::Damaged(format!("it ends within {what}")),
                _ => RestoreError::Read(error),
            })?;
            digest.update(&taken);
            Ok::<_, RestoreError>(taken)
        };
        match take(MAGIC.len(), "its first line") {
            Ok(magic) if magic == MAGIC => {}
            Ok(_) | Err(RestoreError::Damaged(_)) => return Err(RestoreError::Foreign),
            Err(error) => return Err(error),
        }
        let length = take(4, "the length of its head")?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes were read")) as usize;
        let garbled =
            |why: &dyn std::fmt::Display| RestoreError::Damaged(format!("its head is garbled: {why}"));
        if length > HEAD_BYTES_MAX {
            return Err(garbled(&format_args!("{length} bytes are too many")));
        }
        let head = take(length, "its head")?;
        let head = Codec::decode::<Head, HEAD_BYTES_MAX>(&head).map_err(|error| garbled(&error))?;
        let manifest = Manifest::from(head.manifest.clone());
        manifest.check().map_err(|error| garbled(&error))?;
        Ok(Restoration { head, manifest, source, digest })
    }

    /// What it is of.
    pub fn facts(&self) -> BackupFacts {
        self.head.facts()
    }

    /// Reads the state and finds out whether it is whole. `progress` is told how many bytes of it were read. Returns
    /// the source where the blobs begin, if they are in it.
    ///
    /// # Errors
    /// [`RestoreError::Damaged`], with where.
    pub fn verify(mut self, progress: impl FnMut(u64)) -> Result<Option<R>, RestoreError> {
        self.read_files(progress, |_, _| Ok(()))?;
        self.rest()
    }

    /// Makes it the state of `storage`, which has to be new, as the only replica of a new group whose only member is
    /// `node`. The families in `forget` begin empty. `progress` is told how many bytes of the state were read. Returns
    /// the source where the blobs begin, if they are in it.
    ///
    /// # Errors
    /// [`RestoreError::Damaged`] with where, or why `storage` can't take it; it is not fit for use then.
    pub fn restore(
        mut self,
        storage: &Storage,
        node: NodeId,
        forget: &[Family],
        progress: impl FnMut(u64),
    ) -> Result<Option<R>, RestoreError> {
        let manifest = self.manifest.clone();
        storage.snapshots.receive(&manifest)?;
        self.read_files(progress, |file, chunk| storage.snapshots.receive_chunk(file, chunk))?;
        storage.snapshots.install(&manifest)?;
        for family in forget {
            forget_rows(&*storage.state, *family)?;
        }
        let applied = decode::<AppliedRecord>(&manifest.applied)?;
        let mut batch = Batch::default();
        batch.put(Family::Raft, APPLIED_KEY, Codec::encode(&taken_over(applied, node)));
        storage.state.write(batch)?;
        storage.state.flush()?;
        self.rest()
    }

    /// What follows the state.
    fn rest(mut self) -> Result<Option<R>, RestoreError> {
        if self.head.blobs {
            return Ok(Some(self.source));
        }
        match self.source.read(&mut [0])? {
            0 => Ok(None),
            _ => Err(RestoreError::Damaged("something follows behind its end".to_owned())),
        }
    }

    /// Reads the files, gives each chunk to `take`, and compares every checksum.
    fn read_files(
        &mut self,
        mut progress: impl FnMut(u64),
        mut take: impl FnMut(&str, &[u8]) -> Result<(), StorageError>,
    ) -> Result<(), RestoreError> {
        let (mut chunk, mut read) = (vec![0; CHUNK_BYTES], 0);
        for file in &self.manifest.files {
            let (mut left, mut crc) = (file.bytes, 0);
            while left > 0 {
                let wanted = CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES));
                let chunk = &mut chunk[..wanted];
                self.source.read_exact(chunk).map_err(|error| cut(error, &file.name))?;
                self.digest.update(chunk);
                crc = crc32c::crc32c_append(crc, chunk);
                take(&file.name, chunk)?;
                (left, read) = (left - wanted as u64, read + wanted as u64);
                progress(read);
            }
            if crc != file.crc32c {
                return Err(RestoreError::Damaged(format!("the checksum of file {} is wrong", file.name)));
            }
        }
        let mut digest = [0; DIGEST_BYTES];
        self.source.read_exact(&mut digest).map_err(|error| cut(error, "its checksum"))?;
        if self.digest.clone().finish().as_ref() != digest {
            return Err(RestoreError::Damaged("its checksum is wrong".to_owned()));
        }
        Ok(())
    }
}

fn cut(error: io::Error, what: &str) -> RestoreError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => RestoreError::Damaged(format!("it ends within {what}")),
        _ => RestoreError::Read(error),
    }
}

/// The position of a replica that goes on alone: all that was applied stays applied, and the membership is `node`. Its
/// address is not known yet; a node tells its own when it starts. Terms begin anew, below the first election of the new
/// group: entries are in the order of their terms first.
fn taken_over(applied: AppliedRecord, node: NodeId) -> AppliedRecord {
    let at = applied.last.map(|last| LogIdRecord { term: 0, leader: node, ..last });
    AppliedRecord {
        last: at,
        membership_at: at,
        membership: MembershipRecord {
            voters: vec![BTreeSet::from([node])],
            members: BTreeMap::from([(node, String::new())]),
        },
        time_ms: applied.time_ms,
    }
}

fn forget_rows(state: &dyn StateStore, family: Family) -> Result<(), StorageError> {
    loop {
        let rows = state.scan(family, ScanRange::prefix(b""), ROWS_AT_ONCE, usize::MAX)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for (key, _) in rows {
            batch.delete(family, key);
        }
        state.write(batch)?;
    }
}
