//! Records that are to end do so by the time in the log, which never goes back: none before its time, each once, and
//! when one ends, all end that are due by then. Who renews a record in time keeps it. Whoever looks is shown exactly
//! what is there at that revision.
//!
//! A record that is due is there for everybody until an entry ends it, so nothing is said of how soon that comes: only
//! that all of them are gone in the end, which the clients wait for. That watchers of all nodes are told the same is
//! seen to with all other watches.

use super::{Checker, Ending, Violation};
use crate::workload::{
    expiry::{ExpiryAsked, ExpiryTold, MORTALS, Mortal},
    watch::{Revision, Stream, Told},
};
use micro_actors::store::ChangeKind;
use std::{collections::BTreeMap, ops::Bound};

/// Records that end by themselves.
#[derive(Default)]
pub struct Expiry;

impl Checker for Expiry {
    fn name(&self) -> &'static str {
        "records that end"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let mut streams = ending.journals.streams.all();
        streams.retain(|stream| stream.table == MORTALS);
        let lives = lives(ending);
        let alone = || streams.iter().find_map(|stream| wrong_in(stream, &lives));
        let wrong = alone().or_else(|| wrongly_shown(ending, &streams));
        wrong.map_or(Ok(()), |what| Err(self.violation(what)))
    }
}

/// How long each value was to live.
fn lives(ending: &Ending) -> BTreeMap<Vec<u8>, u64> {
    let entries = ending.journals.expiry.entries();
    let life = |asked: &ExpiryAsked| match asked {
        ExpiryAsked::Write(value, ttl_ms) => Some((value.to_string().into_bytes(), *ttl_ms)),
        _ => None,
    };
    entries.iter().filter_map(|entry| life(&entry.asked)).collect()
}

/// What is wrong with what one watcher was told: a watch has no gap, so what it told of is known from then on.
fn wrong_in(stream: &Stream, lives: &BTreeMap<Vec<u8>, u64>) -> Option<String> {
    // By key: when the record ends, if there is one and it ends; none for a key without a record.
    let mut known: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    let mut time_ms = 0;
    for revision in stream.told.iter().filter(|told| !told.changes.is_empty()) {
        if revision.time_ms < time_ms {
            return Some(format!("the time went back from {time_ms} with {revision:?}"));
        }
        time_ms = revision.time_ms;
        for change in &revision.changes {
            if let Some(what) = wrong_change(change, time_ms, &known, lives) {
                return Some(format!("{}: {what}: {revision:?}", stream.client));
            }
            let written = (change.kind == ChangeKind::Put).then_some(change.expires_ms);
            known.insert(&change.key, written);
        }
        let ended = revision.changes.iter().any(|change| change.kind == ChangeKind::Expire);
        let due = |ends: &Option<u64>| ends.is_some_and(|ends| ends != 0 && ends <= time_ms);
        if let Some((key, ends)) = known.iter().find(|(_, ends)| ended && due(ends)) {
            return Some(format!("{key} was to end at {ends:?} and stays after {revision:?}"));
        }
    }
    None
}

fn wrong_change(
    change: &Told,
    time_ms: u64,
    known: &BTreeMap<&str, Option<u64>>,
    lives: &BTreeMap<Vec<u8>, u64>,
) -> Option<String> {
    let before = known.get(change.key.as_str());
    match (change.kind, before) {
        (ChangeKind::Put, _) => {
            let ttl_ms = lives.get(&change.value).copied().unwrap_or(0);
            let ends = if ttl_ms == 0 { 0 } else { time_ms + ttl_ms };
            (ends != change.expires_ms).then(|| format!("it was to end {ttl_ms} ms later, at {ends}"))
        }
        (ChangeKind::Expire, Some(Some(0))) => Some("it was never to end".to_owned()),
        (ChangeKind::Expire, Some(Some(ends))) if time_ms < *ends => Some(format!("it was to end at {ends}")),
        (ChangeKind::Expire, Some(None)) => Some("it had ended before".to_owned()),
        _ => None,
    }
}

/// A look that showed something else than what was there, as watchers were told.
fn wrongly_shown(ending: &Ending, streams: &[Stream]) -> Option<String> {
    let told = streams.iter().flat_map(|stream| &stream.told).filter(|told| !told.changes.is_empty());
    let truth: BTreeMap<u64, &Revision> = told.map(|told| (told.revision, told)).collect();
    ending.journals.expiry.entries().iter().find_map(|look| {
        let Some(ExpiryTold::Found(at, found)) = look.done() else { return None };
        let what = wrongly_there(*at, found, &truth).or_else(|| wrongly_gone(*at, found, &truth, streams))?;
        Some(format!("{} looked at revision {at}: {what}", look.client))
    })
}

/// What was shown, and had been changed before.
fn wrongly_there(at: u64, found: &[Mortal], truth: &BTreeMap<u64, &Revision>) -> Option<String> {
    found.iter().find_map(|mortal| {
        if mortal.version > at {
            return Some(format!("{mortal:?} was written later"));
        }
        let mut since = truth.range((Bound::Excluded(mortal.version), Bound::Included(at)));
        let changes = |revision: &&Revision| revision.changes.iter().any(|change| change.key == mortal.key);
        let (_, changed) = since.find(|(_, revision)| changes(revision))?;
        Some(format!("{mortal:?} is shown in spite of {changed:?}"))
    })
}

/// What was not shown, although it had been written and nothing had become of it.
fn wrongly_gone(
    at: u64,
    found: &[Mortal],
    truth: &BTreeMap<u64, &Revision>,
    streams: &[Stream],
) -> Option<String> {
    let mut latest: BTreeMap<&str, (u64, ChangeKind)> = BTreeMap::new();
    for (revision, told) in truth.range(..=at) {
        for change in &told.changes {
            latest.insert(&change.key, (*revision, change.kind));
        }
    }
    latest.into_iter().find_map(|(key, (version, kind))| {
        let there = found.iter().any(|mortal| mortal.key == key && mortal.version == version);
        // One watcher that saw all from then on proves that nothing came after it.
        let covers = |stream: &&Stream| stream.from <= version && at <= stream.covered;
        let gone = kind == ChangeKind::Put && !there && streams.iter().any(|stream| covers(&stream));
        gone.then(|| format!("{key} was written at revision {version}, and is not shown"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Outcome;
    use ChangeKind::{Delete, Expire, Put};
    use std::time::Duration;

    /// A change at a revision, whose time is ten times that; the value of a record is the time that it lives.
    type Line = (u64, &'static str, ChangeKind, u64);

    fn seen(lines: &[Line], looks: &[(u64, &[(&str, u64)])]) -> bool {
        let ending = Ending::default();
        let journal = &ending.journals.expiry;
        let stream = ending.journals.streams.begin("w", MORTALS, 1);
        for (revision, key, kind, life) in lines {
            journal.ask("c", ExpiryAsked::Write(*life, *life), Duration::ZERO);
            let time_ms = revision * 10;
            let written = *kind == Put && *life != 0;
            let expires_ms = if written { time_ms + life } else { 0 };
            let value = life.to_string().into_bytes();
            let told = Told { key: (*key).to_owned(), kind: *kind, value, lease: 0, expires_ms };
            let told = Revision { revision: *revision, time_ms, changes: vec![told] };
            ending.journals.streams.tell(stream, told);
        }
        for (at, found) in looks {
            let place = journal.ask("c", ExpiryAsked::Look, Duration::ZERO);
            let mortal = |(key, version): &(&str, u64)| Mortal {
                key: (*key).to_owned(),
                value: 0,
                version: *version,
                expires_ms: 0,
            };
            let told = ExpiryTold::Found(*at, found.iter().map(mortal).collect());
            journal.tell(place, Outcome::Done(told), Duration::from_secs(1));
        }
        Expiry.conclude(&ending).is_err()
    }

    #[test]
    fn records_that_end_early_twice_or_not_at_all_are_seen() {
        assert!(!seen(&[(1, "a", Put, 10), (2, "a", Expire, 0)], &[]));
        assert!(!seen(&[(1, "a", Put, 10), (5, "a", Expire, 0)], &[]), "late");
        assert!(seen(&[(1, "a", Put, 11), (2, "a", Expire, 0)], &[]), "early");
        assert!(seen(&[(1, "a", Put, 0), (2, "a", Expire, 0)], &[]), "never to end");
        assert!(seen(&[(1, "a", Put, 10), (2, "a", Put, 100), (3, "a", Expire, 0)], &[]), "renewed");
        assert!(seen(&[(1, "a", Put, 10), (2, "a", Expire, 0), (3, "a", Expire, 0)], &[]), "twice");
        assert!(seen(&[(1, "a", Put, 10), (2, "a", Delete, 0), (3, "a", Expire, 0)], &[]), "deleted");
        assert!(seen(&[(1, "a", Put, 10), (1, "b", Put, 10), (3, "a", Expire, 0)], &[]), "left behind");
    }

    #[test]
    fn looks_that_show_what_has_ended_or_miss_what_has_not_are_seen() {
        let lines = [(1, "a", Put, 10), (2, "b", Put, 90), (3, "a", Expire, 0), (5, "c", Put, 90)];
        assert!(!seen(&lines, &[(2, &[("a", 1), ("b", 2)]), (3, &[("b", 2)]), (4, &[("b", 2)])]));
        assert!(seen(&lines, &[(3, &[("a", 1), ("b", 2)])]), "ended");
        assert!(seen(&lines, &[(2, &[("b", 2)])]), "gone early");
        assert!(seen(&lines, &[(4, &[])]), "gone");
        assert!(seen(&lines, &[(4, &[("b", 2), ("c", 5)])]), "too early");
        assert!(!seen(&lines, &[(6, &[("b", 2)])]), "nobody watched so far");
    }
}
