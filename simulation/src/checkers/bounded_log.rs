//! On every node: the log is cut behind a snapshot before it takes much more of the disk than it may.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use std::{collections::BTreeMap, time::Duration};

/// How long it may be longer: some looks at it, the snapshot, and what is read from it meanwhile.
const PATIENCE: Duration = Duration::from_secs(5);

/// No log is long for long.
#[derive(Default)]
pub struct BoundedLog {
    /// By name: which start, and since when its log is too long.
    since: BTreeMap<String, (u32, Duration)>,
}

impl Checker for BoundedLog {
    fn name(&self) -> &'static str {
        "bounded log"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, sight) in &sighting.nodes {
            if !sight.log_too_long {
                self.since.remove(name);
                continue;
            }
            let first = (sight.boot, sighting.at);
            let since = self.since.entry(name.clone()).or_insert(first);
            if since.0 != sight.boot {
                *since = first;
            }
            let long = sighting.at.saturating_sub(since.1);
            if long > PATIENCE {
                return Err(self.violation(format!("that of {name} is too long for {long:?}")));
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
    fn a_log_that_stays_long_is_seen_unless_its_node_was_started_anew() {
        let look = |checker: &mut BoundedLog, at: u64, boot: u32, log_too_long: bool| {
            let mut sight = running(node(1, &[1]), 1, true, 1);
            (sight.boot, sight.log_too_long) = (boot, log_too_long);
            let mut seen = sighting(1, [sight]);
            seen.at = Duration::from_secs(at);
            checker.look(&seen).is_ok()
        };
        let mut checker = BoundedLog::default();
        let looks = [(1, 1, true), (5, 1, false), (6, 1, true), (10, 2, true), (15, 2, true)];
        assert!(looks.into_iter().all(|(at, boot, long)| look(&mut checker, at, boot, long)));
        assert!(!look(&mut checker, 16, 2, true));
    }
}
