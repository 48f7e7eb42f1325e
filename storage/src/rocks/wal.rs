//! Tells a torn tail of the log's write-ahead log from damage in its midst.
//!
//! RocksDB's recovery stops at the first record that it can't read and drops all behind it: right for a tail that was
//! being written when the power went, and silent loss of acknowledged records if the damage lies further up. It can't
//! know the difference, but we do: each group is synced before the next is written. So a batch that begins behind the
//! damage proves that what is damaged had been synced, and then the log must not be opened.
//!
//! What this can't see is damage to the very last group: that looks like a torn tail. A clean end adds a small group
//! behind it for this reason, so only a node that was killed has such a tail.
//!
//! The format is that of RocksDB's `db/log_format.h`: blocks of 32 KiB; fragments `crc32c u32 LE (masked, over type and
//! payload) | length u16 LE | type u8 | payload` that never cross blocks; the rest of a block is zero.

use crate::StorageError;
use std::{fs, path::Path};

const BLOCK_BYTES: usize = 32 << 10;
const HEAD_BYTES: usize = 7;

/// What a fragment is to its batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    First,
    Middle,
    Last,
    /// Notes of RocksDB to itself.
    Note,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        match byte {
            1 => Some(Kind::Full),
            2 => Some(Kind::First),
            3 => Some(Kind::Middle),
            4 => Some(Kind::Last),
            9 | 10 | 130 => Some(Kind::Note),
            _ => None,
        }
    }
}

/// Walks all write-ahead logs of the database in `directory`, which must not be open.
///
/// # Errors
/// [`StorageError::Corrupt`] if synced records are damaged.
pub(super) fn check(directory: &Path) -> Result<(), StorageError> {
    let mut logs: Vec<(u64, String)> = super::durable::names(directory)?
        .into_iter()
        .filter_map(|name| Some((name.strip_suffix(".log")?.parse().ok()?, name)))
        .collect();
    logs.sort();
    let mut walk = Walk::default();
    for (_, name) in logs {
        let bytes = fs::read(directory.join(&name)).map_err(StorageError::from_io)?;
        let what = directory.join(&name).display().to_string();
        walk.file(&what, &bytes);
        if let Some((what, offset)) = &walk.proven {
            let detail = format!("a synced record at byte {offset} can't be read, though later ones can");
            return Err(StorageError::corrupt(what, detail));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Walk {
    /// The first damage: file and offset.
    damage: Option<(String, usize)>,
    /// The damage, once a batch was found to begin behind it.
    proven: Option<(String, usize)>,
    /// Whether a batch has begun and not ended.
    inside: bool,
}

impl Walk {
    fn file(&mut self, what: &str, bytes: &[u8]) {
        for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            self.block(what, number * BLOCK_BYTES, block);
            if self.proven.is_some() {
                return;
            }
        }
        if self.inside {
            self.damaged(what, bytes.len());
        }
    }

    fn block(&mut self, what: &str, offset: usize, block: &[u8]) {
        // Zeroes at the end were never written.
        let used = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut at = 0;
        while at < used {
            match fragment(&block[at..]) {
                Some((kind, bytes)) => {
                    self.fragment(what, offset + at, kind);
                    at += bytes;
                }
                None => {
                    // Where the next fragment begins is not known any more: look for it byte by byte.
                    self.damaged(what, offset + at);
                    at += 1;
                }
            }
            if self.proven.is_some() {
                return;
            }
        }
    }

    fn fragment(&mut self, what: &str, offset: usize, kind: Kind) {
        let begins = matches!(kind, Kind::Full | Kind::First);
        let fits = match kind {
            Kind::Full | Kind::First => !self.inside,
            Kind::Middle | Kind::Last => self.inside,
            Kind::Note => true,
        };
        if !fits {
            self.damaged(what, offset);
        }
        if begins {
            self.proven = self.damage.take();
        }
        if kind != Kind::Note {
            self.inside = matches!(kind, Kind::First | Kind::Middle);
        }
    }

    fn damaged(&mut self, what: &str, offset: usize) {
        self.damage.get_or_insert_with(|| (what.to_owned(), offset));
        self.inside = false;
    }
}

/// The whole fragment at the start of `bytes`, with its length.
fn fragment(bytes: &[u8]) -> Option<(Kind, usize)> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *head;
    let payload_bytes = usize::from(u16::from_le_bytes([l0, l1]));
    let (known, payload) = (Kind::of(kind)?, rest.get(..payload_bytes)?);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
    let masked = crc.rotate_right(15).wrapping_add(0xa282_ead8);
    (masked == u32::from_le_bytes([c0, c1, c2, c3])).then_some((known, HEAD_BYTES + payload_bytes))
}
