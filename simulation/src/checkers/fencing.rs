//! What a lock guards is never written by one who has lost it: tokens rise, and nobody writes with an old one. A lease
//! lives as long as somebody was told it would, by the time in the log, unless it is revoked.
//!
//! A holder that sleeps can't know that it has lost the lock. So locks alone exclude nobody (Kingsbury: "etcd 3.4.3",
//! jepsen.io, 2020): it is the fence that is checked here.

use super::{Checker, Ending, Violation};
use crate::workload::{
    lock::{GUARDED, LOCKS, LockAsked, LockTold},
    watch::{Revision, Stream},
};
use micro_actors::store::ChangeKind;
use std::collections::BTreeMap;

/// Fences and leases.
#[derive(Default)]
pub struct Fencing;

impl Checker for Fencing {
    fn name(&self) -> &'static str {
        "fences and leases"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let told = revisions(ending);
        let wrong = old_token(ending).or_else(|| backwards(&told)).or_else(|| too_early(ending));
        wrong.map_or(Ok(()), |what| Err(self.violation(what)))
    }
}

/// What each revision changed of locks and what they guard, as watchers were told.
fn revisions(ending: &Ending) -> BTreeMap<u64, Revision> {
    let streams = ending.journals.streams.all().into_iter().filter(|stream| stream.table == LOCKS);
    streams.flat_map(|stream| stream.told).map(|told| (told.revision, told)).collect()
}

/// Somebody wrote after another had been given the lock.
fn old_token(ending: &Ending) -> Option<String> {
    let entries = ending.journals.lock.entries();
    let done = |entry: &crate::workload::Entry<LockAsked, LockTold>| match entry.done() {
        Some(LockTold::Held(true, revision)) => Some(*revision),
        _ => None,
    };
    let acquired = entries.iter().filter(|entry| matches!(entry.asked, LockAsked::Acquire(_)));
    let tokens: Vec<u64> = acquired.filter_map(done).collect();
    entries.iter().find_map(|entry| {
        let (LockAsked::Write(token), Some(revision)) = (&entry.asked, done(entry)) else { return None };
        let newer = tokens.iter().find(|newer| **newer > *token && **newer < revision)?;
        let client = &entry.client;
        Some(format!(
            "{client} wrote with token {token} at revision {revision}, when {newer} had been given out"
        ))
    })
}

/// The guarded record went back to an older token.
fn backwards(told: &BTreeMap<u64, Revision>) -> Option<String> {
    let mut newest = 0;
    for revision in told.values() {
        for change in revision.changes.iter().filter(|change| change.key == GUARDED) {
            let token =
                std::str::from_utf8(&change.value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
            if change.kind == ChangeKind::Put && token < newest {
                return Some(format!(
                    "revision {} wrote with token {token} after {newest}",
                    revision.revision
                ));
            }
            newest = token.max(newest);
        }
    }
    None
}

/// A record ended with its lease before the time that somebody had been told.
fn too_early(ending: &Ending) -> Option<String> {
    let mut promised: BTreeMap<u64, u64> = BTreeMap::new();
    for entry in ending.journals.lock.entries() {
        if let (LockAsked::Look(lease), Some(LockTold::Ends(Some(ends)))) = (&entry.asked, entry.done()) {
            let known = promised.entry(*lease).or_default();
            *known = (*known).max(*ends);
        }
    }
    // One stream has no gap: what ended is what was written last.
    let streams = ending.journals.streams.all();
    streams.iter().filter(|stream| stream.table == LOCKS).find_map(|stream| too_early_in(stream, &promised))
}

fn too_early_in(stream: &Stream, promised: &BTreeMap<u64, u64>) -> Option<String> {
    let mut leases: BTreeMap<&str, u64> = BTreeMap::new();
    for revision in &stream.told {
        for change in &revision.changes {
            if change.kind == ChangeKind::Put {
                leases.insert(&change.key, change.lease);
                continue;
            }
            let lease = leases.remove(change.key.as_str()).unwrap_or(0);
            let ends = promised.get(&lease).copied().unwrap_or(0);
            if change.kind == ChangeKind::Expire && revision.time_ms < ends {
                let (number, time) = (revision.revision, revision.time_ms);
                return Some(format!(
                    "lease {lease} was to live until {ends}, and ended at {time}, revision {number}"
                ));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Outcome, watch::Told};
    use std::time::Duration;

    fn seen(told: &[(LockAsked, LockTold)], changes: &[(u64, &str, ChangeKind, &str)]) -> bool {
        let ending = Ending::default();
        for (asked, told) in told {
            let place = ending.journals.lock.ask("c", asked.clone(), Duration::ZERO);
            ending.journals.lock.tell(place, Outcome::Done(told.clone()), Duration::from_secs(1));
        }
        let stream = ending.journals.streams.begin("w", LOCKS, 1);
        for (revision, key, kind, value) in changes {
            let value = value.as_bytes().to_vec();
            let told = Told { key: (*key).into(), kind: *kind, value, lease: 3, expires_ms: 0 };
            let told = Revision { revision: *revision, time_ms: revision * 10, changes: vec![told] };
            ending.journals.streams.tell(stream, told);
        }
        Fencing.conclude(&ending).is_err()
    }

    #[test]
    fn old_tokens_and_leases_that_end_early_are_seen() {
        use ChangeKind::{Delete, Expire, Put};
        let acquire = |token| (LockAsked::Acquire(3), LockTold::Held(true, token));
        let write = |token, revision| (LockAsked::Write(token), LockTold::Held(true, revision));
        let ends = |time| (LockAsked::Look(3), LockTold::Ends(Some(time)));
        assert!(!seen(&[acquire(10), write(10, 11), acquire(20), write(20, 21)], &[]));
        assert!(seen(&[acquire(10), acquire(20), write(10, 21)], &[]), "an old token");
        assert!(!seen(&[], &[(11, GUARDED, Put, "10"), (21, GUARDED, Put, "20")]));
        assert!(seen(&[], &[(11, GUARDED, Put, "20"), (21, GUARDED, Put, "10")]), "an older token");
        let [made, gone] = [(10, "lock", Put, "c"), (20, "lock", Expire, "")];
        assert!(!seen(&[ends(200)], &[made, gone]));
        assert!(seen(&[ends(201)], &[made, gone]), "ended early");
        assert!(!seen(&[ends(201)], &[made, (20, "lock", Delete, "")]));
    }
}
