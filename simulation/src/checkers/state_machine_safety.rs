//! Replicas that have applied the log up to the same entry hold the same state.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use std::collections::BTreeMap;

/// State machine safety.
#[derive(Default)]
pub struct StateMachineSafety {
    /// How far it was applied, and the state's digest then, and who had it first.
    states: BTreeMap<Vec<u8>, (u64, String)>,
    /// The term of the entry applied at an index.
    terms: BTreeMap<u64, u64>,
}

impl Checker for StateMachineSafety {
    fn name(&self) -> &'static str {
        "state machine safety"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, node) in &sighting.nodes {
            let Some(state) = &node.state else { continue };
            let known = self.states.entry(state.applied.clone()).or_insert((state.print, name.clone()));
            if known.0 != state.print {
                let what = format!("{} and {name} applied the same entries and differ", known.1);
                return Err(self.violation(what));
            }
        }
        for (name, _, progress) in sighting.running() {
            let Some(applied) = progress.applied else { continue };
            let term = *self.terms.entry(applied.index).or_insert(applied.term);
            if term != applied.term {
                return Err(self.violation(format!(
                    "entry {} was applied as one of term {term}, and by {name} as one of term {}",
                    applied.index, applied.term
                )));
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
        sighting::StatePrint,
    };

    fn look_at(prints: [u64; 2], applied: [u8; 2]) -> Result<(), Violation> {
        let with = |id: u64, i: usize| {
            let mut sight = node(id, &[1]);
            sight.state = Some(StatePrint { applied: vec![applied[i]], print: prints[i] });
            sight
        };
        StateMachineSafety::default().look(&sighting(1, [with(1, 0), with(2, 1)]))
    }

    #[test]
    fn equal_states_are_fine_and_unequal_ones_are_seen() {
        assert_eq!(look_at([5, 5], [1, 1]), Ok(()));
        assert_eq!(look_at([5, 6], [1, 2]), Ok(()));
        assert!(look_at([5, 6], [1, 1]).is_err());
    }

    #[test]
    fn two_entries_applied_at_one_index_are_seen() {
        let scene = sighting(1, [running(node(1, &[1]), 1, false, 1), running(node(2, &[2]), 2, false, 1)]);
        assert!(StateMachineSafety::default().look(&scene).is_err());
    }
}
