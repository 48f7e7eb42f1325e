//! When an entry is known to be committed, it lies durably on a majority of the voters.
//!
//! Entries from before the voters last changed are left out: another set may have committed them.

use super::{Checker, Violation, ledger::Ledger};
use crate::sighting::Sighting;
use micro_sdk::wire::NodeId;
use std::collections::BTreeSet;

/// Committed means on a quorum.
#[derive(Default)]
pub struct CommittedOnQuorum {
    ledger: Ledger,
    /// The voters, as the last leader knew them.
    voters: BTreeSet<NodeId>,
    /// Entries up to here may have been committed by an older set.
    floor: u64,
}

impl CommittedOnQuorum {
    /// Notes who votes, by the newest leader: others may know it late.
    fn learn_voters(&mut self, sighting: &Sighting) {
        let last = sighting.running().filter_map(|(_, _, progress)| progress.last).max().unwrap_or(0);
        let leaders = sighting.running().filter(|(_, _, progress)| progress.leading);
        let Some((_, _, leader)) = leaders.max_by_key(|(_, _, progress)| progress.term) else { return };
        if leader.changing || self.voters != leader.voters {
            self.voters.clone_from(&leader.voters);
            self.floor = last.max(self.floor);
        }
    }
}

impl Checker for CommittedOnQuorum {
    fn name(&self) -> &'static str {
        "committed on a quorum"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        self.learn_voters(sighting);
        let learned = self.ledger.learn(sighting);
        let voters = &self.voters;
        let disks: Vec<_> =
            sighting.nodes.values().filter(|node| node.id.is_some_and(|id| voters.contains(&id))).collect();
        for entry in learned.iter().filter(|entry| entry.known.is_none() && entry.index > self.floor) {
            let copies = disks.iter().filter(|disk| disk.holds(entry.index, &entry.line)).count();
            if copies <= voters.len() / 2 {
                return Err(self.violation(format!(
                    "{} says entry {} of term {} is committed, but {copies} of {} voters hold it",
                    entry.node,
                    entry.index,
                    entry.line.term,
                    voters.len()
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    /// Entry 1 was there before the voters were seen; the question is entry 2.
    fn look_at(followers: [&[u64]; 2]) -> Result<(), Violation> {
        let mut checker = CommittedOnQuorum::default();
        checker.look(&sighting(1, [running(node(1, &[1]), 1, true, 1), node(2, &[1]), node(3, &[1])]))?;
        let leader = running(node(1, &[1, 1]), 1, true, 2);
        checker.look(&sighting(2, [leader, node(2, followers[0]), node(3, followers[1])]))
    }

    #[test]
    fn two_of_three_are_enough() {
        assert_eq!(look_at([&[1, 1], &[1]]), Ok(()));
    }

    #[test]
    fn a_leader_that_commits_alone_is_seen() {
        assert!(look_at([&[1], &[1]]).is_err());
        assert!(look_at([&[1, 2], &[1]]).is_err());
    }
}
