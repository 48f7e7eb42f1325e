//! On every node: the log is cut behind a snapshot before it takes much more of the disk than it may.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use std::{collections::BTreeMap, time::Duration};

/// How long it may be longer: some looks at it, the snapshot, and what is read from it meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);
/// A node that has applied nothing for so long stands still, or is cut off, and nobody writes to it.
const STILL: Duration = Duration::from_millis(1500);

/// No log is long for long.
#[derive(Default)]
pub struct BoundedLog {
    /// By name, of nodes whose log is too long.
    long: BTreeMap<String, Long>,
}

/// A log that is too long.
struct Long {
    /// In which life of the node.
    boot: u32,
    /// Since when, while it was at work.
    since: Duration,
    /// How far it had applied its log at the last look, and when that was new.
    applied: (Option<u64>, Duration),
}

impl Checker for BoundedLog {
    fn name(&self) -> &'static str {
        "bounded log"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        let now = sighting.at;
        for (name, sight) in &sighting.nodes {
            if !sight.log_too_long {
                self.long.remove(name);
                continue;
            }
            let applied = sight.progress.as_ref().and_then(|progress| progress.applied).map(|at| at.index);
            let new = || Long { boot: sight.boot, since: now, applied: (applied, now) };
            let long = self.long.entry(name.clone()).or_insert_with(new);
            if long.boot != sight.boot || now > long.applied.1 + STILL {
                *long = new();
            }
            if long.applied.0 != applied {
                long.applied = (applied, now);
            }
            let since = now.saturating_sub(long.since);
            if since > PATIENCE {
                return Err(self.violation(format!("that of {name} is too long for {since:?}")));
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
    fn a_log_that_stays_long_is_seen_unless_its_node_stands_still_or_was_started_anew() {
        let look = |checker: &mut BoundedLog, at: u64, boot: u32, applied: u64, log_too_long: bool| {
            let mut sight = running(node(1, &[1]), 1, true, 1);
            (sight.boot, sight.log_too_long) = (boot, log_too_long);
            sight.progress.as_mut().expect("it runs").applied = Some(Position { term: 1, index: applied });
            let mut seen = sighting(1, [sight]);
            seen.at = Duration::from_secs(at);
            checker.look(&seen).is_ok()
        };
        let mut checker = BoundedLog::default();
        for at in 0..=5 {
            assert!(look(&mut checker, at, 1, at, true));
        }
        assert!(!look(&mut checker, 6, 1, 6, true));
        let mut checker = BoundedLog::default();
        for (at, boot, applied, long) in [(0, 1, 0, true), (1, 1, 1, false), (2, 1, 2, true), (3, 2, 3, true)]
        {
            assert!(look(&mut checker, at, boot, applied, long));
        }
        for at in 4..=20 {
            assert!(look(&mut checker, at, 2, 4, true), "it stands still");
        }
    }
}
