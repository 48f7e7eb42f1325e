//! What holds of snapshots.

use super::{
    Disk, Open,
    state::{get, put, write},
};
use crate::{Batch, Family, Manifest, SnapshotStore, Storage, StorageError};
use bytes::Bytes;

fn apply(storage: &Storage, applied: &'static str, pairs: &[(&str, &str)]) {
    let mut batch = Batch::default();
    batch.put(Family::Raft, "applied", applied);
    for (key, value) in pairs {
        put(&mut batch, key, value);
    }
    storage.state.write(batch).expect("a healthy state takes it");
}

/// Sends a snapshot in pieces of `chunk` bytes, each passed through `change`.
fn send(from: &Storage, to: &Storage, manifest: &Manifest, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let (from, to): (&dyn SnapshotStore, &dyn SnapshotStore) = (&*from.snapshots, &*to.snapshots);
    to.receive(manifest).expect("a good manifest is taken");
    let reader = from.open(&manifest.id).expect("it is there");
    for file in &manifest.files {
        let mut offset = 0;
        loop {
            let chunk = reader.read(&file.name, offset, 700).expect("the snapshot is read");
            if chunk.is_empty() {
                break;
            }
            offset += chunk.len() as u64;
            to.receive_chunk(&file.name, &change(chunk.to_vec())).expect("a piece is taken");
        }
        assert_eq!(offset, file.bytes);
    }
}

pub(super) fn snapshot_moves_the_state(open: &mut Open) {
    let (first, second) = (open(Disk::First), open(Disk::Second));
    apply(&first, "at 5", &[("a", "1"), ("b", &"long".repeat(5000))]);
    let manifest = first.snapshots.create("s-5").expect("a snapshot is made");
    assert_eq!((manifest.id.as_str(), &manifest.applied[..]), ("s-5", &b"at 5"[..]));
    assert_eq!(first.snapshots.current().expect("snapshots are read"), Some(manifest.clone()));
    apply(&first, "at 6", &[("a", "2")]);

    apply(&second, "at 1", &[("a", "0"), ("only here", "0")]);
    let state = second.state.clone();
    send(&first, &second, &manifest, |chunk| chunk);
    assert_eq!(get(&second, "a"), Some("0".to_owned()), "nothing changes before the install");
    second.snapshots.install(&manifest).expect("a whole snapshot is installed");
    assert_eq!(state.get(Family::Store, b"a").expect("the state is read"), Some(Bytes::from("1")));
    let expect_new = |second: &Storage| {
        assert_eq!(get(second, "a"), Some("1".to_owned()));
        assert_eq!(get(second, "b"), Some("long".repeat(5000)));
        assert_eq!(get(second, "only here"), None);
        assert_eq!(second.snapshots.current().expect("snapshots are read"), Some(manifest.clone()));
    };
    expect_new(&second);
    drop((second, state));
    expect_new(&open(Disk::Second));
    drop(first);
    let first = open(Disk::First);
    assert_eq!(first.snapshots.current().expect("snapshots are read"), Some(manifest));
    assert_eq!(get(&first, "a"), Some("2".to_owned()));
}

pub(super) fn damaged_snapshot_changes_nothing(open: &mut Open) {
    let (first, second) = (open(Disk::First), open(Disk::Second));
    apply(&first, "at 5", &[("a", "1")]);
    apply(&second, "at 1", &[("a", "0")]);
    let manifest = first.snapshots.create("s").expect("a snapshot is made");
    let snapshots = &second.snapshots;
    assert!(snapshots.install(&manifest).is_err(), "nothing was taken in");
    assert!(snapshots.receive_chunk(&manifest.files[0].name, b"x").is_err(), "nothing is being taken in");
    let flip = |mut chunk: Vec<u8>| {
        chunk[0] ^= 1;
        chunk
    };
    send(&first, &second, &manifest, flip);
    assert!(matches!(snapshots.install(&manifest), Err(StorageError::Corrupt { .. })));
    snapshots.receive(&manifest).expect("a good manifest is taken");
    assert!(matches!(snapshots.install(&manifest), Err(StorageError::Corrupt { .. })), "it is too short");
    send(&first, &second, &manifest, |chunk| chunk);
    assert!(snapshots.receive_chunk(&manifest.files[0].name, b"x").is_err(), "it would be too long");
    let lie = Manifest { applied: Bytes::from("at 9"), ..manifest.clone() };
    assert!(snapshots.install(&lie).is_err(), "another manifest");
    send(&first, &second, &manifest, |chunk| chunk);
    send(&first, &second, &lie, |chunk| chunk);
    assert!(matches!(snapshots.install(&lie), Err(StorageError::Corrupt { .. })));
    assert_eq!(get(&second, "a"), Some("0".to_owned()));
    assert_eq!(snapshots.current().expect("snapshots are read"), None);
    send(&first, &second, &manifest, |chunk| chunk);
    snapshots.install(&manifest).expect("the next attempt goes through");
    assert_eq!(get(&second, "a"), Some("1".to_owned()));
    write(&second, &[("a", "2")]);
    second.state.flush().expect("the new state is a state");
}

pub(super) fn newest_snapshot_is_current(open: &mut Open) {
    let storage = open(Disk::First);
    let mut last = None;
    for (id, applied) in [("s-2", "at 2"), ("s-1", "at 3"), ("s-1", "at 4")] {
        apply(&storage, applied, &[("a", applied)]);
        last = Some(storage.snapshots.create(id).expect("a snapshot is made"));
        assert_eq!(storage.snapshots.current().expect("snapshots are read"), last);
    }
    assert!(storage.snapshots.open("s-2").is_err());
    drop(storage);
    let storage = open(Disk::First);
    assert_eq!(storage.snapshots.current().expect("snapshots are read"), last);
    let manifest = last.expect("three were made");
    let file = manifest.files.iter().find(|file| file.bytes > 1).expect("a snapshot is not empty");
    let reader = storage.snapshots.open("s-1").expect("it is there");
    let read = |offset| reader.read(&file.name, offset, 10).expect("the snapshot is read");
    assert_eq!((read(0).len(), read(file.bytes - 1).len(), read(file.bytes).len()), (10, 1, 0));
    assert_eq!(read(file.bytes + 9).len(), 0);
}

pub(super) fn open_snapshot_is_read_to_its_end(open: &mut Open) {
    let (first, second) = (open(Disk::First), open(Disk::Second));
    apply(&first, "at 5", &[("a", &"long".repeat(500))]);
    let manifest = first.snapshots.create("s-5").expect("a snapshot is made");
    let readers = [(); 2].map(|()| first.snapshots.open("s-5").expect("it is there"));
    assert!(first.snapshots.create("s-5").is_err(), "what is read stays what it is");
    apply(&first, "at 6", &[("a", "2")]);
    let newer = first.snapshots.create("s-6").expect("nobody has to wait for a reader");
    assert_eq!(first.snapshots.current().expect("snapshots are read"), Some(newer));
    let [one, other] = readers;
    drop(one);
    second.snapshots.receive(&manifest).expect("a good manifest is taken");
    for file in &manifest.files {
        let content = other.read(&file.name, 0, usize::MAX).expect("it is read to its end");
        second.snapshots.receive_chunk(&file.name, &content).expect("a piece is taken");
    }
    second.snapshots.install(&manifest).expect("it is whole");
    assert_eq!(get(&second, "a"), Some("long".repeat(500)));
    drop(other);
    assert!(first.snapshots.open("s-5").is_err(), "it is gone once nobody reads it");
    assert!(first.snapshots.open("s-6").is_ok());
}
