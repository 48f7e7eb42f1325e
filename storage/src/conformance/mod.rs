//! What every engine must do, as a list of properties. Each engine's tests run them all; a new engine starts here.

mod blobs;
mod snapshots;
mod state;

use crate::{Completion, LogMark, LogOp, LogRecord, Manifest, Storage, StorageError};
use blobs::{
    blob_is_read_by_chunks, blobs_outlive_their_process, removed_blob_is_read_to_its_end,
    unfinished_blob_is_nothing,
};
use bytes::Bytes;
use snapshots::{
    damaged_snapshot_changes_nothing, newest_snapshot_is_current, open_snapshot_is_read_to_its_end,
    snapshot_moves_the_state,
};
use state::{
    last_change_wins, scans_are_ordered, state_outlives_its_process, trimmed_journal_keeps_the_rest,
};
use std::{ops::Range, sync::mpsc, time::Duration};

/// A property may use two disks, for instance to send a snapshot from one to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// The one that every property uses.
    First,
    /// Another node's.
    Second,
}

/// Opens the storage of a disk: an empty one at first, and what it held when it is opened again after all handles were
/// dropped.
pub type Open = dyn FnMut(Disk) -> Storage;

/// Something that holds of every engine.
pub struct Property {
    /// What holds.
    pub name: &'static str,
    /// Panics if it doesn't. Takes fresh disks.
    pub check: fn(&mut Open),
}

/// All properties.
pub const PROPERTIES: &[Property] = &[
    Property { name: "a new log is empty", check: new_log_is_empty },
    Property { name: "what is appended is read back", check: appended_is_read_back },
    Property { name: "an append that leaves a gap is refused", check: gap_is_refused },
    Property { name: "a truncated log can be written again from there", check: truncated_is_rewritten },
    Property { name: "a purge moves the start, even beyond the end", check: purge_moves_the_start },
    Property { name: "what is old is told by bytes", check: tail_is_told_by_bytes },
    Property { name: "operations of one group act in order", check: group_acts_in_order },
    Property { name: "completions come in the order of submission", check: completions_come_in_order },
    Property { name: "marks are kept", check: marks_are_kept },
    Property { name: "what is submitted alone keeps its turn and is kept", check: alone_keeps_its_turn },
    Property { name: "the log outlives its process", check: log_outlives_its_process },
    Property { name: "the last change of a key in a batch wins", check: last_change_wins },
    Property { name: "scans are ordered, bounded and limited", check: scans_are_ordered },
    Property { name: "a trimmed journal keeps what lies behind", check: trimmed_journal_keeps_the_rest },
    Property { name: "the state outlives its process", check: state_outlives_its_process },
    Property { name: "a snapshot moves the state to another node", check: snapshot_moves_the_state },
    Property { name: "a damaged snapshot changes nothing", check: damaged_snapshot_changes_nothing },
    Property { name: "only the newest snapshot is current", check: newest_snapshot_is_current },
    Property { name: "an open snapshot is read to its end", check: open_snapshot_is_read_to_its_end },
    Property { name: "names that could be paths are refused", check: paths_are_refused },
    Property { name: "small files are replaced and outlive their process", check: files_are_replaced },
    Property { name: "a blob is read back chunk by chunk", check: blob_is_read_by_chunks },
    Property { name: "an unfinished blob is nothing", check: unfinished_blob_is_nothing },
    Property { name: "a removed blob can be read to its end", check: removed_blob_is_read_to_its_end },
    Property { name: "blobs outlive their process", check: blobs_outlive_their_process },
];

/// Checks all properties, each on disks of its own.
///
/// # Panics
/// If one does not hold.
pub fn check(mut fresh: impl FnMut() -> Box<Open>) {
    for property in PROPERTIES {
        tracing::info!(property = property.name, "checking");
        (property.check)(&mut *fresh());
    }
}

/// How long a completion may take before the engine counts as stuck.
const COMPLETION_WAIT: Duration = Duration::from_secs(30);

fn record(index: u64, term: u64) -> LogRecord {
    let body = Bytes::from(format!("body {index} of term {term}"));
    LogRecord { index, term, leader: term * 10, kind: 1, body }
}

fn records(range: Range<u64>, term: u64) -> Vec<LogRecord> {
    range.map(|index| record(index, term)).collect()
}

/// Submits `op` and waits until it is done.
fn submit(storage: &Storage, op: LogOp) -> Result<(), StorageError> {
    let (done, result) = mpsc::channel();
    let tell = move |result| done.send(result).expect("the receiver waits below");
    storage.log.submit(op, Box::new(tell));
    result.recv_timeout(COMPLETION_WAIT).expect("the completion is called")
}

fn must(storage: &Storage, op: LogOp) {
    submit(storage, op).expect("a healthy log takes it");
}

fn expect_log(storage: &Storage, range: Range<u64>, expected: &[LogRecord]) {
    assert_eq!(storage.log.range().expect("the range is known"), range);
    let found = storage.log.read(0..u64::MAX, usize::MAX).expect("the log is read");
    assert_eq!(found, expected);
}

fn new_log_is_empty(open: &mut Open) {
    let storage = open(Disk::First);
    expect_log(&storage, 0..0, &[]);
    for mark in [LogMark::Vote, LogMark::Committed, LogMark::Purged] {
        assert_eq!(storage.log.mark(mark).expect("marks are read"), None);
    }
    assert_eq!(storage.snapshots.current().expect("snapshots are read"), None);
}

fn appended_is_read_back(open: &mut Open) {
    let storage = open(Disk::First);
    must(&storage, LogOp::Append(records(0..10, 1)));
    must(&storage, LogOp::Append(Vec::new()));
    must(&storage, LogOp::Append(records(10..300, 2)));
    let all = [records(0..10, 1), records(10..300, 2)].concat();
    expect_log(&storage, 0..300, &all);
    let read = |range, bytes_max| storage.log.read(range, bytes_max).expect("the log is read");
    assert_eq!(read(5..12, usize::MAX), &all[5..12]);
    assert_eq!(read(299..999, usize::MAX), &all[299..]);
    assert_eq!(read(300..999, usize::MAX), &[]);
    assert_eq!(read(5..12, 0), &all[5..6], "one record, however little is asked for");
    let some = read(0..300, 1000);
    assert!(some.len() > 1 && some.len() < 50 && some == all[..some.len()], "{} records", some.len());
}

fn gap_is_refused(open: &mut Open) {
    let storage = open(Disk::First);
    must(&storage, LogOp::Append(records(0..3, 1)));
    assert!(submit(&storage, LogOp::Append(records(4..5, 1))).is_err());
    assert!(submit(&storage, LogOp::Append(records(2..5, 1))).is_err());
    assert!(submit(&storage, LogOp::Append(vec![record(3, 1), record(5, 1)])).is_err());
    assert!(submit(&storage, LogOp::Mark(LogMark::Purged, Bytes::new())).is_err());
    must(&storage, LogOp::Append(records(3..4, 1)));
    expect_log(&storage, 0..4, &records(0..4, 1));
}

fn truncated_is_rewritten(open: &mut Open) {
    let storage = open(Disk::First);
    must(&storage, LogOp::Append(records(0..500, 1)));
    must(&storage, LogOp::TruncateFrom(490));
    must(&storage, LogOp::TruncateFrom(600));
    must(&storage, LogOp::Append(records(490..495, 2)));
    let all = [records(0..490, 1), records(490..495, 2)].concat();
    expect_log(&storage, 0..495, &all);
    must(&storage, LogOp::TruncateFrom(100)); // Enough to be removed as a range.
    must(&storage, LogOp::Append(records(100..400, 3)));
    drop(storage);
    let all = [records(0..100, 1), records(100..400, 3)].concat();
    let storage = open(Disk::First);
    expect_log(&storage, 0..400, &all);
    must(&storage, LogOp::TruncateFrom(0));
    expect_log(&storage, 0..0, &[]);
}

fn purge_moves_the_start(open: &mut Open) {
    let storage = open(Disk::First);
    let purge = |through: u64| LogOp::Purge { through, mark: Bytes::from(format!("purged {through}")) };
    let purged = |storage: &Storage| storage.log.mark(LogMark::Purged).expect("marks are read");
    must(&storage, LogOp::Append(records(0..300, 1)));
    must(&storage, purge(199));
    expect_log(&storage, 200..300, &records(200..300, 1));
    must(&storage, purge(100));
    assert_eq!(purged(&storage), Some(Bytes::from("purged 199")), "the mark never goes back");
    must(&storage, LogOp::TruncateFrom(0));
    expect_log(&storage, 200..200, &[]);
    must(&storage, LogOp::Append(records(200..210, 2)));
    must(&storage, purge(999));
    expect_log(&storage, 1000..1000, &[]);
    assert!(submit(&storage, LogOp::Append(records(210..211, 2))).is_err());
    drop(storage);
    let storage = open(Disk::First);
    expect_log(&storage, 1000..1000, &[]);
    assert_eq!(purged(&storage), Some(Bytes::from("purged 999")));
    must(&storage, LogOp::Append(records(1000..1002, 3)));
    expect_log(&storage, 1000..1002, &records(1000..1002, 3));
}

fn tail_is_told_by_bytes(open: &mut Open) {
    let storage = open(Disk::First);
    let tail = |bytes| storage.log.tail(bytes).expect("the disk is well");
    assert_eq!((tail(0), tail(u64::MAX)), (0, 0), "nothing is there");
    let large = |index| LogRecord { body: vec![7; 10_000].into(), ..record(index, 1) };
    must(&storage, LogOp::Append((0..10).map(large).collect()));
    assert_eq!((tail(0), tail(u64::MAX)), (10, 0));
    // What a record takes beside its body is left open.
    assert_eq!((tail(9_999), tail(35_000), tail(99_999)), (10, 7, 1));
    must(&storage, LogOp::TruncateFrom(9));
    must(&storage, LogOp::Purge { through: 4, mark: Bytes::from_static(b"4") });
    assert_eq!((tail(0), tail(25_000), tail(u64::MAX)), (9, 7, 5));
}

fn group_acts_in_order(open: &mut Open) {
    let storage = open(Disk::First);
    let ops = [
        LogOp::Append(records(0..300, 1)),
        LogOp::TruncateFrom(50),
        LogOp::Append(records(50..60, 2)),
        LogOp::Purge { through: 9, mark: Bytes::from("9") },
        LogOp::TruncateFrom(55),
        LogOp::Append(records(55..70, 3)),
    ];
    for op in ops {
        storage.log.submit(op, Box::new(|result| result.expect("a healthy log takes it")));
    }
    must(&storage, LogOp::Mark(LogMark::Committed, Bytes::from("69")));
    let all = [records(10..50, 1), records(50..55, 2), records(55..70, 3)].concat();
    expect_log(&storage, 10..70, &all);
}

fn completions_come_in_order(open: &mut Open) {
    let storage = open(Disk::First);
    let (done, results) = mpsc::channel();
    for number in 0..500_u64 {
        let (done, log) = (done.clone(), storage.log.clone());
        let op = match number % 10 {
            3 => LogOp::Append(records(7777..7778, 1)), // A refusal keeps its turn.
            7 => LogOp::Mark(LogMark::Vote, Bytes::from(number.to_string())),
            _ => LogOp::Append(Vec::new()),
        };
        let tell = move |result: Result<(), StorageError>| {
            let seen = log.mark(LogMark::Vote).expect("marks are read");
            let seen = seen.map_or(0, |vote| String::from_utf8_lossy(&vote).parse().expect("a number"));
            assert!(result.is_err() || number % 10 != 7 || seen >= number, "completed but not there");
            done.send((number, result.is_ok())).expect("the receiver waits below");
        };
        storage.log.submit(op, Box::new(tell));
    }
    for number in 0..500 {
        let next = results.recv_timeout(COMPLETION_WAIT).expect("every completion is called");
        assert_eq!(next, (number, number % 10 != 3));
    }
}

fn alone_keeps_its_turn(open: &mut Open) {
    let storage = open(Disk::First);
    let (done, results) = mpsc::channel();
    let append = |index: u64, alone: bool| {
        let done = done.clone();
        let tell: Completion = Box::new(move |result: Result<(), StorageError>| {
            result.expect("a healthy log takes it");
            done.send(index).expect("the receiver waits below");
        });
        let op = LogOp::Append(records(index..index + 1, 1));
        if alone { storage.log.submit_alone(op, tell) } else { storage.log.submit(op, tell) }
    };
    let next = || results.recv_timeout(COMPLETION_WAIT).expect("every completion is called");
    // One after the other, so that a disk that is quick is known to be.
    for index in 0..100 {
        append(index, true);
        assert_eq!(next(), index);
    }
    // And among others that are still on their way.
    for index in 100..400 {
        append(index, index % 3 == 0);
    }
    for index in 100..400 {
        assert_eq!(next(), index);
    }
    expect_log(&storage, 0..400, &records(0..400, 1));
    drop(storage);
    expect_log(&open(Disk::First), 0..400, &records(0..400, 1));
}

fn marks_are_kept(open: &mut Open) {
    let storage = open(Disk::First);
    for round in ["a", "b", ""] {
        must(&storage, LogOp::Mark(LogMark::Vote, Bytes::from(round)));
        must(&storage, LogOp::Mark(LogMark::Committed, Bytes::from(format!("c{round}"))));
        assert_eq!(storage.log.mark(LogMark::Vote).expect("marks are read"), Some(Bytes::from(round)));
    }
    drop(storage);
    let storage = open(Disk::First);
    assert_eq!(storage.log.mark(LogMark::Vote).expect("marks are read"), Some(Bytes::new()));
    assert_eq!(storage.log.mark(LogMark::Committed).expect("marks are read"), Some(Bytes::from("c")));
}

fn log_outlives_its_process(open: &mut Open) {
    for round in 0..4_u64 {
        let storage = open(Disk::First);
        expect_log(&storage, 0..round * 100, &records(0..round * 100, 1));
        for index in round * 100..round * 100 + 99 {
            storage.log.submit(LogOp::Append(vec![record(index, 1)]), Box::new(|_| {}));
        }
        must(&storage, LogOp::Append(vec![record(round * 100 + 99, 1)]));
    }
}

fn paths_are_refused(open: &mut Open) {
    let storage = open(Disk::First);
    let good = storage.snapshots.create("good").expect("a snapshot is made");
    let reader = storage.snapshots.open("good").expect("it is there");
    for name in ["../x", "a/b", "", "..", "/etc/passwd", ".hidden"] {
        assert!(storage.files.write(name, b"").is_err(), "{name:?}");
        assert!(storage.files.read(name).is_err(), "{name:?}");
        assert!(storage.files.remove(name).is_err(), "{name:?}");
        assert!(storage.snapshots.create(name).is_err(), "{name:?}");
        assert!(reader.read(name, 0, 1).is_err(), "{name:?}");
        assert!(storage.snapshots.open(name).is_err(), "{name:?}");
        let mut bad = good.clone();
        bad.files[0].name = name.to_owned();
        assert!(storage.snapshots.receive(&bad).is_err(), "{name:?}");
        let bad = Manifest { id: name.to_owned(), ..good.clone() };
        assert!(storage.snapshots.receive(&bad).is_err(), "{name:?}");
    }
}

fn files_are_replaced(open: &mut Open) {
    let storage = open(Disk::First);
    let read = |storage: &Storage, name| storage.files.read(name).expect("files are read");
    assert_eq!(read(&storage, "identity"), None);
    storage.files.remove("identity").expect("removing what is not there is no error");
    storage.files.write("identity", b"one").expect("files are written");
    storage.files.write("identity", b"2").expect("files are written");
    storage.files.write("gone", b"").expect("files are written");
    assert_eq!(read(&storage, "gone"), Some(Vec::new()));
    storage.files.remove("gone").expect("files are removed");
    drop(storage);
    let storage = open(Disk::First);
    assert_eq!(read(&storage, "identity"), Some(b"2".to_vec()));
    assert_eq!(read(&storage, "gone"), None);
}
