//! A leader leads on while nothing changes: it is neither replaced for a late heartbeat nor moved to and fro.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use micro_sdk::wire::NodeId;
use std::time::Duration;

/// How long after a change of the network a new leader may be due to it: a silent one is replaced, and who can't reach
/// a majority stands again and again.
const SETTLE: Duration = Duration::from_secs(20);
/// In such a time the leader may change once while nothing else does: it goes to where most writes come from.
const STEADY: Duration = Duration::from_secs(180);

/// The leader is steady.
#[derive(Default)]
pub struct SteadyLeader {
    leader: Option<NodeId>,
    /// When it last changed while nothing else did.
    changed: Option<Duration>,
}

impl Checker for SteadyLeader {
    fn name(&self) -> &'static str {
        "steady leader"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        let Some(network) = &sighting.network else { return Ok(()) };
        let Some(leader) = sighting.leader() else { return Ok(()) };
        let before = self.leader.replace(leader);
        if before.is_none_or(|before| before == leader) {
            return Ok(());
        }
        let now = sighting.at;
        let again = self.changed.is_some_and(|at| at > network.changed && now < at + STEADY);
        self.changed = Some(now).filter(|now| *now >= network.changed + SETTLE);
        if again && self.changed.is_some() {
            let what = format!("the leader changes twice within {STEADY:?}, though nothing else has");
            return Err(self.violation(what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkers::scene::{node, running, sighting},
        sighting::Network,
    };

    /// Looks at leaders by the second, over a network that last changed at `changed`.
    fn check(changed: u64, leaders: &[(u64, u64)]) -> bool {
        let mut checker = SteadyLeader::default();
        let found = leaders.iter().find_map(|(second, leader)| {
            let nodes = (1..=3).map(|id| running(node(id, &[1]), 1, id == *leader, 1));
            let mut seen = sighting(1000 * second, nodes);
            seen.network = Some(Network { changed: Duration::from_secs(changed), ..Network::default() });
            checker.look(&seen).err()
        });
        found.is_none()
    }

    #[test]
    fn a_leader_that_is_moved_to_and_fro_is_seen() {
        assert!(check(0, &[(30, 1), (60, 3), (90, 3), (241, 1)]), "once in three minutes");
        assert!(!check(0, &[(30, 1), (60, 3), (200, 1)]), "twice");
        assert!(check(190, &[(30, 1), (60, 3), (200, 1)]), "the network has changed meanwhile");
        assert!(check(0, &[(1, 1), (5, 3), (9, 1), (100, 1)]), "they find together");
    }
}
