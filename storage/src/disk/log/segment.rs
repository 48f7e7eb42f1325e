//! One file of the log.
//!
//! ```text
//! head (64 bytes):  "MICROLOG" | version u32 | group u32 | sequence u64 | salt u64 | first batch u64 | zeroes | crc32c u32
//! then batches, and behind the last one whatever was there before: zeroes, or what a recycled file held
//! ```
//!
//! The file has its full length, filled, before the first batch is written to it. A sync then has nothing to do but
//! to write the batch: no new block, no new length, no entry in the file system's journal. That takes 150 instead of
//! 270 µs on a fast disk.
//!
//! A head lies within one sector, which a disk writes as a whole or not at all.

use super::batch::Reader;
use crate::{StorageError, disk::durable};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const MAGIC: u64 = u64::from_le_bytes(*b"MICROLOG");
/// The layout of segments and batches that this build writes, and the only one that it reads.
const VERSION: u32 = 1;
/// The bytes of a segment's head.
pub const SEGMENT_HEAD_BYTES: usize = 64;
/// What is written and synced at a time when a file is filled: the log's own syncs wait behind this much, a millisecond
/// or two. Less would take more syncs than the filling is worth.
const FILL_BYTES: usize = 1 << 20;
const SUFFIX: &str = ".log";

/// The Raft group that the log belongs to. Stored from the first day on, so that more can share a directory.
const GROUP: u32 = 0;

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    /// Counts the segments of the log; also the file's name.
    pub sequence: u64,
    /// One more than that of the segment before; the first one's is random. So batches of another segment are not taken
    /// for this one's, and this one's are known even without this head.
    pub salt: u64,
    /// The number of the first batch: one more than the last of the segment before.
    pub first_batch: u64,
}

impl SegmentHead {
    /// The head of the segment behind this one.
    pub fn next(self, first_batch: u64) -> Self {
        SegmentHead { sequence: self.sequence + 1, salt: self.salt.wrapping_add(1), first_batch }
    }

    pub fn encode(self) -> [u8; SEGMENT_HEAD_BYTES] {
        let mut bytes = [0; SEGMENT_HEAD_BYTES];
        bytes[..8].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&GROUP.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_batch.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The head at the start of `bytes`; else how the damage shows.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let damage = || "its head is not what was written".to_owned();
        let head = bytes.first_chunk::<SEGMENT_HEAD_BYTES>().ok_or_else(damage)?;
        let read = || {
            let mut reader = Reader { rest: head, at: 0 };
            let (magic, version, group) = (reader.u64()?, reader.u32()?, reader.u32()?);
            let parsed =
                SegmentHead { sequence: reader.u64()?, salt: reader.u64()?, first_batch: reader.u64()? };
            let crc = u32::from_le_bytes(head[60..].try_into().ok()?);
            let whole = magic == MAGIC && group == GROUP && crc == crc32c::crc32c(&head[..60]);
            whole.then_some((version, parsed))
        };
        match read() {
            Some((VERSION, head)) => Ok(head),
            Some((version, _)) => {
                Err(format!("its layout version {version} is not known (this build knows {VERSION})"))
            }
            None => Err(damage()),
        }
    }
}

/// An open segment.
pub struct Segment {
    /// Counts the segments.
    pub sequence: u64,
    /// Where it is.
    pub path: PathBuf,
    /// The open file.
    pub file: File,
}

/// The file name of a segment.
pub fn file_name(sequence: u64) -> String {
    format!("{sequence:016x}{SUFFIX}")
}

/// The sequence number in a file name, if it is a segment's.
pub fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

impl Segment {
    /// Opens one that is there.
    pub fn open(directory: &Path, sequence: u64) -> Result<Self, StorageError> {
        let path = directory.join(file_name(sequence));
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|error| failure(&path, error))?;
        Ok(Segment { sequence, path, file })
    }

    /// Makes one of `bytes` zeroes, on the disk with its name when it returns.
    pub fn create(directory: &Path, sequence: u64, bytes: u64) -> Result<Self, StorageError> {
        let path = directory.join(file_name(sequence));
        let file = fill(&path, bytes)?;
        durable::sync_directory(directory)?;
        Ok(Segment { sequence, path, file })
    }

    /// All its bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, StorageError> {
        let mut bytes = Vec::new();
        (&self.file).read_to_end(&mut bytes).map_err(|error| failure(&self.path, error))?;
        Ok(bytes)
    }

    /// `length` bytes from `offset` on.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => StorageError::corrupt(
                self.path.display().to_string(),
                format!("it ends before byte {offset}"),
            ),
            _ => failure(&self.path, error),
        })?;
        Ok(bytes)
    }

    /// Writes at `offset`, and syncs.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let written = self.file.write_all_at(bytes, offset).and_then(|()| self.file.sync_data());
        written.map_err(|error| failure(&self.path, error))
    }

    /// What the damage at `offset` is called.
    pub fn corrupt(&self, offset: usize, detail: impl Into<String>) -> StorageError {
        StorageError::corrupt(format!("{} at byte {offset}", self.path.display()), detail)
    }
}

/// A failed operation on a file of the log.
pub fn failure(path: &Path, error: io::Error) -> StorageError {
    StorageError::from_io(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// Makes a file of `bytes` zeroes, on the disk when it returns. Its name is not durable yet. What could be made of it
/// before a failure is removed again: on a full disk it would take the last room.
pub fn fill(path: &Path, bytes: u64) -> Result<File, StorageError> {
    let make = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(path)?;
        let zeroes = vec![0; FILL_BYTES];
        let mut left = bytes;
        while left > 0 {
            let part = left.min(FILL_BYTES as u64);
            file.write_all(&zeroes[..part as usize])?;
            file.sync_data()?;
            left -= part;
        }
        file.sync_all()?;
        Ok(file)
    };
    make().map_err(|error| {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(%error, file = %path.display(), "a file that could not be filled is still there");
        }
        failure(path, error)
    })
}

/// The salt of a log's first segment. Nobody can foresee it, so that nobody can write a value that looks like a batch.
pub fn salt() -> Result<u64, StorageError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 8];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| failure(path, error))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Gives the file `from` in `directory` the name of a segment, and makes that durable.
pub fn put_in_place(directory: &Path, from: &Path, sequence: u64) -> Result<PathBuf, StorageError> {
    let path = directory.join(file_name(sequence));
    durable::rename(from, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let head = SegmentHead { sequence: 2, salt: 3, first_batch: 4 };
        let bytes = head.encode();
        assert_eq!(bytes[..16], *b"MICROLOG\x01\0\0\0\0\0\0\0");
        assert_eq!((bytes[16], bytes[24], bytes[32]), (2, 3, 4));
        assert_eq!(SegmentHead::decode(&bytes), Ok(head));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHead::decode(&changed).is_err(), "bit {bit} changed unseen");
        }
        assert_eq!(sequence_of(&file_name(0xab)), Some(0xab));
        assert_eq!(sequence_of("spare"), None);
        assert_eq!(sequence_of("1.log"), None);
    }
}
