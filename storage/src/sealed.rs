//! How records are laid out in an engine: sealed, so that a changed byte, or one in the wrong place, is seen.
//!
//! ```text
//! version u8 | crc32c u32 LE | content          the checksum covers version, key and content
//! record content:  kind u8 | term u64 LE | leader u64 LE | body
//! ```

use crate::{LogRecord, StorageError};
use bytes::Bytes;

/// The layout that this build writes, and the only one so far.
const VERSION: u8 = 1;
/// Version and checksum.
const SEAL_BYTES: usize = 1 + 4;
/// What a record takes beyond its body.
pub(crate) const RECORD_HEAD_BYTES: usize = SEAL_BYTES + 1 + 8 + 8;

fn checksum(key: &[u8], content: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[VERSION]), key);
    crc32c::crc32c_append(crc, content)
}

/// Adds the sealed form of the concatenated `parts`, stored under `key`, to `bytes`.
fn seal(key: &[u8], parts: &[&[u8]], bytes: &mut Vec<u8>) {
    let at = bytes.len();
    bytes.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    let crc = checksum(key, &bytes[at + SEAL_BYTES..]);
    bytes[at + 1..at + SEAL_BYTES].copy_from_slice(&crc.to_le_bytes());
}

/// What was sealed under `key`; else how the damage shows.
fn unseal<'a>(key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], String> {
    let (head, content) = bytes
        .split_first_chunk::<SEAL_BYTES>()
        .ok_or_else(|| format!("{} bytes are too few", bytes.len()))?;
    let [version, crc @ ..] = *head;
    if version != VERSION {
        return Err(format!("layout version {version} is not known (this build knows {VERSION})"));
    }
    let (stored, found) = (u32::from_le_bytes(crc), checksum(key, content));
    if stored != found {
        return Err(format!("checksum is {found:08x}, not {stored:08x}"));
    }
    Ok(content)
}

/// Adds the stored form of `record` to `bytes`.
pub(crate) fn seal_record(record: &LogRecord, bytes: &mut Vec<u8>) {
    let key = record.index.to_be_bytes();
    let parts: [&[u8]; 4] =
        [&[record.kind], &record.term.to_le_bytes(), &record.leader.to_le_bytes(), &record.body];
    seal(&key, &parts, bytes);
}

/// The record stored at `index`.
///
/// # Errors
/// [`StorageError::Corrupt`] if it is not what was written there.
pub(crate) fn unseal_record(index: u64, bytes: &[u8]) -> Result<LogRecord, StorageError> {
    let corrupt = |detail: String| StorageError::corrupt(format!("record {index} of the log"), detail);
    let content = unseal(&index.to_be_bytes(), bytes).map_err(corrupt)?;
    let short = || corrupt("it is cut short".to_owned());
    let (kind, rest) = content.split_first().ok_or_else(short)?;
    let (term, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (leader, body) = rest.split_first_chunk().ok_or_else(short)?;
    Ok(LogRecord {
        index,
        term: u64::from_le_bytes(*term),
        leader: u64::from_le_bytes(*leader),
        kind: *kind,
        body: Bytes::copy_from_slice(body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> LogRecord {
        LogRecord { index: 7, term: 2, leader: 3, kind: 1, body: Bytes::from_static(b"ab") }
    }

    #[test]
    fn layout_is_frozen() {
        let mut bytes = Vec::new();
        seal_record(&record(), &mut bytes);
        let golden =
            [1, 0x25, 0x66, 0x2b, 0x3d, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, b'a', b'b'];
        assert_eq!(bytes, golden);
        assert_eq!(unseal_record(7, &bytes).expect("it was just sealed"), record());
    }

    #[test]
    fn every_changed_bit_cut_and_wrong_place_is_seen() {
        let mut bytes = Vec::new();
        seal_record(&record(), &mut bytes);
        assert!(unseal_record(8, &bytes).is_err());
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal_record(7, &bytes).is_err(), "bit {bit} changed unseen");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for cut in 0..bytes.len() {
            assert!(unseal_record(7, &bytes[..cut]).is_err(), "cut at {cut} unseen");
        }
    }
}
