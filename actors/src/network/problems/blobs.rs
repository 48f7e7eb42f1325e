//! What is wrong with the blobs.

use super::Problems;
use crate::blob::{Health, Missing};
use micro_sdk::wire::status::Severity;

impl Problems {
    pub(super) fn of_the_blobs(&mut self, health: &Health) {
        let Health { short, unreachable } = *health;
        if unreachable > 0 {
            let message = format!("{} can't be read: no node with a copy is up", blobs(unreachable));
            let help = "start those nodes: `micro-node blob list` names them; put a blob again for which it names none";
            self.add(Severity::Critical, message, help);
        }
        if short > 0 {
            let has = if short == 1 { "has" } else { "have" };
            let message = format!("{} {has} fewer copies than wanted", blobs(short));
            let help = "copies are made up by themselves where there is room; start the nodes that are down";
            self.add(Severity::Warning, message, help);
        }
    }

    pub(super) fn of_missing_blobs(&mut self, node: &str, missing: &Missing) {
        let Missing { copies, lost } = *missing;
        if lost > 0 {
            let message = format!("no node has {} that should be on {node}", blobs(lost));
            let help = "put them again, or delete them; the log of that node names them, and its folder blobs/damaged has what was set aside";
            self.add(Severity::Critical, message, help);
        }
        let others = copies.saturating_sub(lost);
        if others > 0 {
            let message = format!("node {node} lacks its copy of {}", blobs(others));
            self.add(Severity::Warning, message, "they are fetched by themselves; if it lasts, see its log");
        }
    }
}

fn blobs(count: u64) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_that_are_lost_are_worse_than_those_with_few_copies() {
        let mut list = Problems::default();
        list.of_the_blobs(&Health { short: 1, unreachable: 2 });
        list.of_missing_blobs("a", &Missing { copies: 3, lost: 1 });
        list.0.sort_by_key(|problem| problem.severity);
        let told: Vec<(Severity, &str)> = list.0.iter().map(|one| (one.severity, &*one.message)).collect();
        let expected = [
            (Severity::Critical, "2 blobs can't be read: no node with a copy is up"),
            (Severity::Critical, "no node has 1 blob that should be on a"),
            (Severity::Warning, "1 blob has fewer copies than wanted"),
            (Severity::Warning, "node a lacks its copy of 2 blobs"),
        ];
        assert_eq!(told, expected);
        let mut well = Problems::default();
        well.of_the_blobs(&Health::default());
        assert!(well.0.is_empty());
    }
}
