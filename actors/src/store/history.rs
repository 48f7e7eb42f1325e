//! What entries changed, kept for a while: for readers of the past, for watchers, and to know repeated commands again.
//!
//! Giving the past up is part of applying, so that all replicas give up the same. It happens in small portions, each in
//! proportion to what was added since the last: no entry pays for many, and the history can't grow away from its
//! limits.

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
/// The flag on the kind of a change whose key had a record before.
const REPLACED: u8 = 0x80;

/// For how many entries an idempotency key is remembered, also when the rest of the history is given up earlier. A
/// client repeats a write for seconds; at full speed this many entries take some, at a human pace months.
pub(crate) const SEEN_KEPT: u64 = 200_000;
/// After this many new rows the history is swept: rarely enough that a sweep's look at the disk costs nothing.
const SWEEP_ROWS: u64 = 64;
/// For each new row a sweep removes up to this many old ones: a history over its limits comes back within them while
/// writes go on.
const SWEEP_FACTOR: u64 = 4;
/// The rows that an order to give up history removes at once; the others follow along with later entries.
const COMPACT_ROWS: u64 = 16_384;
/// The entries that a sweep looks at in one go.
const LOOK: usize = 64;

/// What one entry changed, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntryRow {
    pub time_ms: u64,
    pub idempotency_key: Option<u128>,
    /// The bytes of the history that are the entry's: this row, and the versions that it replaced.
    pub bytes: u64,
    /// Without the rows of the records.
    pub changes: Vec<Change>,
}

impl EntryRow {
    fn row(&self) -> Bytes {
        let mut row = Vec::with_capacity(self.length());
        row.push(LAYOUT);
        row.put_u64(self.time_ms);
        row.put_u64(self.bytes);
        row.push(u8::from(self.idempotency_key.is_some()));
        self.idempotency_key.into_iter().for_each(|key| row.put_u128(key));
        for change in &self.changes {
            let kind = match change.kind {
                ChangeKind::Put => 0,
                ChangeKind::Delete => 1,
                ChangeKind::Expire => 2,
            };
            row.push(kind | if change.replaced { REPLACED } else { 0 });
            row.put_u32(u32::try_from(change.key.len()).expect("a command is limited to a few MiB"));
            row.put_slice(&change.key);
        }
        row.into()
    }

    fn length(&self) -> usize {
        let key = if self.idempotency_key.is_some() { 16 } else { 0 };
        18 + key + self.changes.iter().map(|change| 5 + change.key.len()).sum::<usize>()
    }

    /// The entry in `row`.
    pub fn parse(mut row: Bytes) -> Option<Self> {
        if row.try_get_u8().ok()? != LAYOUT {
            return None;
        }
        let (time_ms, bytes) = (row.try_get_u64().ok()?, row.try_get_u64().ok()?);
        let idempotency_key = match row.try_get_u8().ok()? {
            0 => None,
            _ => Some(row.try_get_u128().ok()?),
        };
        let mut changes = Vec::new();
        while !row.is_empty() {
            let (kind, length) = (row.get_u8(), row.try_get_u32().ok()? as usize);
            if row.len() < length {
                return None;
            }
            let replaced = kind & REPLACED != 0;
            let kind = match kind & !REPLACED {
                0 => ChangeKind::Put,
                1 => ChangeKind::Delete,
                2 => ChangeKind::Expire,
                _ => return None,
            };
            changes.push(Change { key: row.split_to(length), kind, replaced, row: None });
        }
        Some(EntryRow { time_ms, idempotency_key, bytes, changes })
    }

    /// The rows of the history that are the entry's.
    fn rows(&self) -> u64 {
        1 + self.changes.iter().filter(|change| change.replaced).count() as u64
    }
}

/// Adds what an entry changed to the history, and gives up what is beyond its limits. Returns the changes.
pub(crate) fn record(
    state: &mut Transaction<'_>,
    ledger: &mut Ledger,
    edit: Edit,
    idempotency_key: Option<u128>,
) -> Vec<Change> {
    let (revision, time_ms, moved) = (edit.revision, edit.time_ms, edit.moved_bytes);
    let mut entry = EntryRow { time_ms, idempotency_key, bytes: 0, changes: edit.into_changes() };
    if entry.changes.is_empty() && idempotency_key.is_none() {
        return entry.changes;
    }
    entry.bytes = moved + 9 + entry.length() as u64;
    ledger.revision = revision;
    ledger.time_ms = time_ms;
    ledger.history_bytes += entry.bytes;
    ledger.unswept_rows += entry.rows();
    state.put(Family::Store, key::entry(revision), entry.row());
    if ledger.unswept_rows >= SWEEP_ROWS {
        let rows = ledger.unswept_rows.saturating_mul(SWEEP_FACTOR);
        ledger.unswept_rows = 0;
        sweep(state, ledger, revision, rows);
    }
    entry.changes
}

/// Gives up the history up to `through`, as far as it lies before `revision`. Readers are refused from now on; the rows
/// go by and by.
pub(crate) fn compact(state: &mut Transaction<'_>, ledger: &mut Ledger, revision: u64, through: u64) {
    ledger.compacted = ledger.compacted.max(through.min(revision.saturating_sub(1)));
    sweep(state, ledger, revision, COMPACT_ROWS);
}

/// Removes up to `rows` rows, and what an entry has beyond them, of what lies before `revision` and is to be given up.
fn sweep(state: &mut Transaction<'_>, ledger: &mut Ledger, revision: u64, rows: u64) {
    let by_count = revision.saturating_sub(ledger.revisions_max);
    ledger.compacted = ledger.compacted.max(by_count.min(revision.saturating_sub(1)));
    let forget = revision.saturating_sub(SEEN_KEPT);
    let mut left = rows;
    'sweep: while left > 0 {
        // Mostly nothing is beyond a limit: then there is nothing to look at.
        let over = ledger.history_bytes > ledger.bytes_max;
        let end = if over { revision } else { ledger.compacted + 1 };
        let range = key::entry(ledger.swept + 1)..key::entry(end);
        let entries = state.scan(Family::Store, range, LOOK, usize::MAX);
        if entries.is_empty() {
            break;
        }
        for (key, row) in entries {
            let (at, entry) = parse(&key, row);
            if left == 0 || (at > ledger.compacted && ledger.history_bytes <= ledger.bytes_max) {
                break 'sweep;
            }
            left = left.saturating_sub(entry.rows());
            ledger.history_bytes = ledger.history_bytes.saturating_sub(entry.bytes);
            (ledger.swept, ledger.compacted) = (at, ledger.compacted.max(at));
            give_up(state, at, entry, at > forget);
        }
    }
    forget_keys(state, ledger, forget, rows);
}

/// Removes what the entry at `revision` left in the history. With `remember` its idempotency key stays known.
fn give_up(state: &mut Transaction<'_>, revision: u64, entry: EntryRow, remember: bool) {
    for change in entry.changes.iter().filter(|change| change.replaced) {
        state.delete(Family::Store, key::old(&change.key, revision));
    }
    match entry.idempotency_key {
        Some(_) if remember => {
            let rest = EntryRow { changes: Vec::new(), bytes: 0, ..entry };
            state.put(Family::Store, key::entry(revision), rest.row());
        }
        seen => {
            seen.into_iter().for_each(|seen| state.delete(Family::Store, key::seen(seen)));
            state.delete(Family::Store, key::entry(revision));
        }
    }
}

/// Forgets the idempotency keys up to `through` of entries that have left the history before.
fn forget_keys(state: &mut Transaction<'_>, ledger: &mut Ledger, through: u64, rows: u64) {
    let through = through.min(ledger.swept);
    if ledger.forgotten >= through {
        return;
    }
    let limit = usize::try_from(rows).unwrap_or(usize::MAX);
    let range = key::entry(ledger.forgotten + 1)..key::entry(through + 1);
    let entries = state.scan(Family::Store, range, limit, usize::MAX);
    let all = entries.len() < limit;
    for (key, row) in entries {
        let (at, entry) = parse(&key, row);
        give_up(state, at, entry, false);
        ledger.forgotten = at;
    }
    if all {
        ledger.forgotten = through;
    }
}

fn parse(key: &[u8], row: Bytes) -> (u64, EntryRow) {
    let parsed = key::entry_revision(key).zip(EntryRow::parse(row));
    // Nobody else writes these rows, and a disk that garbles them is found out by the engine's checksums.
    parsed.expect("the history is what was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_frozen() {
        let change = |key: &'static [u8], kind, replaced| Change {
            key: Bytes::from_static(key),
            kind,
            replaced,
            row: None,
        };
        let entry = EntryRow {
            time_ms: 1,
            idempotency_key: Some(3),
            bytes: 2,
            changes: vec![change(b"ra", ChangeKind::Put, false), change(b"rb", ChangeKind::Expire, true)],
        };
        let golden = b"\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03\
                       \0\0\0\0\x02ra\x82\0\0\0\x02rb";
        assert_eq!(&entry.row()[..], golden);
        assert_eq!(EntryRow::parse(entry.row()), Some(entry.clone()));
        let cut = entry.row().slice(..golden.len() - 1);
        assert_eq!(EntryRow::parse(cut), None);
    }
}
