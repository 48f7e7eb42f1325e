//! What entries changed, and what it was before, kept for a while: for readers of the past, and for watchers.
//!
//! The history is a journal: a row for each entry that changed records, by its revision, never touched again. Each
//! change in it carries the row that it replaced, so that a reader can walk back from what is there now (see `past`).
//!
//! ```text
//!   swept          compacted                                                      revision
//!     │ chunk │ chunk │ chunk │ chunk │ ...                              │ chunk │ open │
//!     └ gone before   └ readers are refused before
//! ```
//!
//! Giving the past up is part of applying, so that all replicas give up the same. It goes by chunks of which only the
//! figures are looked at, except where something was deleted: to write history costs no more than to append it.

use crate::store::{
    edit::{Change, ChangeKind, Edit},
    key,
    ledger::Ledger,
};
use bytes::{Buf, BufMut, Bytes};
use micro_consensus::Transaction;
use micro_storage::Family;

/// The layout of an entry's row.
const LAYOUT: u8 = 1;
/// The flag on the kind of a change whose key had a record before: its row follows the key.
const REPLACED: u8 = 0x80;
/// The flag on the kind of a deletion that knows of one before: its revision comes last.
const DELETED_BEFORE: u8 = 0x40;

/// A limit is met to about this part of it: history beyond it waits until a chunk is complete.
const CHUNKS_WITHIN_LIMIT: u64 = 16;
/// The entries of a chunk at most: one row of figures for so many costs nothing, and a chunk is looked through at once
/// if something was deleted in it.
const CHUNK_ENTRIES_MAX: u64 = 1024;
/// The bytes of a chunk at most, and what its last entry has beyond them.
const CHUNK_BYTES_MAX: u64 = 1 << 20;
/// For each new chunk a sweep removes up to this many old ones: a history over its limits comes back within them while
/// writes go on.
const SWEEP_CHUNKS: usize = 4;
/// The chunks that an order to give up history removes at once; the others follow along with later entries.
const COMPACT_CHUNKS: usize = 16;
/// The chunks that gather until the journal is trimmed. More take up more of the disk than these 64 MiB; with fewer the
/// state, which is flushed each time, is flushed more than once a second at full speed, and the log's syncs wait for
/// that.
const TRIM_CHUNKS: u64 = 64;
/// The entries that a sweep looks at in one go.
const LOOK: usize = 64;
/// The bytes of them.
const LOOK_BYTES: usize = 1 << 20;

/// What one entry changed, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRow {
    pub time_ms: u64,
    /// Without the new rows of the records.
    pub changes: Vec<Change>,
}

impl EntryRow {
    fn row(&self) -> Bytes {
        let mut row = Vec::with_capacity(self.length());
        row.push(LAYOUT);
        row.put_u64(self.time_ms);
        let put = |row: &mut Vec<u8>, bytes: &[u8]| {
            row.put_u32(u32::try_from(bytes.len()).expect("a command is limited to a few MiB"));
            row.put_slice(bytes);
        };
        for change in &self.changes {
            let kind = match change.kind {
                ChangeKind::Put => 0,
                ChangeKind::Delete => 1,
                ChangeKind::Expire => 2,
            };
            let flag = |flag, set| if set { flag } else { 0 };
            let deleted_before = change.deleted_before != 0;
            row.push(kind | flag(REPLACED, change.before.is_some()) | flag(DELETED_BEFORE, deleted_before));
            put(&mut row, &change.key);
            change.before.iter().for_each(|before| put(&mut row, before));
            if deleted_before {
                row.put_u64(change.deleted_before);
            }
        }
        row.into()
    }

    fn length(&self) -> usize {
        let before = |change: &Change| change.before.as_ref().map_or(0, |before| 4 + before.len());
        9 + self.changes.iter().map(|change| 5 + change.key.len() + before(change) + 8).sum::<usize>()
    }

    /// The entry in `row`.
    pub fn parse(mut row: Bytes) -> Option<Self> {
        if row.try_get_u8().ok()? != LAYOUT {
            return None;
        }
        let time_ms = row.try_get_u64().ok()?;
        let take = |row: &mut Bytes| {
            let length = row.try_get_u32().ok()? as usize;
            (row.len() >= length).then(|| row.split_to(length))
        };
        let mut changes = Vec::new();
        while !row.is_empty() {
            let flags = row.get_u8();
            let kind = match flags & !(REPLACED | DELETED_BEFORE) {
                0 => ChangeKind::Put,
                1 => ChangeKind::Delete,
                2 => ChangeKind::Expire,
                _ => return None,
            };
            let key = take(&mut row)?;
            let before = if flags & REPLACED == 0 { None } else { Some(take(&mut row)?) };
            let deleted_before = if flags & DELETED_BEFORE == 0 { 0 } else { row.try_get_u64().ok()? };
            changes.push(Change { key, kind, before, deleted_before, row: None });
        }
        Some(EntryRow { time_ms, changes })
    }
}

/// What is known of a chunk of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chunk {
    bytes: u64,
    deletions: u64,
}

impl Chunk {
    fn row(self) -> Bytes {
        [self.bytes, self.deletions].map(u64::to_be_bytes).concat().into()
    }

    fn parse(mut row: Bytes) -> Option<Self> {
        (row.len() == 16).then(|| Chunk { bytes: row.get_u64(), deletions: row.get_u64() })
    }
}

/// Adds what an entry changed to the history, and gives up what is beyond its limits. Returns the changes.
pub(crate) fn record(state: &mut Transaction<'_>, ledger: &mut Ledger, edit: Edit) -> Vec<Change> {
    let (revision, time_ms) = (edit.revision, edit.time_ms);
    let mut entry = EntryRow { time_ms, changes: edit.into_changes() };
    if entry.changes.is_empty() {
        return entry.changes;
    }
    for change in entry.changes.iter_mut().filter(|change| change.kind != ChangeKind::Put) {
        let key = key::deletion(&change.key);
        change.deleted_before = deletion(state, &key).unwrap_or(0);
        state.put(Family::Store, key, key::revision(revision));
        ledger.chunk_deletions += 1;
    }
    let (key, row) = (key::revision(revision), entry.row());
    let bytes = (key.len() + row.len()) as u64;
    ledger.history_bytes += bytes;
    ledger.chunk_bytes += bytes;
    ledger.chunk_entries += 1;
    state.put(Family::History, key, row);
    let entries_max = (ledger.revisions_max / CHUNKS_WITHIN_LIMIT).clamp(1, CHUNK_ENTRIES_MAX);
    let bytes_max = (ledger.bytes_max / CHUNKS_WITHIN_LIMIT).clamp(1, CHUNK_BYTES_MAX);
    if ledger.chunk_entries >= entries_max || ledger.chunk_bytes >= bytes_max {
        complete(state, ledger, revision);
        sweep(state, ledger, revision, SWEEP_CHUNKS);
    }
    // Who watches needs them no more than the disk does.
    entry.changes.iter_mut().for_each(|change| change.before = None);
    entry.changes
}

/// Gives up the history up to `through`, as far as it lies before `revision`. Readers are refused from now on; the rows
/// go by and by.
pub(crate) fn compact(state: &mut Transaction<'_>, ledger: &mut Ledger, revision: u64, through: u64) {
    let before = revision.saturating_sub(1);
    ledger.compacted = ledger.compacted.max(through.min(before));
    complete(state, ledger, before);
    sweep(state, ledger, revision, COMPACT_CHUNKS);
    trim(state, ledger);
}

/// Completes the open chunk, which ends with `last`.
fn complete(state: &mut Transaction<'_>, ledger: &mut Ledger, last: u64) {
    if ledger.chunk_entries == 0 {
        return;
    }
    let chunk = Chunk { bytes: ledger.chunk_bytes, deletions: ledger.chunk_deletions };
    state.put(Family::Books, key::chunk(last), chunk.row());
    (ledger.chunk_entries, ledger.chunk_bytes, ledger.chunk_deletions) = (0, 0, 0);
}

/// Removes up to `chunks` chunks of what lies before `revision` and is to be given up.
fn sweep(state: &mut Transaction<'_>, ledger: &mut Ledger, revision: u64, chunks: usize) {
    let by_count = revision.saturating_sub(ledger.revisions_max);
    ledger.compacted = ledger.compacted.max(by_count.min(revision.saturating_sub(1)));
    for (key, row) in state.scan(Family::Books, key::chunks(), chunks, usize::MAX) {
        let parsed = key::chunk_last(&key).zip(Chunk::parse(row));
        let (last, chunk) = parsed.expect(WHAT_WAS_WRITTEN);
        let over = ledger.history_bytes > ledger.bytes_max;
        if last >= revision || (last > ledger.compacted && !over) {
            break;
        }
        if chunk.deletions > 0 {
            forget_deletions(state, ledger.swept + 1, last + 1);
        }
        state.delete(Family::Books, key);
        ledger.history_bytes -= chunk.bytes;
        ledger.untrimmed_chunks += 1;
        (ledger.swept, ledger.compacted) = (last, ledger.compacted.max(last));
    }
    if ledger.untrimmed_chunks >= TRIM_CHUNKS {
        trim(state, ledger);
    }
}

fn trim(state: &mut Transaction<'_>, ledger: &mut Ledger) {
    if ledger.untrimmed_chunks > 0 {
        state.trim(Family::History, key::revision(ledger.swept));
        ledger.untrimmed_chunks = 0;
    }
}

/// Forgets which records were deleted last by the entries from `from` to before `to`.
fn forget_deletions(state: &mut Transaction<'_>, mut from: u64, to: u64) {
    loop {
        let range = key::revision(from)..key::revision(to);
        let entries = state.scan(Family::History, range, LOOK, LOOK_BYTES);
        let Some((last, _)) = entries.last() else { break };
        from = key::revision_in(last).expect(WHAT_WAS_WRITTEN) + 1;
        for (key, row) in entries {
            let parsed = key::revision_in(&key).zip(EntryRow::parse(row));
            let (revision, entry) = parsed.expect(WHAT_WAS_WRITTEN);
            for change in entry.changes.into_iter().filter(|change| change.kind != ChangeKind::Put) {
                let key = key::deletion(&change.key);
                if deletion(state, &key) == Some(revision) {
                    state.delete(Family::Store, key);
                }
            }
        }
    }
}

/// The revision in the row of a last deletion.
fn deletion(state: &mut Transaction<'_>, key: &Bytes) -> Option<u64> {
    state.get(Family::Store, key).map(|row| key::revision_in(&row).expect(WHAT_WAS_WRITTEN))
}

/// Nobody else writes these rows, and a disk that garbles them is found out by the engine's checksums.
const WHAT_WAS_WRITTEN: &str = "the history is what was written";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let change = |key: &'static [u8], kind, before: Option<&'static [u8]>, deleted_before| Change {
            key: Bytes::from_static(key),
            kind,
            before: before.map(Bytes::from_static),
            deleted_before,
            row: None,
        };
        let entry = EntryRow {
            time_ms: 1,
            changes: vec![
                change(b"ra", ChangeKind::Put, None, 0),
                change(b"rb", ChangeKind::Expire, Some(b"old"), 258),
                change(b"rc", ChangeKind::Delete, Some(b""), 0),
            ],
        };
        let golden = b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\x02ra\
                       \xc2\0\0\0\x02rb\0\0\0\x03old\0\0\0\0\0\0\x01\x02\x81\0\0\0\x02rc\0\0\0\0";
        assert_eq!(&entry.row()[..], golden);
        assert_eq!(EntryRow::parse(entry.row()), Some(entry.clone()));
        let cut = entry.row().slice(..golden.len() - 1);
        assert_eq!(EntryRow::parse(cut), None);
        let chunk = Chunk { bytes: 258, deletions: 3 };
        assert_eq!(&chunk.row()[..], b"\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x03");
        assert_eq!(Chunk::parse(chunk.row()), Some(chunk));
    }
}
