//! Raft never gives up on a node that runs: it stops only when it meets a state that must not be.

use super::{Checker, Violation};
use crate::sighting::Sighting;

/// Nodes that run, run.
#[derive(Default)]
pub struct RunningNodes;

impl Checker for RunningNodes {
    fn name(&self) -> &'static str {
        "raft keeps running"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        match sighting.running().find_map(|(name, _, progress)| Some((name, progress.stopped.as_ref()?))) {
            Some((name, why)) => Err(self.violation(format!("{name} stopped: {why}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    #[test]
    fn a_stopped_raft_is_seen() {
        let mut sight = running(node(1, &[1]), 1, true, 1);
        assert_eq!(RunningNodes.look(&sighting(1, [sight.clone()])), Ok(()));
        sight.progress.as_mut().expect("it runs").stopped = Some("disk failed".to_owned());
        assert!(RunningNodes.look(&sighting(1, [sight])).is_err());
    }
}
