//! While a node runs, its term and the indices it has committed, applied and purged only grow.

use super::{Checker, Violation};
use crate::sighting::{Position, Progress, Sighting};
use std::collections::BTreeMap;

/// Progress goes forward.
#[derive(Default)]
pub struct MonotonicProgress {
    /// The last progress of each node, and of which of its lives.
    last: BTreeMap<String, (u32, Progress)>,
}

impl Checker for MonotonicProgress {
    fn name(&self) -> &'static str {
        "progress goes forward"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, node, now) in sighting.running() {
            let before = self.last.insert(name.to_owned(), (node.boot, now.clone()));
            let Some((_, before)) = before.filter(|(boot, _)| *boot == node.boot) else { continue };
            let index = |position: Option<Position>| position.map(|p| p.index);
            let steps = [
                ("term", Some(before.term), Some(now.term)),
                ("committed", index(before.committed), index(now.committed)),
                ("applied", index(before.applied), index(now.applied)),
                ("snapshot", index(before.snapshot), index(now.snapshot)),
                ("purged", index(before.purged), index(now.purged)),
            ];
            if let Some((what, from, to)) = steps.into_iter().find(|(_, from, to)| to < from) {
                return Err(self.violation(format!("{name} went back from {what} {from:?} to {to:?}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    #[test]
    fn going_back_is_seen_but_for_a_new_life() {
        let ahead = running(node(1, &[1, 1]), 2, false, 2);
        let mut behind = running(node(1, &[1, 1]), 2, false, 1);
        let mut checker = MonotonicProgress::default();
        assert_eq!(checker.look(&sighting(1, [ahead.clone()])), Ok(()));
        assert!(checker.look(&sighting(2, [behind.clone()])).is_err());
        let mut checker = MonotonicProgress::default();
        assert_eq!(checker.look(&sighting(1, [ahead])), Ok(()));
        behind.boot = 2;
        assert_eq!(checker.look(&sighting(2, [behind])), Ok(()));
    }
}
