//! A committed entry is never replaced: no node ever says that another one is committed at its index.

use super::{Checker, Violation, ledger::Ledger};
use crate::sighting::Sighting;

/// Committed entries stay.
#[derive(Default)]
pub struct CommittedImmutable {
    ledger: Ledger,
}

impl Checker for CommittedImmutable {
    fn name(&self) -> &'static str {
        "committed entries stay"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for learned in self.ledger.learn(sighting) {
            if let Some(known) = learned.known.filter(|known| known.line != learned.line) {
                return Err(self.violation(format!(
                    "entry {} was committed in term {}; {} says it is one of term {}",
                    learned.index, known.line.term, learned.node, learned.line.term
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

    #[test]
    fn a_replaced_entry_is_seen() {
        let mut checker = CommittedImmutable::default();
        assert_eq!(checker.look(&sighting(1, [running(node(1, &[1, 1]), 1, true, 2)])), Ok(()));
        assert!(checker.look(&sighting(2, [running(node(2, &[1, 2]), 2, true, 2)])).is_err());
    }

    #[test]
    fn an_old_tail_that_the_disk_still_holds_is_not_taken_for_committed() {
        let mut checker = CommittedImmutable::default();
        let mut behind = running(node(2, &[1, 3]), 4, false, 2);
        behind.progress.as_mut().and_then(|p| p.committed.as_mut()).expect("it has").term = 1;
        let scene = sighting(1, [running(node(1, &[1, 1]), 4, true, 2), behind]);
        assert_eq!(checker.look(&scene), Ok(()));
    }
}
