//! The keys of the store's state. What each row holds: see the machine.
//!
//! Numbers are big-endian, so that keys are in the order of what they name. The key of a record may hold any bytes, so
//! in another key it comes last.

use bytes::{BufMut, Bytes};
use std::ops::Range;

/// What the key of a record begins with.
pub(crate) const RECORD_TAG: u8 = b'r';
const DELETION_TAG: u8 = b'd';
const CHUNK_TAG: u8 = b'm';
const EXPIRY_TAG: u8 = b'x';
const LEASE_TAG: u8 = b'l';
const LEASE_KEY_TAG: u8 = b'k';
const LEDGER_KEY: &[u8] = b"c";

/// The key of the ledger.
pub(crate) fn ledger() -> Bytes {
    Bytes::from_static(LEDGER_KEY)
}

fn tagged(tag: u8, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(tag);
    key.put_u64(number);
    key
}

/// The key of a revision in a journal.
pub(crate) fn revision(revision: u64) -> Bytes {
    Bytes::copy_from_slice(&revision.to_be_bytes())
}

/// The revision that is the key of a row in a journal.
pub(crate) fn revision_in(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.try_into().ok()?))
}

/// The key of the last deletion of a record.
pub(crate) fn deletion(record: &[u8]) -> Bytes {
    [&[DELETION_TAG], record].concat().into()
}

/// The keys of the last deletions of the records in a range.
pub(crate) fn deletions(records: &Range<Bytes>) -> Range<Bytes> {
    deletion(&records.start)..deletion(&records.end)
}

/// The record in the key of its last deletion.
pub(crate) fn deleted_record(key: &Bytes) -> Option<Bytes> {
    key.strip_prefix(&[DELETION_TAG]).map(|record| key.slice_ref(record))
}

/// The key of the chunk of the history that ends with revision `last`.
pub(crate) fn chunk(last: u64) -> Bytes {
    tagged(CHUNK_TAG, last).into()
}

/// The keys of all chunks.
pub(crate) fn chunks() -> Range<Bytes> {
    Bytes::from_static(&[CHUNK_TAG])..Bytes::from_static(&[CHUNK_TAG + 1])
}

/// The last revision of the chunk with this key.
pub(crate) fn chunk_last(key: &[u8]) -> Option<u64> {
    revision_in(key.strip_prefix(&[CHUNK_TAG])?)
}

/// The key of a lease.
pub(crate) fn lease(id: u64) -> Bytes {
    tagged(LEASE_TAG, id).into()
}

/// The id in the key of a lease.
pub(crate) fn lease_id(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(&[LEASE_TAG])?.try_into().ok()?))
}

/// The keys of the leases behind `id`.
pub(crate) fn leases_after(id: u64) -> Range<Bytes> {
    tagged(LEASE_TAG, id.saturating_add(1)).into()..Bytes::from_static(&[LEASE_TAG + 1])
}

/// The key that ties a record to a lease.
pub(crate) fn lease_key(id: u64, record: &[u8]) -> Bytes {
    let mut key = tagged(LEASE_KEY_TAG, id);
    key.extend_from_slice(record);
    key.into()
}

/// The keys that tie records to a lease.
pub(crate) fn lease_keys(id: u64) -> Range<Bytes> {
    let prefix = tagged(LEASE_KEY_TAG, id);
    let end = behind_prefix(&prefix);
    prefix.into()..end
}

/// The record in the key that ties it to a lease.
pub(crate) fn leased_record(key: &Bytes) -> Option<Bytes> {
    (key.len() > 9 && key[0] == LEASE_KEY_TAG).then(|| key.slice(9..))
}

/// The key that says when the record or lease with the key `what` ends.
pub(crate) fn expiry(expires_ms: u64, what: &[u8]) -> Bytes {
    let mut key = tagged(EXPIRY_TAG, expires_ms);
    key.extend_from_slice(what);
    key.into()
}

/// The keys of what ends from `from_ms` to before `to_ms`.
pub(crate) fn expiries(from_ms: u64, to_ms: u64) -> Range<Bytes> {
    tagged(EXPIRY_TAG, from_ms).into()..tagged(EXPIRY_TAG, to_ms).into()
}

/// When what ends, from its key.
pub(crate) fn expiring(key: &Bytes) -> Option<(u64, Bytes)> {
    let (number, what) = key.strip_prefix(&[EXPIRY_TAG])?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), key.slice_ref(what)))
}

/// The first key that does not begin with `prefix` and comes after all that do.
pub(crate) fn behind_prefix(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    // Each of our keys begins with a letter.
    *end.last_mut().expect("a prefix has a byte below 0xff") += 1;
    end.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_frozen() {
        assert_eq!(&revision(258)[..], b"\0\0\0\0\0\0\x01\x02");
        assert_eq!(&deletion(b"ra")[..], b"dra");
        assert_eq!(&chunk(3)[..], b"m\0\0\0\0\0\0\0\x03");
        assert_eq!(&lease(3)[..], b"l\0\0\0\0\0\0\0\x03");
        assert_eq!(&lease_key(3, b"ra")[..], b"k\0\0\0\0\0\0\0\x03ra");
        assert_eq!(&expiry(3, b"ra")[..], b"x\0\0\0\0\0\0\0\x03ra");
    }

    #[test]
    fn keys_are_read_back() {
        assert_eq!(revision_in(&revision(7)), Some(7));
        assert_eq!(chunk_last(&chunk(7)), Some(7));
        assert!(chunks().contains(&chunk(0)) && chunks().contains(&chunk(u64::MAX)));
        assert_eq!(deleted_record(&deletion(b"r\0")), Some(Bytes::from_static(b"r\0")));
        let within = deletions(&(Bytes::from_static(b"ra")..Bytes::from_static(b"rb")));
        assert!(within.contains(&deletion(b"ra\xff")) && !within.contains(&deletion(b"rb")));
    }
}
