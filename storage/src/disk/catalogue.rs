//! Looks over a database's catalogue (`MANIFEST-*`) before RocksDB reads it, for what its reader gets wrong.
//!
//! It never ends (as of RocksDB 11.8) if a damaged record claims a kind that only recycled logs have: its reader
//! answers "bad record" without moving on. One flipped bit makes such a kind of an ordinary one. A torn tail does not:
//! it is short, or zero.
//!
//! The format is that of RocksDB's `db/log_format.h`: blocks of 32 KiB; fragments `crc32c u32 LE (masked, over type and
//! payload) | length u16 LE | type u8 | payload` that never cross blocks; the rest of a block is zero. Write-ahead logs
//! have the same format and the same reader, but those of the state are empty: its batches are in the Raft log.

use crate::StorageError;
use std::{fs, path::Path};

const BLOCK_BYTES: usize = 32 << 10;
const HEAD_BYTES: usize = 7;

/// Whether a fragment can be of this kind: whole, first, in the midst, last, and notes of RocksDB to itself.
fn is_known(kind: u8) -> bool {
    matches!(kind, 1..=4 | 9 | 10 | 130)
}

/// Whether a kind makes RocksDB's reader stand still. We never recycle logs, so none is ever written.
fn is_of_recycled_logs(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}

/// Walks the catalogue of the database in `directory`, which must not be open.
///
/// # Errors
/// [`StorageError::Corrupt`] if RocksDB could not read on at some damage.
pub(super) fn check(directory: &Path) -> Result<(), StorageError> {
    for name in super::durable::names(directory)? {
        if !name.starts_with("MANIFEST-") {
            continue;
        }
        let path = directory.join(name);
        let bytes = fs::read(&path).map_err(StorageError::from_io)?;
        let stuck = bytes.chunks(BLOCK_BYTES).zip((0..).step_by(BLOCK_BYTES));
        if let Some(offset) = stuck.filter_map(|(block, at)| Some(at + stuck_at(block)?)).next() {
            let detail = format!("the record at byte {offset} is of a kind that is never written here");
            return Err(StorageError::corrupt(path.display().to_string(), detail));
        }
    }
    Ok(())
}

/// Where in a block RocksDB's reader would stand still: at the first damage, if it claims such a kind.
fn stuck_at(block: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(bytes) = fragment(&block[at..]) {
        at += bytes;
    }
    let kind = block.get(at + HEAD_BYTES - 1)?;
    is_of_recycled_logs(*kind).then_some(at)
}

/// The length of the whole fragment at the start of `bytes`.
fn fragment(bytes: &[u8]) -> Option<usize> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *head;
    let payload = rest.get(..usize::from(u16::from_le_bytes([l0, l1])))?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
    let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
    let whole = is_known(kind) && masked == u32::from_le_bytes([c0, c1, c2, c3]);
    whole.then_some(HEAD_BYTES + payload.len())
}
