//! A restarted node remembers its vote: it would else vote twice in a term.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use std::{collections::BTreeMap, time::Duration};

/// A vote is in memory before it is on disk. After this long it must be there: longer than any simulated
/// disk takes.
const SYNC_MAX: Duration = Duration::from_secs(3);

/// Term and node voted for, in the order in which openraft compares votes.
type Vote = (u64, u64);

/// What is known of one node's votes.
#[derive(Default)]
struct Memory {
    boot: u32,
    /// The vote that must be on disk.
    kept: Vote,
    /// Newer votes with the time when they were first seen.
    young: Vec<(Duration, Vote)>,
}

/// Votes are kept.
#[derive(Default)]
pub struct KeptVotes {
    nodes: BTreeMap<String, Memory>,
}

impl Checker for KeptVotes {
    fn name(&self) -> &'static str {
        "votes are kept"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, node, progress) in sighting.running() {
            let vote = (progress.term, progress.voted_for.0);
            let memory = self.nodes.entry(name.to_owned()).or_default();
            if memory.boot != node.boot {
                memory.boot = node.boot;
                memory.young.clear();
            }
            if vote < memory.kept {
                let kept = memory.kept;
                return Err(self.violation(format!("{name} knew the vote {kept:?} and now says {vote:?}")));
            }
            if memory.young.last().is_none_or(|(_, last)| *last != vote) {
                memory.young.push((sighting.at, vote));
            }
            let old = memory.young.iter().take_while(|(seen, _)| *seen + SYNC_MAX < sighting.at).count();
            if old > 0 {
                memory.kept = memory.young[old - 1].1.max(memory.kept);
                memory.young.drain(..old - 1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    fn look_at(looks: &[(u64, u32, u64)]) -> Result<(), Violation> {
        let mut checker = KeptVotes::default();
        looks.iter().try_for_each(|(at, boot, term)| {
            let mut sight = running(node(1, &[1]), *term, false, 1);
            sight.boot = *boot;
            checker.look(&sighting(*at, [sight]))
        })
    }

    #[test]
    fn a_vote_forgotten_in_a_restart_is_seen() {
        assert_eq!(look_at(&[(0, 1, 5), (9_000, 1, 5), (9_100, 2, 5)]), Ok(()));
        assert!(look_at(&[(0, 1, 5), (9_000, 1, 5), (9_100, 2, 4)]).is_err());
    }

    #[test]
    fn a_vote_that_never_reached_the_disk_may_be_gone() {
        assert_eq!(look_at(&[(0, 1, 5), (100, 1, 6), (200, 2, 5)]), Ok(()));
    }
}
