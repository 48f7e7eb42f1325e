//! Once everything is healed and quiet, all replicas hold the same state.

use super::{Checker, Ending, Violation};

/// Replicas are equal in the end.
#[derive(Default)]
pub struct EqualReplicas;

impl Checker for EqualReplicas {
    fn name(&self) -> &'static str {
        "equal replicas"
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let mut states = ending.states.iter();
        let Some((first, state)) = states.next() else { return Ok(()) };
        match states.find(|(_, other)| *other != state) {
            Some((other, _)) => Err(self.violation(format!("{first} and {other} differ after the heal"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sighting::StatePrint;

    #[test]
    fn a_replica_that_differs_is_seen() {
        let state = |print| StatePrint { applied: vec![1], print };
        for (second, good) in [(5, true), (6, false)] {
            let states = [("a".to_owned(), state(5)), ("b".to_owned(), state(second))].into();
            assert_eq!(EqualReplicas.conclude(&Ending { states, ..Ending::default() }).is_ok(), good);
        }
    }
}
