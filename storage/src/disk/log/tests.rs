//! Torn tails, damage, rotation: the log's files, changed behind its back.

use super::*;
use std::{collections::BTreeSet, fs, time::Duration};
use tempfile::TempDir;

/// Short, so that a few records fill several.
const SHORT: u64 = 4 << 10;

struct Home {
    directory: TempDir,
}

impl Home {
    fn new() -> Self {
        Home { directory: tempfile::tempdir().expect("there is room") }
    }

    fn open(&self) -> Result<SegmentLog, StorageError> {
        let data_dir = Arc::new(DataDir::open(self.directory.path())?);
        let log = SegmentLog::open(&data_dir, SHORT)?;
        data_dir.complete()?;
        Ok(log)
    }

    fn raft(&self) -> PathBuf {
        self.directory.path().join(RAFT)
    }

    /// The segments, oldest first.
    fn segments(&self) -> Vec<PathBuf> {
        let names = durable::names(&self.raft()).expect("the directory is there");
        names
            .iter()
            .filter(|name| segment::sequence_of(name).is_some())
            .map(|name| self.raft().join(name))
            .collect()
    }

    /// What a kill leaves: the files as they are, under another roof.
    fn image(&self) -> Home {
        let image = Home::new();
        fs::create_dir(image.raft()).expect("it is new");
        for name in durable::names(&self.raft()).expect("the directory is there") {
            fs::copy(self.raft().join(&name), image.raft().join(&name)).expect("it is a file");
        }
        fs::copy(self.directory.path().join("LAYOUT"), image.directory.path().join("LAYOUT"))
            .expect("it is there");
        image
    }
}

fn records(range: Range<u64>, term: u64) -> Vec<LogRecord> {
    let body = |index: u64| Bytes::from(format!("body {index} ").repeat(index as usize % 19));
    range.map(|index| LogRecord { index, term, leader: 1, kind: 1, body: body(index) }).collect()
}

fn submit(log: &SegmentLog, op: LogOp) -> Result<(), StorageError> {
    let (done, result) = mpsc::channel();
    log.submit(op, Box::new(move |outcome| done.send(outcome).expect("the test waits")));
    result.recv_timeout(Duration::from_secs(30)).expect("the writer answers")
}

/// Appends each record in a batch of its own.
fn append(log: &SegmentLog, range: Range<u64>) {
    for index in range {
        submit(log, LogOp::Append(records(index..index + 1, 1))).expect("the disk is well");
    }
}

fn all(log: &SegmentLog) -> Vec<LogRecord> {
    log.read(0..u64::MAX, usize::MAX).expect("the log is well")
}

fn is_corrupt<T>(result: &Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::Corrupt { .. }))
}

#[test]
fn records_and_marks_outlive_rotations() {
    let home = Home::new();
    for round in 0..5 {
        let log = home.open().expect("it opens");
        assert_eq!(all(&log), records(0..round * 60, 1));
        append(&log, round * 60..(round + 1) * 60);
        let mark = Bytes::from(vec![round as u8; 3]);
        submit(&log, LogOp::Mark(LogMark::Vote, mark.clone())).expect("the disk is well");
        assert_eq!(log.mark(LogMark::Vote).expect("it is in memory"), Some(mark));
    }
    assert!(home.segments().len() > 5, "several segments");
    let log = home.open().expect("it opens");
    assert_eq!(log.mark(LogMark::Vote).expect("it is in memory"), Some(Bytes::from_static(&[4; 3])));
    assert_eq!(log.read(100..103, 1).expect("the log is well"), records(100..101, 1), "one at least");
}

#[test]
fn what_is_truncated_is_written_again_and_what_is_purged_gives_its_files_back() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..100);
    submit(&log, LogOp::TruncateFrom(70)).expect("the disk is well");
    submit(&log, LogOp::Append(records(70..90, 2))).expect("the disk is well");
    let expected = [records(0..70, 1), records(70..90, 2)].concat();
    assert_eq!(all(&log), expected);
    let before = home.segments().len();
    submit(&log, LogOp::Purge { through: 79, mark: Bytes::from_static(b"79") }).expect("the disk is well");
    assert_eq!(all(&log), records(80..90, 2));
    drop(log);
    assert!(home.segments().len() < before, "{before} segments before");
    let log = home.open().expect("it opens");
    assert_eq!(all(&log), records(80..90, 2));
    assert_eq!(log.mark(LogMark::Purged).expect("it is in memory"), Some(Bytes::from_static(b"79")));
    submit(&log, LogOp::Purge { through: 499, mark: Bytes::from_static(b"499") }).expect("the disk is well");
    append(&log, 500..600);
    drop(log);
    assert_eq!(all(&home.open().expect("it opens")), records(500..600, 1));
}

#[test]
fn one_group_may_append_truncate_and_purge() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..10);
    let ops = [
        LogOp::Append(records(10..20, 1)),
        LogOp::TruncateFrom(5),
        LogOp::Append(records(5..30, 2)),
        LogOp::TruncateFrom(25),
        LogOp::Purge { through: 7, mark: Bytes::from_static(b"7") },
        LogOp::Append(records(25..28, 3)),
    ];
    let (done, results) = mpsc::channel();
    for op in ops {
        let done = done.clone();
        log.submit(op, Box::new(move |outcome| done.send(outcome.is_ok()).expect("the test waits")));
    }
    drop(done);
    assert_eq!(results.iter().collect::<Vec<_>>(), [true; 6]);
    let expected = [records(8..25, 2), records(25..28, 3)].concat();
    assert_eq!(all(&log), expected);
    drop(log);
    assert_eq!(all(&home.open().expect("it opens")), expected);
}

/// A file that is recycled while a reader has it open would be damage that nobody did.
#[test]
fn purged_files_are_written_again() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    let mut names = BTreeSet::new();
    for round in 0..20_u64 {
        append(&log, round * 50..(round + 1) * 50);
        assert_eq!(log.read(round * 50..u64::MAX, usize::MAX).expect("the log is well").len(), 50);
        let mark = Bytes::from(round.to_le_bytes().to_vec());
        submit(&log, LogOp::Purge { through: round * 50 + 40, mark }).expect("the disk is well");
        names.extend(home.segments());
    }
    drop(log);
    assert!(names.len() > 20 && home.segments().len() < 5, "{} names", names.len());
    assert_eq!(all(&home.open().expect("it opens")), records(991..1000, 1));
}

#[test]
fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..100);
    let killed = home.image();
    drop(log);
    let last = killed.segments().pop().expect("there is one");
    let bytes = fs::read(&last).expect("it is there");
    let used = bytes.iter().rposition(|byte| *byte != 0).expect("something was written") + 1;
    for lost in 1..used {
        let image = killed.image();
        let file = image.raft().join(last.file_name().expect("it is a file"));
        // The sector of the head is written as a whole.
        let kept = used - lost;
        if kept > 0 && kept < SEGMENT_HEAD_BYTES {
            continue;
        }
        let torn = [&bytes[..kept], &vec![0; bytes.len() - kept]].concat();
        fs::write(&file, &torn).expect("there is room");
        let log = image.open().unwrap_or_else(|error| panic!("{lost} of {used} lost: {error}"));
        let end = log.range().expect("it is in memory").end;
        assert!(end < 100, "{lost} of {used} lost, {end} left");
        assert_eq!(all(&log), records(0..end, 1), "{lost} lost");
        append(&log, end..end + 5);
        drop(log);
        assert_eq!(all(&image.open().expect("it opens")), records(0..end + 5, 1));
    }
}

#[test]
fn a_changed_byte_is_never_taken_for_the_end_of_the_log() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..100);
    drop(log);
    let mut found = 0;
    for file in home.segments() {
        let bytes = fs::read(&file).expect("it is there");
        for at in (0..bytes.len()).step_by(13) {
            let image = home.image();
            let name = image.raft().join(file.file_name().expect("it is a file"));
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            fs::write(&name, &changed).expect("there is room");
            match image.open() {
                Ok(log) => assert_eq!(all(&log), records(0..100, 1), "byte {at}"),
                result => {
                    assert!(is_corrupt(&result), "byte {at}");
                    assert_eq!(fs::read(&name).expect("it is there"), changed, "nothing is repaired");
                    found += 1;
                }
            }
        }
    }
    assert!(found > 500, "only {found} changes were seen");
}

#[test]
fn a_lost_file_is_damage() {
    let home = Home::new();
    append(&home.open().expect("it opens"), 0..200);
    let segments = home.segments();
    for lost in &segments[..segments.len() - 1] {
        let image = home.image();
        fs::remove_file(image.raft().join(lost.file_name().expect("it is a file"))).expect("it is there");
        assert!(is_corrupt(&image.open()), "{}", lost.display());
    }
}

#[test]
fn a_segment_that_had_not_begun_is_no_damage() {
    let home = Home::new();
    append(&home.open().expect("it opens"), 0..100);
    let last = segment::sequence_of(
        &home.segments().pop().expect("there is one").file_name().expect("it is a file").to_string_lossy(),
    );
    let next = segment::file_name(last.expect("it is a segment") + 1);
    let stale = fs::read(&home.segments()[0]).expect("it is there");
    for content in [Vec::new(), vec![0; SHORT as usize], stale] {
        let image = home.image();
        fs::write(image.raft().join(&next), &content).expect("there is room");
        let log = image.open().expect("it opens");
        assert_eq!(all(&log), records(0..100, 1));
        append(&log, 100..200);
        drop(log);
        assert_eq!(all(&image.open().expect("it opens")), records(0..200, 1));
    }
}
