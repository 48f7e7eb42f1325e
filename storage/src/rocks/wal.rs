//! Looks over a database's write-ahead logs before RocksDB reads them, for what its recovery gets wrong.
//!
//! It stops at the first record that it can't read and drops all behind it: right for a tail that was being written
//! when the power went, and silent loss of acknowledged records if the damage lies further up. It can't know the
//! difference, but for the Raft log we do: each group is synced before the next is written. So a batch that begins
//! behind the damage proves that what is damaged had been synced, and then the log must not be opened.
//!
//! What this can't see is damage to the very last group: that looks like a torn tail. A clean end adds a small group
//! behind it for this reason, so only a node that was killed has such a tail.
//!
//! And it never ends (as of RocksDB 11.8) if a damaged record claims a kind that only recycled logs have: its reader
//! answers "bad record" without moving on. One flipped bit makes such a kind of an ordinary one. A torn tail does not:
//! it is short, or zero.
//!
//! The format is that of RocksDB's `db/log_format.h`: blocks of 32 KiB; fragments `crc32c u32 LE (masked, over type and
//! payload) | length u16 LE | type u8 | payload` that never cross blocks; the rest of a block is zero. The catalogue
//! (`MANIFEST-*`) has the same format and the same reader.

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

/// Whether a kind makes RocksDB's reader stand still. We never recycle logs, so none is ever written.
fn is_of_recycled_logs(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}

/// Walks the logs and the catalogue of the database in `directory`, which must not be open. `synced` says that each
/// batch was synced before the next was written.
///
/// # Errors
/// [`StorageError::Corrupt`] if synced records are damaged, or RocksDB could not read on at some damage.
pub(super) fn check(directory: &Path, synced: bool) -> Result<(), StorageError> {
    let names = super::durable::names(directory)?;
    let number = |name: &str| name.strip_suffix(".log")?.parse::<u64>().ok();
    let mut logs: Vec<_> = names.iter().filter(|name| number(name).is_some()).collect();
    logs.sort_by_key(|name| number(name));
    check_files(directory, &logs, synced)?;
    for catalogue in names.iter().filter(|name| name.starts_with("MANIFEST-")) {
        check_files(directory, &[catalogue], false)?;
    }
    Ok(())
}

fn check_files(directory: &Path, names: &[&String], synced: bool) -> Result<(), StorageError> {
    let mut walk = Walk::default();
    for name in names {
        let path = directory.join(name);
        let bytes = fs::read(&path).map_err(StorageError::from_io)?;
        walk.file(&path.display().to_string(), &bytes);
    }
    if let Some((what, offset)) = walk.unreadable {
        let detail = format!("the record at byte {offset} is of a kind that is never written here");
        return Err(StorageError::corrupt(what, detail));
    }
    match walk.proven {
        Some((what, offset)) if synced => {
            let detail = format!("a synced record at byte {offset} can't be read, though later ones can");
            Err(StorageError::corrupt(what, detail))
        }
        _ => Ok(()),
    }
}

/// A file and an offset in it.
type Place = (String, usize);

#[derive(Default)]
struct Walk {
    /// The first damage behind which no batch has begun yet.
    damage: Option<Place>,
    /// The first damage behind which a batch begins.
    proven: Option<Place>,
    /// Where RocksDB's reader would stand still.
    unreadable: Option<Place>,
    /// Whether a batch has begun and not ended.
    inside: bool,
}

impl Walk {
    fn file(&mut self, what: &str, bytes: &[u8]) {
        for (number, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            self.block(what, number * BLOCK_BYTES, block);
        }
        if self.inside {
            self.damaged(what, bytes.len());
        }
    }

    fn block(&mut self, what: &str, offset: usize, block: &[u8]) {
        // Zeroes at the end were never written, and what is too short for a head at the end of a block is filling.
        let filling = if block.len() == BLOCK_BYTES { HEAD_BYTES - 1 } else { 0 };
        let used = block.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let used = used.min(block.len() - filling);
        let (mut at, mut sound) = (0, true);
        while at < used {
            if let Some((kind, bytes)) = fragment(&block[at..]) {
                self.fragment(what, offset + at, kind);
                at += bytes;
                continue;
            }
            self.damaged(what, offset + at);
            if sound && block.get(at + HEAD_BYTES - 1).copied().is_some_and(is_of_recycled_logs) {
                self.unreadable.get_or_insert_with(|| (what.to_owned(), offset + at));
            }
            // Where the next fragment begins is not known any more: look for it byte by byte.
            (at, sound) = (at + 1, false);
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
        if begins && let Some(damage) = self.damage.take() {
            self.proven.get_or_insert(damage);
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
