//! A backup holds what was acknowledged before it was asked for, all of its revision, and nothing of a later one; and
//! the blobs that were there.

use super::{Checker, Ending, Violation};
use crate::workload::{
    Entry,
    backup::{BackupAsked, BackupTold, Saved},
};
use std::collections::BTreeMap;

/// All backups, as they were when they were restored.
#[derive(Default)]
pub struct Backups;

type Request = Entry<BackupAsked, BackupTold>;

impl Checker for Backups {
    fn name(&self) -> &'static str {
        "backups"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let entries = ending.journals.backup.entries();
        let writes = entries.iter().filter_map(|entry| match entry.asked {
            BackupAsked::Write(key, value) if entry.may_be_done() => Some((value, (key, entry))),
            _ => None,
        });
        let writes: BTreeMap<u64, (&str, &Request)> = writes.collect();
        for take in &entries {
            let what = match take.done() {
                Some(BackupTold::Restored(revision, saved, blobs)) => {
                    wrong(&writes, take, *revision, saved).or_else(|| lacking(&entries, take, blobs))
                }
                Some(BackupTold::Unfit(why)) => Some(format!("it can't be restored: {why}")),
                Some(BackupTold::Written(_) | BackupTold::Put) | None => None,
            };
            if let Some(what) = what {
                let at = take.from.as_secs_f64();
                return Err(self.violation(format!("{} took one at {at:.3} s: {what}", take.client)));
            }
        }
        Ok(())
    }
}

/// What is wrong with one backup.
fn wrong(
    writes: &BTreeMap<u64, (&str, &Request)>,
    take: &Request,
    revision: u64,
    saved: &[Saved],
) -> Option<String> {
    let mut shown = BTreeMap::new();
    for Saved { key, value, version } in saved {
        let Some((_, write)) = writes.get(value).filter(|(written, _)| written == key) else {
            return Some(format!("nobody wrote {value} under {key}"));
        };
        if *version > revision {
            return Some(format!("{key} is of revision {version}, and the backup of {revision}"));
        }
        if write.done().is_some_and(|told| *told != BackupTold::Written(*version)) {
            return Some(format!("{key} is said to be of revision {version}, but: {:?}", write.outcome));
        }
        if shown.insert(key.as_str(), *version).is_some() {
            return Some(format!("{key} is there twice"));
        }
    }
    writes.values().find_map(|(key, write)| {
        let Some(BackupTold::Written(version)) = write.done() else { return None };
        let newest = shown.get(key).copied().unwrap_or(0);
        let owed = *version <= revision || write.precedes(take);
        (owed && newest < *version).then(|| {
            format!("of revision {revision}, it has {key} of {newest}, and one of {version} was acknowledged before")
        })
    })
}

/// The blob that was put before a backup was asked for, and is not in it.
fn lacking(entries: &[Request], take: &Request, blobs: &[u64]) -> Option<String> {
    entries.iter().find_map(|entry| match entry.asked {
        BackupAsked::Put(value) if entry.done().is_some() && entry.precedes(take) => {
            (!blobs.contains(&value)).then(|| format!("it lacks blob {value}, which was put before"))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Outcome;
    use std::time::Duration;

    /// Writes `a` at the revisions 10 and 20, `b` without an answer, puts blob 5 in second 13, and takes a backup from
    /// second 15 to 30.
    fn seen(told: BackupTold) -> bool {
        let ending = Ending::default();
        let journal = &ending.journals.backup;
        let second = Duration::from_secs;
        for (value, version) in [(1, 10), (2, 20)] {
            let place = journal.ask("c", BackupAsked::Write("a", value), second(version));
            journal.tell(place, Outcome::Done(BackupTold::Written(version)), second(version + 1));
        }
        journal.ask("c", BackupAsked::Write("b", 3), second(12));
        let place = journal.ask("c", BackupAsked::Put(5), second(13));
        journal.tell(place, Outcome::Done(BackupTold::Put), second(14));
        let place = journal.ask("c", BackupAsked::Take, second(15));
        journal.tell(place, Outcome::Done(told), second(30));
        Backups.conclude(&ending).is_err()
    }

    fn records(saved: &[(&str, u64, u64)]) -> Vec<Saved> {
        let saved = saved.iter().map(|(key, value, version)| Saved {
            key: (*key).to_owned(),
            value: *value,
            version: *version,
        });
        saved.collect()
    }

    fn restored(revision: u64, saved: &[(&str, u64, u64)]) -> BackupTold {
        BackupTold::Restored(revision, records(saved), vec![5])
    }

    #[test]
    fn backups_that_are_old_torn_or_unfit_are_seen() {
        assert!(!seen(restored(10, &[("a", 1, 10)])));
        assert!(!seen(restored(19, &[("a", 1, 10), ("b", 3, 12)])));
        assert!(!seen(restored(25, &[("a", 2, 20), ("b", 3, 22)])));
        assert!(seen(restored(9, &[])), "an old copy");
        assert!(seen(restored(25, &[("a", 1, 10)])), "torn");
        assert!(seen(restored(19, &[("a", 2, 20)])), "torn the other way");
        assert!(seen(restored(19, &[("a", 1, 11)])), "another version");
        assert!(seen(restored(19, &[("a", 1, 10), ("b", 4, 12)])), "made up");
        assert!(seen(restored(19, &[("a", 1, 10), ("b", 1, 10)])), "in another place");
        assert!(seen(BackupTold::Restored(10, records(&[("a", 1, 10)]), Vec::new())), "without its blob");
        assert!(seen(BackupTold::Unfit("it is damaged".to_owned())));
    }
}
