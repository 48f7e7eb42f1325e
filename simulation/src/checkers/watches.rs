//! A watch tells every change of what it watches, in order, without gap and without repetition, the same through every
//! node, and what was really written; a mark never promises what is told later. It begins where it was told to, unless
//! that was given up (what etcd's own validators demand of its watches).

use super::{Checker, Ending, Violation};
use crate::workload::{
    Asked, KEYS, Outcome, Table, Told as Answer,
    watch::{Revision, Stream, WatchAsked},
};
use micro_actors::store::ChangeKind;
use std::collections::BTreeMap;

/// What watchers are told.
#[derive(Default)]
pub struct Watches;

/// What each revision changed, as it was told first.
type Truth = BTreeMap<u64, (Revision, String)>;

impl Checker for Watches {
    fn name(&self) -> &'static str {
        "watches"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let streams = ending.journals.streams.all();
        let mut tables: Vec<Table> = Vec::new();
        streams.iter().for_each(|stream| {
            if !tables.contains(&stream.table) {
                tables.push(stream.table);
            }
        });
        let wrong = tables.into_iter().find_map(|table| {
            let streams: Vec<&Stream> = streams.iter().filter(|stream| stream.table == table).collect();
            let mut truth = Truth::new();
            let alone = streams.iter().find_map(|stream| wrong_alone(stream, &mut truth));
            let gap = || streams.iter().find_map(|stream| gap(stream, &truth));
            let unlike =
                || (table == Table::REGISTERS).then(|| unlike_writes(&streams, &truth, ending)).flatten();
            alone.or_else(gap).or_else(unlike)
        });
        match wrong.or_else(|| wrongly_refused(ending)) {
            Some(what) => Err(self.violation(what)),
            None => Ok(()),
        }
    }
}

/// What is wrong with one stream, or between it and those before.
fn wrong_alone(stream: &Stream, truth: &mut Truth) -> Option<String> {
    let client = &stream.client;
    let mut covered = stream.from.saturating_sub(1);
    for told in &stream.told {
        // A mark may say again what was told.
        let least = if told.changes.is_empty() { covered } else { covered + 1 };
        if told.revision < least {
            return Some(format!("{client} was told of everything up to {covered}, and then {told:?}"));
        }
        covered = told.revision;
        if told.changes.is_empty() {
            continue;
        }
        let (first, teller) = truth.entry(told.revision).or_insert_with(|| (told.clone(), client.clone()));
        if first != told {
            return Some(format!("{teller} was told {first:?}, and {client} {told:?}"));
        }
    }
    None
}

/// A revision that is missing from a stream.
fn gap(stream: &Stream, truth: &Truth) -> Option<String> {
    let told =
        |revision: u64| stream.told.iter().any(|told| told.revision == revision && !told.changes.is_empty());
    if stream.covered < stream.from {
        return None;
    }
    let missing = truth.range(stream.from..=stream.covered).find(|(revision, _)| !told(**revision));
    missing.map(|(_, (revision, teller))| {
        let (client, from, covered) = (&stream.client, stream.from, stream.covered);
        format!("{client} watched from {from} to {covered} without {revision:?}, which {teller} was told")
    })
}

/// A difference between what was told and what was written to the registers.
fn unlike_writes(streams: &[&Stream], truth: &Truth, ending: &Ending) -> Option<String> {
    let mut written = BTreeMap::new();
    for op in ending.history.iter().filter(|op| KEYS.contains(&op.key.as_str())) {
        let (Asked::Write { value } | Asked::Swap { value, .. }) = op.asked else { continue };
        match &op.told {
            Some((_, Answer::Failed | Answer::Refused)) => continue,
            Some((_, Answer::Done(version))) => {
                let covered = streams.iter().find(|stream| (stream.from..=stream.covered).contains(version));
                if let (Some(stream), false) = (covered, truth.contains_key(version)) {
                    let (client, key) = (&stream.client, &op.key);
                    return Some(format!("{client} was not told of {value} in {key}, revision {version}"));
                }
            }
            _ => {}
        }
        written.insert(value.to_string().into_bytes(), &op.key);
    }
    truth.values().find_map(|(revision, teller)| {
        let mut puts = revision.changes.iter().filter(|change| change.kind == ChangeKind::Put);
        let of_clients = |key: &String| KEYS.contains(&key.as_str());
        puts.find(|put| of_clients(&put.key) && written.get(&put.value) != Some(&&put.key)).map(|put| {
            format!("{teller} was told at revision {} of {put:?}, which nobody wrote", revision.revision)
        })
    })
}

/// A beginning that was refused although nobody had asked to give it up.
fn wrongly_refused(ending: &Ending) -> Option<String> {
    let entries = ending.journals.watch.entries();
    entries.iter().filter(|entry| entry.outcome == Outcome::Refused).find_map(|entry| {
        let WatchAsked::Begin(_, Some(from)) = entry.asked else { return None };
        let given_up = entries.iter().any(|other| {
            let before = entry.to.is_none_or(|to| other.from <= to);
            matches!(other.asked, WatchAsked::Compact(through) if through >= from) && before
        });
        (!given_up).then(|| format!("{} could not watch from {from}, which nobody gave up", entry.client))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::watch::Told;

    fn revision(revision: u64, value: &str) -> Revision {
        let kind = ChangeKind::Put;
        let told =
            Told { key: "x".to_owned(), kind, value: value.as_bytes().to_vec(), lease: 0, expires_ms: 0 };
        Revision { revision, time_ms: revision, changes: vec![told] }
    }

    fn mark(revision: u64) -> Revision {
        Revision { revision, time_ms: 0, changes: Vec::new() }
    }

    /// Another watcher saw the revisions 3, 5 and 7, and what is told begins with revision 3.
    fn seen(told: &[Revision]) -> bool {
        let ending = Ending::default();
        let streams = &ending.journals.streams;
        let other = streams.begin("other", Table::REGISTERS, 1);
        [3, 5, 7].into_iter().for_each(|number| streams.tell(other, revision(number, "v")));
        let place = streams.begin("c", Table::REGISTERS, 3);
        told.iter().for_each(|told| streams.tell(place, told.clone()));
        Watches.conclude(&ending).is_err()
    }

    #[test]
    fn gaps_repetitions_and_differences_are_seen() {
        let [three, five, seven] = [3, 5, 7].map(|number| revision(number, "v"));
        assert!(!seen(&[]));
        assert!(!seen(&[three.clone(), mark(4), mark(4), five.clone()]));
        assert!(!seen(&[three.clone(), five.clone(), seven.clone(), mark(9)]));
        assert!(seen(&[three.clone(), seven.clone()]), "a gap");
        assert!(seen(std::slice::from_ref(&five)), "a gap at its beginning");
        assert!(seen(&[three.clone(), mark(5)]), "a mark instead of a change");
        assert!(seen(&[three.clone(), three.clone()]), "a repetition");
        assert!(seen(&[three.clone(), mark(5), five.clone()]), "a mark ahead");
        assert!(seen(&[revision(2, "v")]), "too early");
        assert!(seen(&[three, revision(5, "w")]), "a difference");
    }
}
