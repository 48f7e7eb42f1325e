//! The log on a real disk: what is found after kills, and what was done to it.

use super::{
    chain::{AuditBounds, Chain, Found, Mark},
    digest::Digest,
    entry::Entry,
    query::Query,
    segments,
    verification::Verification,
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const SMALL: AuditBounds = AuditBounds { file_bytes: 1000, files: 3 };

fn entry(number: u64) -> Entry {
    let verdict = if number.is_multiple_of(2) { "denied" } else { "allowed" }.to_owned();
    let time = super::entry::written(NOW + Duration::from_secs(number));
    Entry { time, action: format!("a{number}"), verdict, ..Entry::of_log("decision", NOW) }
}

/// A log of so many entries, written one by one.
fn filled(directory: &Path, bounds: AuditBounds, entries: std::ops::RangeInclusive<u64>) -> Mark {
    let (mut chain, found) = Chain::open(directory, bounds, None).unwrap();
    assert_eq!(found, Found::default());
    for number in entries {
        chain.append(vec![entry(number)], NOW).unwrap();
    }
    chain.sync().unwrap();
    chain.last()
}

fn verified(directory: &Path, kept: Mark) -> Vec<String> {
    let found = Verification::of(directory, Some(kept), None).unwrap();
    found.breaks.into_iter().map(|found| format!("{}:{}: {}", found.file, found.line, found.why)).collect()
}

fn file(directory: &Path, index: usize) -> PathBuf {
    segments::path(directory, segments::segments(directory).unwrap()[index])
}

#[test]
fn what_was_written_verifies_and_is_bounded() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    for number in 0..10 {
        let kept = filled(directory, SMALL, number * 20 + 1..=number * 20 + 20);
        assert_eq!(verified(directory, kept), [""; 0]);
        let found = Verification::of(directory, None, Some(kept.digest)).unwrap();
        assert_eq!((found.head, found.numbers.1, found.breaks), (kept.digest, kept.seq, Vec::new()));
        let files = segments::segments(directory).unwrap();
        assert!(files.len() <= SMALL.files, "{files:?}");
        assert!(files.iter().all(|first| {
            segments::path(directory, *first).metadata().unwrap().len() < SMALL.file_bytes + 1000
        }));
    }
    let denied = Query { denied: true, ..Query::default() };
    let last = denied.last(directory, 3).unwrap();
    let actions: Vec<_> = last.iter().map(|(entry, _)| entry.action.as_str()).collect();
    assert_eq!(actions, ["a196", "a198", "a200"]);
    let recent = Query { since: Some(NOW + Duration::from_secs(198)), ..Query::default() };
    assert_eq!(recent.last(directory, 100).unwrap().len(), 3);
}

#[test]
fn what_was_done_to_it_is_found_with_file_and_line() {
    type Deed = fn(&Path);
    fn edited(path: PathBuf, change: fn(Vec<Vec<u8>>) -> Vec<Vec<u8>>) {
        let bytes = fs::read(&path).unwrap();
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        fs::write(path, change(lines).concat()).unwrap();
    }
    let cases: [(&str, Deed, &[&str]); 8] = [
        ("nothing", |_| (), &[]),
        (
            "a byte in the midst",
            |directory| {
                edited(file(directory, 0), |mut lines| {
                    lines[1] =
                        String::from_utf8(lines[1].clone()).unwrap().replace("\"a2\"", "\"a9\"").into();
                    lines
                });
            },
            &[":3: entry 2, before this one, is not the one that was written"],
        ),
        (
            "a byte of the last line",
            |directory| {
                edited(file(directory, 2), |mut lines| {
                    let last = lines.len() - 1;
                    lines[last] =
                        String::from_utf8(lines[last].clone()).unwrap().replace("\"a", "\"b").into();
                    lines
                });
            },
            &["is not the one that was written"],
        ),
        (
            "a line",
            |directory| {
                edited(file(directory, 1), |mut lines| {
                    lines.remove(1);
                    lines
                });
            },
            &[":2: entry 8 is missing before this one"],
        ),
        (
            "lines at the end",
            |directory| edited(file(directory, 2), |lines| lines[..1].to_vec()),
            &["are missing at the end"],
        ),
        (
            "the first file",
            |directory| fs::remove_file(file(directory, 0)).unwrap(),
            &[":1: the entries up to 6 are missing, and no entry says that they were given up"],
        ),
        (
            "a file in the midst",
            |directory| fs::remove_file(file(directory, 1)).unwrap(),
            &[":1: entries 7 to 12 are missing before this one"],
        ),
        ("the last file", |directory| fs::remove_file(file(directory, 2)).unwrap(), &["missing at the end"]),
    ];
    for (what, deed, expected) in cases {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path();
        let kept = filled(directory, SMALL, 1..=15);
        assert_eq!(segments::segments(directory).unwrap(), [1, 7, 13], "the cases are made for these");
        deed(directory);
        let found = verified(directory, kept);
        assert_eq!(found.len(), expected.len(), "{what}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{what}: {found}");
        }
    }
}

#[test]
fn a_torn_line_is_taken_away_and_told_and_a_gap_stays_one() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path();
    let kept = filled(directory, SMALL, 1..=3);
    let path = file(directory, 0);
    let whole = fs::read(&path).unwrap();
    // Cut at every byte of what comes fourth: none of it is an entry, and none of it is an error.
    let (mut chain, _) = Chain::open(directory, SMALL, Some(kept)).unwrap();
    chain.append(vec![entry(4)], NOW).unwrap();
    let longer = fs::read(&path).unwrap();
    for cut in whole.len()..longer.len() {
        fs::write(&path, &longer[..cut]).unwrap();
        assert_eq!(verified(directory, kept), [""; 0], "a torn line is no break");
        let (mut chain, found) = Chain::open(directory, SMALL, Some(kept)).unwrap();
        assert_eq!(found, Found { torn: cut - whole.len(), missing: None });
        chain.append(vec![entry(4)], NOW).unwrap();
        assert_eq!(verified(directory, chain.last()), [""; 0]);
    }
    // What is known to have been there is missed: at the next start, and for as long as the log is there.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (mut chain, found) = Chain::open(directory, SMALL, Some(kept)).unwrap();
    assert_eq!(found.missing, Some((3, 3)));
    chain.append(vec![entry(4)], NOW).unwrap();
    let found = verified(directory, chain.last()).join("\n");
    assert!(found.contains("entry 3 is missing before this one"), "{found}");
    // Also if all of it was removed.
    fs::remove_dir_all(directory).unwrap();
    let (mut chain, found) = Chain::open(directory, SMALL, Some(kept)).unwrap();
    assert_eq!(found.missing, Some((1, 3)));
    chain.append(vec![entry(4)], NOW).unwrap();
    assert!(verified(directory, chain.last())[0].contains("the entries up to 3 are missing"));
}

#[test]
fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("audit");
    filled(&directory, SMALL, 1..=13);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&directory), mode(&file(&directory, 2))), (0o700, 0o600));
}

#[test]
fn a_hash_that_was_kept_elsewhere_is_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    filled(scratch.path(), SMALL, 1..=3);
    let found = Verification::of(scratch.path(), None, Some(Digest::of(b"another"))).unwrap();
    assert!(found.breaks[0].why.contains("no entry has the hash"), "{found:?}");
}
