//! An entry committed in one term is in the log of every leader of a later one.

use super::{Checker, Violation, ledger::Ledger};
use crate::sighting::{NodeSight, Sighting};
use std::{collections::BTreeMap, time::Duration};

/// A leader may have an entry in memory only, for as long as its disk takes. Longer than any simulated disk
/// does.
const SYNC_MAX: Duration = Duration::from_secs(3);

/// Leader completeness.
#[derive(Default)]
pub struct LeaderCompleteness {
    ledger: Ledger,
    /// By term and name: since when a leader has been seen, and how far its log has been found complete.
    leaders: BTreeMap<(u64, String), (Duration, u64)>,
}

impl LeaderCompleteness {
    /// The first committed entry, from `from` on, that a leader of `term` should have and has not got on
    /// its disk.
    fn missing(&self, node: &NodeSight, term: u64, from: u64) -> Option<u64> {
        let due = self.ledger.entries.range(from..).filter(|(_, entry)| entry.by_term < term);
        due.map(|(index, entry)| (*index, entry.line))
            .find(|(index, line)| !node.holds(*index, line))
            .map(|(index, _)| index)
    }
}

impl Checker for LeaderCompleteness {
    fn name(&self) -> &'static str {
        "leader completeness"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        self.ledger.learn(sighting);
        for (name, node, progress) in sighting.running().filter(|(_, _, progress)| progress.leading) {
            let key = (progress.term, name.to_owned());
            let (since, through) = self.leaders.get(&key).copied().unwrap_or((sighting.at, 0));
            let missing = self.missing(node, progress.term, through);
            if let Some(index) = missing {
                let nowhere = progress.last.is_none_or(|last| last < index);
                if nowhere || sighting.at > since + SYNC_MAX {
                    let what =
                        format!("{name} leads term {} without the committed entry {index}", progress.term);
                    return Err(self.violation(what));
                }
            }
            let newest = self.ledger.entries.keys().next_back().copied().unwrap_or(0);
            self.leaders.insert(key, (since, missing.unwrap_or(newest)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    #[test]
    fn a_leader_that_lacks_a_committed_entry_is_seen() {
        let mut checker = LeaderCompleteness::default();
        let before = sighting(1, [running(node(1, &[1, 1]), 1, true, 2), node(2, &[1, 1]), node(3, &[1])]);
        assert_eq!(checker.look(&before), Ok(()));
        assert!(checker.look(&sighting(2, [running(node(3, &[1]), 2, true, 1)])).is_err());
    }

    #[test]
    fn a_deposed_leader_need_not_know_what_came_later() {
        let mut checker = LeaderCompleteness::default();
        let old = running(node(1, &[1]), 1, true, 1);
        let new = running(node(2, &[1, 2, 2]), 2, true, 3);
        for at in [1, 9_000] {
            assert_eq!(checker.look(&sighting(at, [old.clone(), new.clone()])), Ok(()));
        }
    }

    #[test]
    fn a_leader_whose_log_has_another_entry_there_is_seen_once_its_disk_had_time() {
        let mut checker = LeaderCompleteness::default();
        checker.look(&sighting(1, [running(node(1, &[1, 1]), 1, true, 2)])).expect("nothing is wrong yet");
        let bad = running(node(3, &[1, 2]), 3, true, 1);
        assert_eq!(checker.look(&sighting(2, [bad.clone()])), Ok(()));
        assert!(checker.look(&sighting(9_000, [bad])).is_err());
    }
}
