//! Blobs one behind the other, as one stream of bytes: what follows the state in a backup.
//!
//! ```text
//! "micro-node blobs 1\n"
//! for each: 1 | its SHA-256 | its length, u64 BE | its content
//! 0 | how many they were, u64 BE                                  a cut stream is seen
//! ```

use crate::{BlobIntake, BlobStore, StorageError, StoredBlob, blob_digest::BlobDigest};
use bytes::Bytes;
use micro_sdk::wire::BlobHash;
use std::io::{ErrorKind, Read};

/// What it begins with. The number is that of the layout.
const MAGIC: &[u8] = b"micro-node blobs 1\n";
/// What stands before a blob, and before the end.
const BLOB: u8 = 1;
const END: u8 = 0;
/// The bytes of one read.
const CHUNK_BYTES: usize = 512 << 10;

/// What was in an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// How many blobs.
    pub blobs: u64,
    /// Their lengths, summed up.
    pub bytes: u64,
}

/// What an archive begins with.
pub fn begin() -> Bytes {
    Bytes::from_static(MAGIC)
}

/// What stands before the content of a blob.
pub fn entry(blob: StoredBlob) -> Bytes {
    [&[BLOB][..], &blob.hash.0, &blob.bytes.to_be_bytes()].concat().into()
}

/// What an archive of so many blobs ends with.
pub fn end(blobs: u64) -> Bytes {
    [&[END][..], &blobs.to_be_bytes()].concat().into()
}

/// The length of an archive of blobs of these lengths.
pub fn length(blobs: impl Iterator<Item = u64>) -> u64 {
    let head = (1 + size_of::<BlobHash>() + size_of::<u64>()) as u64;
    MAGIC.len() as u64 + blobs.map(|bytes| head + bytes).sum::<u64>() + (1 + size_of::<u64>()) as u64
}

/// Reads an archive to its end, behind which nothing may follow, compares the content of each blob with its hash, and
/// puts them into `store`, or nowhere if there is none. `progress` is told how many bytes of content were read. Blocks.
///
/// # Errors
/// [`StorageError::Corrupt`] if it was changed or cut, or why it can't be read or kept. Blobs before the fault are
/// kept.
pub fn unpack(
    source: &mut impl Read,
    store: Option<&dyn BlobStore>,
    mut progress: impl FnMut(u64),
) -> Result<Unpacked, StorageError> {
    let mut unpacked = Unpacked::default();
    if take::<{ MAGIC.len() }>(source)? != *MAGIC {
        return Err(damaged("there are none where they should begin"));
    }
    loop {
        match take::<1>(source)? {
            [BLOB] => {}
            [END] => break,
            _ => return Err(damaged(format!("what follows blob {} is none", unpacked.blobs))),
        }
        let hash = BlobHash(take(source)?);
        let bytes = u64::from_be_bytes(take(source)?);
        let before = unpacked.bytes;
        unpack_one(source, StoredBlob { hash, bytes }, store, |read| progress(before + read))?;
        unpacked = Unpacked { blobs: unpacked.blobs + 1, bytes: before + bytes };
    }
    if u64::from_be_bytes(take(source)?) != unpacked.blobs {
        return Err(damaged(format!("there were more than {}", unpacked.blobs)));
    }
    match source.read(&mut [0])? {
        0 => Ok(unpacked),
        _ => Err(damaged("something follows behind their end")),
    }
}

/// Reads the content of one blob, and keeps it, durably, once it is seen to be what `expected` says.
fn unpack_one(
    source: &mut impl Read,
    expected: StoredBlob,
    store: Option<&dyn BlobStore>,
    mut progress: impl FnMut(u64),
) -> Result<(), StorageError> {
    let mut sink = Sink::new(store)?;
    let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(expected.bytes).unwrap_or(CHUNK_BYTES))];
    let mut left = expected.bytes;
    while left > 0 {
        let wanted = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let chunk = &mut chunk[..wanted];
        source.read_exact(chunk).map_err(cut)?;
        sink.write(chunk)?;
        left -= wanted as u64;
        progress(expected.bytes - left);
    }
    sink.keep(expected.hash)
}

/// Where the content of one blob goes. Either way it is hashed once.
enum Sink {
    /// It is only compared.
    Compared(BlobDigest),
    Kept(Box<dyn BlobIntake>),
}

impl Sink {
    fn new(store: Option<&dyn BlobStore>) -> Result<Self, StorageError> {
        Ok(match store {
            None => Sink::Compared(BlobDigest::new()),
            Some(store) => Sink::Kept(store.begin()?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        match self {
            Sink::Compared(digest) => digest.add(bytes, |_| ()),
            Sink::Kept(intake) => intake.write(bytes)?,
        }
        Ok(())
    }

    fn keep(self, expected: BlobHash) -> Result<(), StorageError> {
        let (found, intake) = match self {
            Sink::Compared(digest) => (digest.finish().0, None),
            Sink::Kept(mut intake) => (intake.seal()?.hash, Some(intake)),
        };
        if found != expected {
            return Err(damaged(format!("blob {expected} is another")));
        }
        intake.map_or(Ok(()), BlobIntake::keep)
    }
}

fn take<const N: usize>(source: &mut impl Read) -> Result<[u8; N], StorageError> {
    let mut taken = [0; N];
    source.read_exact(&mut taken).map_err(cut)?;
    Ok(taken)
}

fn cut(error: std::io::Error) -> StorageError {
    match error.kind() {
        ErrorKind::UnexpectedEof => damaged("they end early"),
        _ => StorageError::from_io(error),
    }
}

fn damaged(detail: impl Into<String>) -> StorageError {
    StorageError::corrupt("the part with the blobs", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{self, MemoryDisk};
    use micro_sdk::wire::{Job, Timer};
    use std::{sync::Arc, time::Duration};

    /// Nothing here waits.
    struct Never;

    impl Timer for Never {
        fn after(&self, _: Duration, _: Job) {}
    }

    fn archive(contents: &[&[u8]]) -> Vec<u8> {
        let mut archive = begin().to_vec();
        for content in contents {
            let mut digest = BlobDigest::new();
            digest.add(content, |_| ());
            let blob = StoredBlob { hash: digest.finish().0, bytes: content.len() as u64 };
            archive.extend_from_slice(&entry(blob));
            archive.extend_from_slice(content);
        }
        archive.extend_from_slice(&end(contents.len() as u64));
        archive
    }

    #[test]
    fn what_was_packed_is_unpacked() -> Result<(), StorageError> {
        let large = vec![7; CHUNK_BYTES + 1];
        let packed = archive(&[b"one", b"", &large]);
        let expected = Unpacked { blobs: 3, bytes: 3 + large.len() as u64 };
        assert_eq!(packed.len() as u64, length([3, 0, large.len() as u64].into_iter()));
        assert_eq!(unpack(&mut &packed[..], None, |_| ())?, expected);
        let storage = memory::open(&MemoryDisk::new(), Arc::new(Never))?;
        let mut told = 0;
        assert_eq!(unpack(&mut &packed[..], Some(&*storage.blobs), |read| told = read)?, expected);
        assert_eq!((told, storage.blobs.list()?.len()), (expected.bytes, 3));
        Ok(())
    }

    #[test]
    fn a_cut_or_changed_archive_is_seen_wherever_that_is() {
        let packed = archive(&[b"one", b"two!"]);
        for at in 0..packed.len() {
            let outcome = unpack(&mut &packed[..at], None, |_| ());
            assert!(matches!(outcome, Err(StorageError::Corrupt { .. })), "cut at {at}: {outcome:?}");
            let mut changed = packed.clone();
            changed[at] ^= 4;
            let outcome = unpack(&mut &changed[..], None, |_| ());
            assert!(matches!(outcome, Err(StorageError::Corrupt { .. })), "changed at {at}: {outcome:?}");
        }
        let outcome = unpack(&mut &[&packed[..], b"x"].concat()[..], None, |_| ());
        assert!(matches!(outcome, Err(StorageError::Corrupt { .. })), "{outcome:?}");
    }
}
