//! At most one node leads under one leader id.
//!
//! In openraft's default mode a leader is named by term and node, in this order, and a node may vote for a
//! higher node in the same term. So what the paper says of terms holds for these pairs: entries of one term
//! and one leader come from one life of that leader, which [log matching](super::log_matching) sees to; and
//! a leader holds its own vote.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use std::collections::BTreeMap;

/// Election safety.
#[derive(Default)]
pub struct ElectionSafety {
    /// Who led in a term, under whose vote.
    leaders: BTreeMap<(u64, u64), String>,
}

impl Checker for ElectionSafety {
    fn name(&self) -> &'static str {
        "election safety"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, node, progress) in sighting.running().filter(|(_, _, progress)| progress.leading) {
            if node.id != Some(progress.voted_for) {
                let what = format!("{name} leads term {} with its vote given to another", progress.term);
                return Err(self.violation(what));
            }
            let led_by = self.leaders.entry((progress.term, progress.voted_for.0)).or_insert(name.to_owned());
            if led_by != name {
                let what = format!("{led_by} and {name} both led term {} under one id", progress.term);
                return Err(self.violation(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};
    use micro_sdk::wire::NodeId;

    #[test]
    fn a_leader_a_term_is_fine() {
        let mut checker = ElectionSafety::default();
        let first = sighting(1, [running(node(1, &[1]), 1, true, 1)]);
        let second = sighting(2, [running(node(2, &[1]), 2, true, 1)]);
        assert_eq!(checker.look(&first).and_then(|()| checker.look(&second)), Ok(()));
    }

    #[test]
    fn a_leader_that_voted_for_another_is_seen() {
        let mut leader = running(node(1, &[1]), 1, true, 1);
        leader.progress.as_mut().expect("it runs").voted_for = NodeId(2);
        assert!(ElectionSafety::default().look(&sighting(1, [leader])).is_err());
    }

    #[test]
    fn two_leaders_under_one_id_are_seen() {
        let mut checker = ElectionSafety::default();
        let one = running(node(1, &[1]), 1, true, 1);
        let mut scene = sighting(1, [one.clone()]);
        scene.nodes.insert("twin".to_owned(), one);
        assert!(checker.look(&scene).is_err());
    }
}
