//! Certificates are renewed in time: those of the platform's own design, for lack of a paper. A node that votes can
//! open the authority, so nothing keeps it from having one that counts: not a partition, not the loss of the quorum,
//! not a clock that jumps.

use super::{Checker, Violation};
use crate::sighting::Sighting;
use std::{collections::BTreeMap, time::Duration};

/// How long a node may take to find out that its clock has jumped, and to renew on a slow disk. It looks every two
/// seconds.
const PATIENCE: Duration = Duration::from_secs(6);

/// No node goes on with a certificate that has ended.
#[derive(Default)]
pub struct Certificates {
    /// Since when each node was seen with one that has ended, and in which life.
    ended: BTreeMap<String, (u32, Duration)>,
}

impl Checker for Certificates {
    fn name(&self) -> &'static str {
        "certificates"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        for (name, node) in &sighting.nodes {
            let ended = node.papers.as_ref().is_some_and(|papers| papers.ended.is_some());
            if !ended {
                self.ended.remove(name);
                continue;
            }
            let seen = self.ended.entry(name.clone()).or_insert((node.boot, sighting.at));
            if seen.0 != node.boot {
                *seen = (node.boot, sighting.at);
            }
            if sighting.at - seen.1 >= PATIENCE {
                let what = format!("{name} has gone on for {PATIENCE:?} with a certificate that has ended");
                return Err(self.violation(what));
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
        sighting::{NodeSight, Papers},
    };

    fn sight(boot: u32, ended: bool) -> NodeSight {
        let ended = ended.then_some(Duration::from_secs(1));
        let papers = Papers { ended, authority: [1; 32], believed: [1; 32], handing_over: false };
        NodeSight { boot, papers: Some(papers), ..running(node(1, &[1]), 1, true, 1) }
    }

    #[test]
    fn a_certificate_that_is_not_renewed_is_seen_and_one_that_is_renewed_late_is_not() {
        let mut checker = Certificates::default();
        for (ms, boot, ended, good) in [
            (0, 1, true, true),
            (5_900, 1, true, true),
            (6_000, 1, false, true),
            (7_000, 1, true, true),
            (12_000, 2, true, true),
            (17_900, 2, true, true),
            (18_000, 2, true, false),
        ] {
            let looked = checker.look(&sighting(ms, [sight(boot, ended)]));
            assert_eq!(looked.is_ok(), good, "at {ms} ms: {looked:?}");
        }
    }
}
