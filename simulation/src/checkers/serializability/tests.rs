//! Histories by hand, each with its anomaly.

use super::*;

/// A transaction from one second to another: `a5` appends 5 to the list a, and `a:5,6` reads it so.
fn transaction(from: u64, to: u64, text: &str, outcome: Option<Outcome<AppendTold>>) -> Entry {
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    for word in text.split(' ') {
        match word.split_once(':') {
            Some((list, found)) => {
                asked.push(Step::Read(list.to_owned()));
                let elements = found.split(',').filter(|element| !element.is_empty());
                told.push(elements.map(|element| element.parse().expect("a number")).collect());
            }
            None => {
                asked.push(Step::Append(word[..1].to_owned(), word[1..].parse().expect("a number")));
            }
        }
    }
    let outcome = outcome.unwrap_or(Outcome::Done(AppendTold::Committed(told)));
    let [from, to] = [from, to].map(Duration::from_secs);
    Entry { client: "c".to_owned(), asked, from, to: Some(to), outcome }
}

#[track_caller]
fn check_that(expected: &str, entries: &[Entry]) {
    let found = check(entries).unwrap_or_default();
    assert!(found.contains(expected) && expected.is_empty() == found.is_empty(), "{expected:?}: {found:?}");
}

fn done(from: u64, to: u64, text: &str) -> Entry {
    transaction(from, to, text, None)
}

#[test]
fn what_has_an_order_is_fine() {
    check_that("", &[]);
    check_that("", &[done(0, 1, "a1 b2"), done(2, 3, "a:1 b:2 a3"), done(4, 5, "a:1,3 b:2")]);
    check_that("", &[done(0, 9, "a1 a2 a:1,2"), done(0, 9, "a:"), done(0, 9, "a:1,2")]);
    let unknown = |text| transaction(0, 1, text, Some(Outcome::Unknown));
    check_that("", &[unknown("a1"), unknown("a2"), done(5, 6, "a:2")]);
}

#[test]
fn reads_that_can_not_be_are_seen() {
    let aborted = transaction(0, 1, "a1", Some(Outcome::Done(AppendTold::Aborted)));
    check_that("G1a", &[aborted, done(2, 3, "a:1")]);
    check_that("G1a", &[transaction(0, 1, "a1", Some(Outcome::Failed)), done(2, 3, "a:1")]);
    check_that("G1b", &[done(0, 9, "a1 a2"), done(0, 9, "a:1"), done(10, 11, "a:1,2")]);
    check_that("nobody", &[done(0, 1, "a:7")]);
    check_that("twice", &[done(0, 1, "a1"), done(2, 3, "a:1,1")]);
    check_that("was read as", &[done(0, 9, "a1"), done(0, 9, "a2"), done(0, 9, "a:1"), done(0, 9, "a:2,1")]);
}

#[test]
fn lost_updates_are_seen() {
    check_that("lost", &[done(0, 1, "a1"), done(2, 3, "a:")]);
    check_that("lost", &[done(0, 1, "a1"), done(0, 1, "a2"), done(2, 3, "a:2")]);
}

#[test]
fn circles_are_seen_and_named() {
    check_that("G0", &[done(0, 9, "a1 b3"), done(0, 9, "a2 b4"), done(20, 21, "a:1,2 b:4,3")]);
    check_that("G1c", &[done(0, 9, "a1 b:2"), done(0, 9, "b2 a:1"), done(20, 21, "a:1 b:2")]);
    check_that("G-single", &[done(0, 9, "a1 b2"), done(0, 9, "a:1 b:"), done(20, 21, "a:1 b:2")]);
    check_that("G2", &[done(0, 9, "a: b1"), done(0, 9, "b: a2"), done(20, 21, "a:2 b:1")]);
}

#[test]
fn an_order_against_time_is_seen() {
    check_that("", &[done(0, 5, "a1"), done(0, 5, "a:"), done(6, 7, "a:1")]);
    check_that(
        "in real time",
        &[done(0, 1, "a1"), done(2, 9, "a2"), done(0, 1, "a:1,2"), done(9, 9, "a:1,2")],
    );
    check_that("in real time", &[done(0, 1, "a1"), done(2, 3, "a2"), done(4, 5, "a:1"), done(6, 7, "a:1,2")]);
}
