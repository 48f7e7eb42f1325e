//! On every node: purged <= snapshot <= applied <= committed <= last.

use super::{Checker, Violation};
use crate::sighting::Sighting;

/// The order of what a node says of its log.
#[derive(Default)]
pub struct ProgressOrder;

impl Checker for ProgressOrder {
    fn name(&self) -> &'static str {
        "order of progress"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, _, progress) in sighting.running() {
            let index = |position: Option<crate::sighting::Position>| position.map(|p| p.index);
            let steps = [
                ("purged", index(progress.purged)),
                ("snapshot", index(progress.snapshot)),
                ("applied", index(progress.applied)),
                ("committed", index(progress.committed)),
                ("last", progress.last),
            ];
            for pair in steps.windows(2) {
                let [(low, at), (high, limit)] = [pair[0], pair[1]];
                if at > limit {
                    return Err(self.violation(format!("{name} has {low} {at:?} beyond {high} {limit:?}")));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkers::scene::{node, running, sighting},
        sighting::Position,
    };

    #[test]
    fn applying_what_is_not_committed_is_seen() {
        let mut bad = running(node(1, &[1, 1]), 1, true, 1);
        assert_eq!(ProgressOrder.look(&sighting(1, [bad.clone()])), Ok(()));
        bad.progress.as_mut().expect("it runs").applied = Some(Position { term: 1, index: 2 });
        assert!(ProgressOrder.look(&sighting(1, [bad])).is_err());
    }
}
