use super::*;
use crate::{BLOB_CHUNK_BYTES, Storage};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

fn put(storage: &Storage, content: &[u8]) -> BlobHash {
    let mut intake = storage.blobs.begin().unwrap();
    intake.write(content).unwrap();
    let hash = intake.seal().unwrap().hash;
    intake.keep().unwrap();
    hash
}

fn open_at(root: &TempDir) -> Storage {
    crate::disk::open(root.path()).unwrap()
}

fn is_damaged<T>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Corrupt { .. }))
}

#[test]
fn a_blob_is_a_file_with_its_content_for_its_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let hash = put(&open_at(&root), b"abc");
    assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    let path = root.path().join("blobs").join(hash.to_string());
    assert_eq!(fs::read(&path).unwrap(), b"abc");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_was_half_taken_in_is_gone_at_the_next_start() {
    let root = tempfile::tempdir().unwrap();
    let hash = put(&open_at(&root), b"abc");
    let blobs = root.path().join("blobs");
    fs::write(blobs.join("incoming/7"), b"half").unwrap();
    let orphan = blobs.join(format!("{}{OUTLINE}", hash.to_string().replace('b', "c")));
    fs::write(&orphan, b"half").unwrap();
    let storage = open_at(&root);
    assert!(!blobs.join("incoming/7").exists() && !orphan.exists());
    assert_eq!(storage.blobs.list().unwrap(), [hash]);
}

#[test]
fn every_way_to_damage_a_file_is_seen() {
    let content = vec![7; BLOB_CHUNK_BYTES + 100];
    let damages: [fn(&Path, &Path); 5] = [
        |content, _| {
            let file = File::options().write(true).open(content).unwrap();
            file.write_all_at(b"\0", BLOB_CHUNK_BYTES as u64 + 50).unwrap();
        },
        |content, _| File::options().write(true).open(content).unwrap().set_len(100).unwrap(),
        |content, _| File::options().append(true).open(content).unwrap().write_all(b"more").unwrap(),
        |_, outline| {
            let file = File::options().write(true).open(outline).unwrap();
            file.write_all_at(b"\0\0\0\0\0\0\0\0", 32).unwrap();
        },
        |_, outline| fs::remove_file(outline).unwrap(),
    ];
    for damage in damages {
        let root = tempfile::tempdir().unwrap();
        let storage = open_at(&root);
        let hash = put(&storage, &content);
        let path = root.path().join("blobs").join(hash.to_string());
        damage(&path, &path.with_extension(&OUTLINE[1..]));
        let opened = storage.blobs.open(hash);
        let seen = match opened {
            Ok(reader) => is_damaged(reader.unwrap().chunk(1)),
            opened => is_damaged(opened),
        };
        assert!(seen);
        storage.blobs.set_aside(hash).unwrap();
        assert!(storage.blobs.open(hash).unwrap().is_none());
        assert!(root.path().join("blobs/damaged").join(hash.to_string()).exists());
    }
}

#[test]
fn a_blob_that_is_given_up_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let storage = open_at(&root);
    let mut intake = storage.blobs.begin().unwrap();
    intake.write(b"half").unwrap();
    assert_eq!(durable::names(&root.path().join("blobs/incoming")).unwrap().len(), 2);
    drop(intake);
    assert_eq!(durable::names(&root.path().join("blobs/incoming")).unwrap(), [""; 0]);
}
