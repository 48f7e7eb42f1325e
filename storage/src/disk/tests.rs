use super::{
    data_dir::{RAFT, STATE, STATE_NEW, STATE_OLD, STATE_PART},
    *,
};
use crate::{Batch, Family, LogOp, LogRecord, LogStore, conformance};
use bytes::Bytes;
use std::{
    fs,
    io::ErrorKind,
    ops::Range,
    os::unix::fs::PermissionsExt,
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn records(range: Range<u64>) -> Vec<LogRecord> {
    let body = |index: u64| Bytes::from(format!("body {index} ").repeat(index as usize % 90));
    range.map(|index| LogRecord { index, term: 1, leader: 1, kind: 1, body: body(index) }).collect()
}

/// Appends each record in a group of its own.
fn append(storage: &Storage, range: Range<u64>) {
    for record in records(range) {
        let (done, result) = mpsc::channel();
        let tell = move |outcome| done.send(outcome).unwrap();
        storage.log.submit(LogOp::Append(vec![record]), Box::new(tell));
        result.recv().unwrap().unwrap();
    }
}

fn read_all(storage: &Storage) -> Result<Vec<LogRecord>, StorageError> {
    storage.log.read(0..u64::MAX, usize::MAX)
}

fn put(storage: &Storage, value: &'static str) {
    let mut batch = Batch::default();
    batch.put(Family::Raft, "applied", value);
    batch.put(Family::Store, "key", value);
    storage.state.write(batch).unwrap();
}

fn get(storage: &Storage) -> Option<Bytes> {
    storage.state.get(Family::Store, b"key").unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy(&from, &to);
        } else if let Err(error) = fs::copy(&from, &to) {
            // The next segment of the log gets its name, or goes, in a thread of its own.
            assert_eq!(error.kind(), ErrorKind::NotFound, "{}: {error}", from.display());
        }
    }
}

/// With segments so short that tests write several.
fn open(path: &Path) -> Result<Storage, StorageError> {
    open_with(path, 64 << 10)
}

fn is_corrupt<T>(result: &Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Corrupt { .. }))
}

#[test]
fn every_property_holds() {
    conformance::check(|| {
        let disks = [directory(), directory()];
        Box::new(move |disk| open(disks[disk as usize].path()).unwrap())
    });
}

#[test]
fn a_directory_is_opened_once_and_tells_by_whom() {
    let root = directory();
    let path = root.path().join("data");
    let storage = open(&path).unwrap();
    let Err(StorageError::InUse { pid, .. }) = open(&path) else { panic!("opened twice") };
    assert_eq!(pid, std::process::id().to_string());
    assert!(matches!(reset(&path), Err(StorageError::InUse { .. })));
    let log = storage.log.clone();
    drop(storage);
    assert!(matches!(open(&path), Err(StorageError::InUse { .. })), "one handle is enough");
    drop(log);
    storage_files_are_private(&open(&path).unwrap(), &path);
}

fn storage_files_are_private(storage: &Storage, path: &Path) {
    storage.files.write("secret", b"s").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(&file_path(path, "secret"))), (0o700, 0o600));
}

#[test]
fn a_place_that_cannot_be_a_directory_is_unwritable() {
    let root = directory();
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    for path in [file.clone(), file.join("below")] {
        assert!(matches!(open(&path), Err(StorageError::Unwritable { .. })), "{}", path.display());
    }
}

#[test]
fn another_layout_is_refused() {
    let root = directory();
    drop(open(root.path()).unwrap());
    for other in [5, 7] {
        fs::write(root.path().join("LAYOUT"), format!("{other}\n")).unwrap();
        let refused = open(root.path());
        assert!(matches!(refused, Err(StorageError::Layout { found, known: 6, .. }) if found == other));
    }
    fs::write(root.path().join("LAYOUT"), b"x").unwrap();
    assert!(is_corrupt(&open(root.path())));
    fs::write(root.path().join("LAYOUT"), b"6\n").unwrap();
    assert!(open(root.path()).is_ok());
}

#[test]
fn dropping_writes_what_was_queued() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    let results = Arc::new(Mutex::new(Vec::new()));
    for record in records(0..3000) {
        let results = results.clone();
        let tell = move |result: Result<(), _>| results.lock().unwrap().push((record.index, result.is_ok()));
        let record = records(record.index..record.index + 1);
        storage.log.submit(LogOp::Append(record), Box::new(tell));
    }
    drop(storage);
    assert_eq!(*results.lock().unwrap(), (0..3000).map(|index| (index, true)).collect::<Vec<_>>());
    assert_eq!(read_all(&open(root.path()).unwrap()).unwrap(), records(0..3000));
}

#[test]
fn a_completion_may_hold_the_last_handle() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    let (done, result) = mpsc::channel();
    let (gone, release) = mpsc::channel::<()>();
    let log: Arc<dyn LogStore> = storage.log.clone();
    let tell = move |outcome: Result<(), StorageError>| {
        release.recv().unwrap();
        drop(log);
        done.send(outcome.is_ok()).unwrap();
    };
    storage.log.submit(LogOp::Append(records(0..1)), Box::new(tell));
    drop(storage);
    gone.send(()).unwrap();
    assert!(result.recv().unwrap());
    // The writer closes the database on its own, and a process must not end in the middle of that. Once the
    // directory's lock is free, it is done.
    while let Err(error) = open(root.path()) {
        assert!(matches!(error, StorageError::InUse { .. }), "{error}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_process_that_was_killed_left_all_it_acknowledged() {
    let (root, image) = (directory(), directory());
    let storage = open(root.path()).unwrap();
    append(&storage, 0..100);
    put(&storage, "1");
    storage.state.flush().unwrap();
    put(&storage, "2");
    copy(root.path(), image.path()); // What a kill leaves: no handle was dropped.
    for _ in 0..2 {
        let again = open(image.path()).unwrap();
        assert_eq!(read_all(&again).unwrap(), records(0..100));
        // The second put was not flushed: whoever applies the log makes it again.
        assert_eq!(get(&again), Some(Bytes::from("1")));
    }
}

/// RocksDB's own reader would never come back from this.
#[test]
fn a_record_of_an_impossible_kind_is_damage() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    append(&storage, 0..3);
    put(&storage, "1");
    put(&storage, "2");
    drop(storage);
    let names = durable::names(&root.path().join(STATE)).unwrap();
    let file = root.path().join(STATE).join(names.iter().rfind(|name| name.contains("MANIFEST")).unwrap());
    let mut bytes = fs::read(&file).unwrap();
    let second = 7 + usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    bytes[second + 6] ^= 4;
    fs::write(&file, bytes).unwrap();
    let storage = open(root.path()).unwrap();
    assert!(is_corrupt(&storage.state.get(Family::Store, b"key")) && storage.fence.damage().is_some());
}

#[test]
fn lost_files_are_damage_and_never_a_fresh_start() {
    let root = directory();
    append(&open(root.path()).unwrap(), 0..10);
    drop(open(root.path()).unwrap());
    for lost in [RAFT, STATE, "state/CURRENT", "raft/0000000000000001.log"] {
        let image = directory();
        copy(root.path(), image.path());
        durable::remove(&image.path().join(lost)).unwrap();
        for _ in 0..2 {
            let result = open(image.path()).and_then(|storage| {
                storage.state.get(Family::Store, b"key")?;
                read_all(&storage)
            });
            assert!(is_corrupt(&result), "{lost}: {result:?}");
        }
    }
}

#[test]
fn an_interrupted_install_leaves_the_old_state_or_the_new_one() {
    let (old, new) = (directory(), directory());
    put(&open(old.path()).unwrap(), "old");
    let manifest = {
        let storage = open(new.path()).unwrap();
        put(&storage, "new");
        storage.snapshots.create("s").unwrap()
    };
    // Where the old and the new state lie, and which one is found there.
    let layouts: [(&[&str], &[&str], &str); 5] = [
        (&[STATE], &[STATE_PART], "old"),
        (&[STATE], &[STATE_NEW], "new"),
        (&[STATE, STATE_OLD], &[STATE_NEW], "new"),
        (&[STATE_OLD], &[STATE_NEW], "new"),
        (&[STATE_OLD], &[STATE], "new"),
    ];
    for (old_places, new_places, expected) in layouts {
        let image = directory();
        copy(old.path(), image.path());
        fs::remove_dir_all(image.path().join(STATE)).unwrap();
        for (from, places) in [(&old, old_places), (&new, new_places)] {
            for place in places {
                copy(&from.path().join(STATE), &image.path().join(place));
            }
        }
        copy(&new.path().join("snapshots/s"), &image.path().join("snapshots/incoming.part"));
        for round in 0..2 {
            let storage = open(image.path()).unwrap();
            assert_eq!(get(&storage).as_deref(), Some(expected.as_bytes()), "{old_places:?} {new_places:?}");
            let current = storage.snapshots.current().unwrap();
            let whole = (expected == "new").then_some(&manifest);
            assert_eq!(current.as_ref(), whole, "{old_places:?} {new_places:?} {round}");
            let mut names = durable::names(image.path()).unwrap();
            names.retain(|name| name.starts_with(STATE));
            assert_eq!(names, [STATE]);
        }
    }
}

#[test]
fn what_is_deleted_leaves_the_disk() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    let size = || -> u64 {
        let files = fs::read_dir(root.path().join("state")).unwrap();
        files.filter_map(|file| file.ok()?.metadata().ok()).map(|file| file.len()).sum()
    };
    let keys: Vec<String> = (0..4000).map(|number| format!("{number:06}")).collect();
    for some in keys.chunks(500) {
        let mut batch = Batch::default();
        // Nothing that could be packed.
        let value =
            |key: &String| (0..5000).map(|_| rand::random::<u8>()).chain(key.bytes()).collect::<Vec<u8>>();
        some.iter().for_each(|key| batch.put(Family::Store, key.clone(), value(key)));
        storage.state.write(batch).unwrap();
        storage.state.flush().unwrap();
    }
    let full = size();
    assert!(full > 15_000_000, "{full}");
    let mut batch = Batch::default();
    keys.into_iter().for_each(|key| batch.delete(Family::Store, key));
    storage.state.write(batch).unwrap();
    storage.state.flush().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while size() > full / 10 {
        assert!(Instant::now() < deadline, "{} of {full} bytes are there still", size());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_dead_process_was_reading_is_gone_after_the_next_start() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    put(&storage, "1");
    storage.snapshots.create("old").unwrap();
    let reader = storage.snapshots.open("old").unwrap();
    let current = storage.snapshots.create("new").unwrap();
    let (old, image) = (root.path().join("snapshots/old"), directory());
    copy(&old, image.path());
    drop((reader, storage));
    assert!(!old.exists(), "nobody reads it any more");
    // As it lies there if the power goes meanwhile.
    copy(image.path(), &old);
    let storage = open(root.path()).unwrap();
    assert_eq!(storage.snapshots.current().unwrap(), Some(current));
    assert!(!old.exists());
}

#[test]
fn a_snapshot_with_a_file_missing_is_not_current() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    put(&storage, "1");
    let manifest = storage.snapshots.create("s").unwrap();
    fs::remove_file(root.path().join("snapshots/s/state").join(&manifest.files[0].name)).unwrap();
    assert_eq!(storage.snapshots.current().unwrap(), None);
    drop(storage);
    let storage = open(root.path()).unwrap();
    assert_eq!(storage.snapshots.current().unwrap(), None);
    assert!(storage.snapshots.create("s").is_ok());
}

#[test]
fn a_reset_takes_what_is_ours_and_is_finished_by_the_next_start() {
    let root = directory();
    reset(root.path()).unwrap();
    assert_eq!(durable::names(root.path()).unwrap(), [""; 0], "a foreign directory is left alone");
    let fill = || {
        let storage = open(root.path()).unwrap();
        storage.files.write("identity", b"me").unwrap();
        append(&storage, 0..5);
    };
    let is_empty = || {
        let storage = open(root.path()).unwrap();
        storage.log.range().unwrap() == (0..0) && storage.files.read("identity").unwrap().is_none()
    };
    fs::write(root.path().join("theirs"), b"").unwrap();
    fill();
    assert_eq!(owned(root.path()).len(), 6);
    reset(root.path()).unwrap();
    assert_eq!(durable::names(root.path()).unwrap(), ["LOCK", "theirs"]);
    assert!(is_empty());
    fs::remove_file(root.path().join("LAYOUT")).unwrap();
    fill();
    fs::write(root.path().join("RESET"), b"").unwrap();
    fs::remove_dir_all(root.path().join(RAFT)).unwrap();
    assert!(is_empty(), "half a directory never comes to life");
    assert!(!root.path().join("RESET").exists());
}

/// The bytes of all tables of the state.
fn table_bytes(path: &Path) -> u64 {
    let tables = fs::read_dir(path.join(STATE)).unwrap().map(|entry| entry.unwrap());
    let tables = tables.filter(|entry| entry.path().extension().is_some_and(|end| end == "sst"));
    tables.map(|entry| entry.metadata().unwrap().len()).sum()
}

#[test]
fn the_space_of_what_was_trimmed_is_given_back() {
    let root = directory();
    let storage = open(root.path()).unwrap();
    let key = |number: u64| number.to_be_bytes().to_vec();
    let mut written = 0;
    let mut write = |trim: Option<u64>| {
        let mut batch = Batch::default();
        for _ in 0..1000 {
            written += 1;
            batch.put(Family::History, key(written), vec![7; 1000]);
        }
        trim.into_iter().for_each(|through| batch.trim(Family::History, key(through)));
        storage.state.write(batch).unwrap();
    };
    (0..100).for_each(|_| write(None));
    let full = table_bytes(root.path());
    assert!(full > 60 << 20, "{full}");
    let look = &mut |view: &dyn crate::StateView| {
        write(Some(99_000));
        storage.state.flush().unwrap();
        assert!(view.get(Family::History, &key(1)).unwrap().is_some(), "what is looked at stays");
    };
    storage.state.view(look).unwrap();
    // Files that are new, or on their way down, stay until the next trim.
    let given_back = (0..100).any(|_| {
        write(Some(99_000));
        storage.state.flush().unwrap();
        thread::sleep(Duration::from_millis(100));
        table_bytes(root.path()) < full / 2
    });
    assert!(given_back, "{} of {full}", table_bytes(root.path()));
    assert!(storage.state.get(Family::History, &key(99_001)).unwrap().is_some());
}
