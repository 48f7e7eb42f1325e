//! What holds of every engine's blobs.

use super::{Disk, Open};
use crate::{BLOB_CHUNK_BYTES, Storage, StoredBlob};

/// So many bytes that no two of them are alike for long.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at / 256 + at * 7) as u8).collect()
}

/// Takes in `content`, in pieces that have nothing to do with chunks.
fn put(storage: &Storage, content: &[u8]) -> StoredBlob {
    let mut intake = storage.blobs.begin().expect("a healthy disk takes a blob");
    content.chunks(300_007).for_each(|piece| intake.write(piece).expect("a healthy disk takes it"));
    let stored = intake.seal().expect("a healthy disk keeps it");
    intake.keep().expect("a healthy disk keeps it");
    stored
}

fn read(storage: &Storage, stored: StoredBlob) -> Option<Vec<u8>> {
    let reader = storage.blobs.open(stored.hash).expect("it is opened")?;
    assert_eq!(reader.bytes(), stored.bytes);
    let mut content = Vec::new();
    for number in 0.. {
        let chunk = reader.chunk(number).expect("it is read");
        if chunk.is_empty() {
            break;
        }
        content.extend_from_slice(&chunk);
    }
    Some(content)
}

pub(super) fn blob_is_read_by_chunks(open: &mut Open) {
    let storage = open(Disk::First);
    for bytes in [0, 1, BLOB_CHUNK_BYTES, 2 * BLOB_CHUNK_BYTES + 3] {
        let content = content(bytes);
        let stored = put(&storage, &content);
        assert_eq!(stored.bytes, bytes as u64);
        assert_eq!(read(&storage, stored).as_deref(), Some(&*content));
        assert_eq!(put(&storage, &content), stored, "the same content is the same blob");
        assert_eq!(read(&storage, stored), Some(content));
    }
    let stored = put(&storage, &content(2 * BLOB_CHUNK_BYTES + 3));
    let reader = storage.blobs.open(stored.hash).expect("it is opened").expect("it is there");
    assert_eq!(reader.chunk(2).expect("it is read").len(), 3);
    for behind in [3, u64::MAX] {
        assert!(reader.chunk(behind).expect("it is read").is_empty());
    }
    assert_eq!(storage.blobs.list().expect("they are listed").len(), 4);
    assert!(storage.blobs.list().expect("they are listed").is_sorted());
}

pub(super) fn unfinished_blob_is_nothing(open: &mut Open) {
    let storage = open(Disk::First);
    let stored = put(&storage, b"abc");
    storage.blobs.remove(stored.hash).expect("it is removed");
    let mut intake = storage.blobs.begin().expect("a healthy disk takes a blob");
    intake.write(b"abc").expect("a healthy disk takes it");
    assert_eq!(read(&storage, stored), None);
    let sealed = intake.seal().expect("a healthy disk keeps it");
    assert_eq!((sealed, read(&storage, stored)), (stored, None));
    drop(intake);
    assert!(storage.blobs.begin().expect("a healthy disk takes a blob").keep().is_err(), "it is not sealed");
    assert_eq!(storage.blobs.list().expect("they are listed"), []);
}

pub(super) fn removed_blob_is_read_to_its_end(open: &mut Open) {
    let storage = open(Disk::First);
    let content = content(BLOB_CHUNK_BYTES + 9);
    let stored = put(&storage, &content);
    let reader = storage.blobs.open(stored.hash).expect("it is opened").expect("it is there");
    let first = reader.chunk(0).expect("it is read");
    storage.blobs.remove(stored.hash).expect("it is removed");
    storage.blobs.remove(stored.hash).expect("what is not there is no error");
    assert_eq!(read(&storage, stored), None);
    assert_eq!([first, reader.chunk(1).expect("it is read")].concat(), content);
    put(&storage, &content);
    storage.blobs.set_aside(stored.hash).expect("it is set aside");
    storage.blobs.set_aside(stored.hash).expect("what is not there is no error");
    assert_eq!((read(&storage, stored), storage.blobs.list().expect("they are listed")), (None, Vec::new()));
    put(&storage, &content);
    assert_eq!(read(&storage, stored), Some(content), "it can be made up for");
}

pub(super) fn blobs_outlive_their_process(open: &mut Open) {
    let storage = open(Disk::First);
    let (kept, removed) = (put(&storage, &content(70_000)), put(&storage, b"x"));
    storage.blobs.remove(removed.hash).expect("it is removed");
    drop(storage);
    let storage = open(Disk::First);
    assert_eq!(read(&storage, kept), Some(content(70_000)));
    assert_eq!(storage.blobs.list().expect("they are listed"), [kept.hash]);
}
