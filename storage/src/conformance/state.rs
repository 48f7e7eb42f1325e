//! What holds of every engine's state.

use super::{Disk, Open};
use crate::{Batch, Family, ScanRange, Storage};
use bytes::Bytes;
use std::ops::Bound;

pub(super) fn put(batch: &mut Batch, key: &str, value: &str) {
    batch.put(Family::Store, key.to_owned(), value.to_owned());
}

pub(super) fn get(storage: &Storage, key: &str) -> Option<String> {
    let value = storage.state.get(Family::Store, key.as_bytes()).expect("the state is read");
    value.map(|value| String::from_utf8_lossy(&value).into_owned())
}

pub(super) fn write(storage: &Storage, pairs: &[(&str, &str)]) {
    let mut batch = Batch::default();
    for (key, value) in pairs {
        put(&mut batch, key, value);
    }
    storage.state.write(batch).expect("a healthy state takes it");
}

pub(super) fn last_change_wins(open: &mut Open) {
    let storage = open(Disk::First);
    write(&storage, &[("a", "1"), ("b", "1"), ("a", "2")]);
    assert_eq!((get(&storage, "a"), get(&storage, "b")), (Some("2".to_owned()), Some("1".to_owned())));
    let mut batch = Batch::default();
    put(&mut batch, "a", "3");
    batch.delete(Family::Store, "a");
    batch.delete(Family::Store, "b");
    put(&mut batch, "b", "");
    batch.delete(Family::Store, "never there");
    storage.state.write(batch).expect("a healthy state takes it");
    assert_eq!((get(&storage, "a"), get(&storage, "b")), (None, Some(String::new())));
    assert_eq!(storage.state.get(Family::Auth, b"b").expect("the state is read"), None, "families are apart");
    storage.state.write(Batch::default()).expect("an empty batch is a batch");
}

pub(super) fn scans_are_ordered(open: &mut Open) {
    let storage = open(Disk::First);
    write(&storage, &[("b", "x"), ("a", "x"), ("ab", "x"), ("c", "x"), ("a\u{7f}", "x")]);
    let scan = |range: ScanRange, limit, bytes_max| {
        let found = storage.state.scan(Family::Store, range, limit, bytes_max).expect("the state is read");
        found.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
    };
    let all = || ScanRange { start: Bound::Unbounded, end: Bound::Unbounded };
    assert_eq!(scan(all(), 99, 9999), ["a", "ab", "a\u{7f}", "b", "c"]);
    assert_eq!(scan(all(), 2, 9999), ["a", "ab"]);
    assert_eq!(scan(all(), 0, 9999), [""; 0]);
    assert_eq!(scan(all(), 99, 3), ["a", "ab"]);
    assert_eq!(scan(all().after(b"ab"), 99, 9999), ["a\u{7f}", "b", "c"]);
    assert_eq!(scan(ScanRange::prefix(b"a"), 99, 9999), ["a", "ab", "a\u{7f}"]);
    assert_eq!(scan(ScanRange::prefix(b"a").after(b"a"), 99, 9999), ["ab", "a\u{7f}"]);
    assert_eq!(scan(ScanRange::prefix(b""), 99, 9999).len(), 5);
    let between = |start: &'static str, end: &'static str| ScanRange {
        start: Bound::Included(Bytes::from(start)),
        end: Bound::Included(Bytes::from(end)),
    };
    assert_eq!(scan(between("ab", "b"), 99, 9999), ["ab", "a\u{7f}", "b"]);
    assert_eq!(scan(between("b", "ab"), 99, 9999), [""; 0]);
    let look = &mut |view: &dyn crate::StateView| {
        let last = view.scan(Family::Store, between("ab", "b"), crate::Order::Descending, 2, 9999);
        assert!(last.is_ok_and(|last| last.iter().map(|(key, _)| key).eq(["b", "a\u{7f}"])));
    };
    storage.state.view(look).expect("the state is read");
    // More than an engine reads at once, of which every third is there, on its disk and in its memory.
    for half in [0..50, 50..100] {
        let mut batch = Batch::default();
        half.filter(|number| number % 3 == 0)
            .for_each(|number| put(&mut batch, &format!("n{number:02}"), "x"));
        storage.state.write(batch).expect("a healthy state takes it");
        storage.state.flush().expect("a healthy state is flushed");
    }
    write(&storage, &[("n33", "y")]);
    let keys: Vec<Bytes> = (0..100).map(|number| format!("n{number:02}").into()).collect();
    let values = storage.state.get_sorted(Family::Store, &keys).expect("the state is read");
    let value = |number| match number {
        33 => Some(Bytes::from("y")),
        number if number % 3 == 0 => Some(Bytes::from("x")),
        _ => None,
    };
    assert_eq!(values, (0..100).map(value).collect::<Vec<_>>());
    assert_eq!(storage.state.get_sorted(Family::Auth, &keys[..4]).expect("the state is read"), vec![None; 4]);
    assert!(storage.state.get_sorted(Family::Store, &[]).expect("the state is read").is_empty());
}

pub(super) fn trimmed_journal_keeps_the_rest(open: &mut Open) {
    let key = |number: u64| Bytes::copy_from_slice(&number.to_be_bytes());
    let rest = |storage: &Storage, from: u64| {
        let range = ScanRange::between(key(from), key(u64::MAX));
        storage.state.scan(Family::History, range, usize::MAX, usize::MAX).expect("the state is read")
    };
    let mut storage = open(Disk::First);
    for round in 0..6_u64 {
        let mut batch = Batch::default();
        for number in round * 100..round * 100 + 100 {
            batch.put(Family::History, key(number), vec![1; 100]);
        }
        batch.trim(Family::History, key(round * 100 + 49));
        batch.put(Family::Outcomes, key(round), "kept");
        storage.state.write(batch).expect("a healthy state takes it");
        if round % 2 == 1 {
            storage.state.flush().expect("a healthy state flushes");
        }
        if round % 3 == 2 {
            drop(storage);
            storage = open(Disk::First);
        }
        assert_eq!(rest(&storage, round * 100 + 50).len(), 50);
        let kept = storage.state.get(Family::Outcomes, &key(0)).expect("the state is read");
        assert_eq!(kept, Some(Bytes::from("kept")), "journals are apart");
    }
}

pub(super) fn state_outlives_its_process(open: &mut Open) {
    let storage = open(Disk::First);
    write(&storage, &[("a", "1")]);
    storage.state.flush().expect("a healthy state flushes");
    write(&storage, &[("b", "1")]);
    drop(storage);
    let storage = open(Disk::First);
    assert_eq!((get(&storage, "a"), get(&storage, "b")), (Some("1".to_owned()), Some("1".to_owned())));
}
