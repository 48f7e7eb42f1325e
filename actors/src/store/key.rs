//! The keys of the store's state, by their first byte. What each row holds: see the machine.
//!
//! Numbers are big-endian, so that keys are in the order of what they name. The key of a record may hold any bytes; in
//! the middle of another key it is escaped: a zero byte becomes `00 FF`, and `00 01` ends it. The order stays the same.

use bytes::{BufMut, Bytes};
use std::ops::Range;

/// What the key of a record begins with.
pub(crate) const RECORD_TAG: u8 = b'r';
const OLD_TAG: u8 = b'v';
const ENTRY_TAG: u8 = b'e';
const SEEN_TAG: u8 = b's';
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

/// The key of the outcome that an idempotency key was answered with.
pub(crate) fn seen(idempotency_key: u128) -> Bytes {
    let mut key = Vec::with_capacity(17);
    key.push(SEEN_TAG);
    key.put_u128(idempotency_key);
    key.into()
}

/// The key of what the entry at `revision` changed.
pub(crate) fn entry(revision: u64) -> Bytes {
    tagged(ENTRY_TAG, revision).into()
}

/// The revision of an entry's key.
pub(crate) fn entry_revision(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.strip_prefix(&[ENTRY_TAG])?.try_into().ok()?))
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

/// The escaped form of a record's key, without its end.
fn escaped(record: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(record.len() + 20);
    key.push(OLD_TAG);
    for &byte in record {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key
}

fn old_prefix(record: &[u8]) -> Vec<u8> {
    let mut key = escaped(record);
    key.extend_from_slice(&[0, 1]);
    key
}

/// The key of the version of a record that was replaced or deleted at `revision`.
pub(crate) fn old(record: &[u8], revision: u64) -> Bytes {
    let mut key = old_prefix(record);
    key.put_u64(revision);
    key.into()
}

/// The keys of the versions of a record that were replaced or deleted after `revision`.
pub(crate) fn old_after(record: &[u8], revision: u64) -> Range<Bytes> {
    let end = behind_prefix(&old_prefix(record));
    old(record, revision.saturating_add(1))..end
}

/// The keys of all replaced versions of the records in a range.
pub(crate) fn old_within(records: &Range<Bytes>) -> Range<Bytes> {
    escaped(&records.start).into()..escaped(&records.end).into()
}

/// The record and the revision in the key of a replaced version.
pub(crate) fn old_parts(key: &[u8]) -> Option<(Bytes, u64)> {
    let mut rest = key.strip_prefix(&[OLD_TAG])?;
    let mut record = Vec::with_capacity(rest.len());
    loop {
        match rest {
            [0, 0xff, after @ ..] => {
                record.push(0);
                rest = after;
            }
            [0, 1, revision @ ..] => {
                return Some((record.into(), u64::from_be_bytes(revision.try_into().ok()?)));
            }
            [byte, after @ ..] if *byte != 0 => {
                record.push(*byte);
                rest = after;
            }
            _ => return None,
        }
    }
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
        assert_eq!(&old(b"r\0a", 258)[..], b"vr\0\xffa\0\x01\0\0\0\0\0\0\x01\x02");
        assert_eq!(&entry(3)[..], b"e\0\0\0\0\0\0\0\x03");
        assert_eq!(&lease(3)[..], b"l\0\0\0\0\0\0\0\x03");
        assert_eq!(&lease_key(3, b"ra")[..], b"k\0\0\0\0\0\0\0\x03ra");
        assert_eq!(&expiry(3, b"ra")[..], b"x\0\0\0\0\0\0\0\x03ra");
        assert_eq!(&seen(3)[..], b"s\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x03");
    }

    #[test]
    fn escaped_keys_keep_their_order_and_are_read_back() {
        let mut records: Vec<&[u8]> = vec![
            b"r",
            b"r\0",
            b"r\0\0",
            b"r\0\x01",
            b"r\0\xff",
            b"r\x01",
            b"ra",
            b"ra\0b",
            b"rab",
            b"r\xff\xff",
        ];
        records.sort_unstable();
        let keys: Vec<Bytes> =
            records.iter().flat_map(|record| [1, u64::MAX].map(|revision| old(record, revision))).collect();
        assert!(keys.is_sorted());
        for record in &records {
            assert_eq!(old_parts(&old(record, 77)), Some((Bytes::copy_from_slice(record), 77)));
        }
        for (from, to) in [(0, 3), (2, 9), (1, 1)] {
            let [start, end] = [from, to].map(|at| Bytes::copy_from_slice(records[at]));
            let within = old_within(&(start..end));
            for (at, record) in records.iter().enumerate() {
                assert_eq!(within.contains(&old(record, 5)), (from..to).contains(&at), "{record:?}");
            }
        }
    }
}
