//! Torn tails, damage, rotation: the log's files, changed behind its back.

use super::*;
use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    thread,
    time::{Duration, Instant},
};
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
            match fs::copy(self.raft().join(&name), image.raft().join(&name)) {
                // The next segment gets its name, or goes, in a thread of its own.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                copied => drop(copied.expect("it is a file")),
            }
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
    // Sectors are written as a whole. Some of these ends lie between batches, others within one.
    for kept in (0..used).step_by(recovery::SECTOR_BYTES) {
        let image = killed.image();
        let file = image.raft().join(last.file_name().expect("it is a file"));
        let lost = used - kept;
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

/// The sectors of a torn batch that did not make it may be written later by another one.
#[test]
fn a_torn_batch_never_comes_back() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..10);
    let before = home.image();
    submit(&log, LogOp::Append(records(10..20, 1))).expect("the disk is well");
    let after = home.image();
    let file = |home: &Home| home.segments().pop().expect("there is one");
    let (old, whole) = (fs::read(file(&before)), fs::read(file(&after)));
    let (old, whole) = (old.expect("it is there"), whole.expect("it is there"));
    let changed: Vec<usize> = (0..whole.len()).filter(|at| old[*at] != whole[*at]).collect();
    let middle = (changed[0] + 64).next_multiple_of(recovery::SECTOR_BYTES);
    assert!(Some(&middle) < changed.last(), "it is one batch in several sectors");

    fs::write(file(&after), [&whole[..middle], &old[middle..]].concat()).expect("there is room");
    let cut = after.open().expect("it opens");
    assert_eq!(all(&cut), records(0..10, 1));
    let killed = after.image();
    let opened = fs::read(file(&killed)).expect("it is there");
    fs::write(file(&killed), [&opened[..middle], &whole[middle..]].concat()).expect("there is room");
    assert_eq!(all(&killed.open().expect("it opens")), records(0..10, 1));
}

/// A record in several sectors, of which the last may be missing behind a kill.
fn long_record(index: u64) -> LogRecord {
    LogRecord { index, term: 1, leader: 1, kind: 1, body: vec![7; 2 * recovery::SECTOR_BYTES].into() }
}

/// What a kill leaves of `home`, with a bit turned in its last record, the body of which ends with a 7.
fn damaged(home: &Home, last: usize) -> Home {
    let image = home.image();
    let file = image.segments().pop().expect("there is one");
    let mut bytes = fs::read(&file).expect("it is there");
    bytes[last] ^= 1;
    fs::write(&file, bytes).expect("there is room");
    image
}

/// Where the last byte is that is no zero.
fn last_byte(home: &Home) -> usize {
    let bytes = fs::read(home.segments().pop().expect("there is one")).expect("it is there");
    bytes.iter().rposition(|byte| *byte != 0).expect("something was written")
}

/// A start syncs the last batch before a kill, so that it can't be torn any more.
#[test]
fn a_start_puts_the_last_batch_beyond_doubt() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..2);
    submit(&log, LogOp::Append(vec![long_record(2)])).expect("the disk is well");
    let (killed, last) = (home.image(), last_byte(&home));
    assert_eq!(all(&damaged(&killed, last).open().expect("it opens")), records(0..2, 1));
    let again = killed.open().expect("it opens");
    let refused = damaged(&killed, last).open();
    drop(again);
    assert!(is_corrupt(&refused));
}

/// What lies in the sector of a batch's head was written with it.
#[test]
fn a_short_batch_is_never_taken_for_a_torn_one() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..3);
    assert!(is_corrupt(&damaged(&home, last_byte(&home)).open()));
}

#[test]
fn a_log_that_rests_puts_the_last_batch_beyond_doubt() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    submit(&log, LogOp::Append(vec![long_record(0)])).expect("the disk is well");
    let last = last_byte(&home);
    let begun = Instant::now();
    while !is_corrupt(&damaged(&home, last).open()) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is in doubt for good");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(all(&home.image().open().expect("it opens")), [long_record(0)]);
}

/// A sector that was never written, though the disk said so, holds zeroes or what a recycled file had there.
#[test]
fn a_lost_head_does_not_take_its_segment_along() {
    let home = Home::new();
    let log = home.open().expect("it opens");
    append(&log, 0..100);
    while fs::read(home.segments().pop().expect("there is one")).expect("it is there")[2048] == 0 {
        let end = log.range().expect("it is in memory").end;
        append(&log, end..end + 1);
    }
    let killed = home.image();
    let last = killed.segments().pop().expect("there is one");
    let bytes = fs::read(&last).expect("it is there");
    let stale = fs::read(&killed.segments()[0]).expect("it is there");
    for sector in [&[0; 512], &stale[..512]] {
        let image = killed.image();
        let file = image.raft().join(last.file_name().expect("it is a file"));
        let changed = [sector, &bytes[512..]].concat();
        fs::write(&file, &changed).expect("there is room");
        assert!(is_corrupt(&image.open()));
        assert_eq!(fs::read(&file).expect("it is there"), changed, "nothing is repaired");
    }
}

#[test]
fn a_new_log_is_small_and_its_segments_grow() {
    let home = Home::new();
    let data_dir = Arc::new(DataDir::open(home.directory.path()).expect("it is new"));
    let log = SegmentLog::open(&data_dir, 2 * FIRST_SEGMENT_BYTES).expect("it opens");
    let lengths = || -> Vec<u64> {
        home.segments().iter().map(|path| fs::metadata(path).expect("it is there").len()).collect()
    };
    assert_eq!(lengths(), [FIRST_SEGMENT_BYTES]);
    let body = Bytes::from(vec![7; 100 << 10]);
    let record = |index| LogRecord { index, term: 1, leader: 1, kind: 1, body: body.clone() };
    for index in 0..9 {
        submit(&log, LogOp::Append(vec![record(index)])).expect("the disk is well");
    }
    drop(log); // The spare file, asked for half-way, is ready now.
    let log = SegmentLog::open(&data_dir, 2 * FIRST_SEGMENT_BYTES).expect("it opens");
    for index in 9..12 {
        submit(&log, LogOp::Append(vec![record(index)])).expect("the disk is well");
    }
    assert_eq!(lengths(), [FIRST_SEGMENT_BYTES, 2 * FIRST_SEGMENT_BYTES]);
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
