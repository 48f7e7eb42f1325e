//! Blobs with fewer copies than they should have: the leader's keeper counts them, and the status on every node tells.

use micro_mesh::{Member, Mesh};
use micro_sdk::wire::status::{Problem, Severity};

/// Under which key a leader tells: two numbers, those that are short and those that are lost.
const SHORTAGE_KEY: &str = "blob/shortage";

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortage {
    /// Blobs with too few copies, and at least one.
    pub short: u64,
    /// Blobs of which no copy is on a node that is up.
    pub lost: u64,
}

impl Shortage {
    /// Tells the others.
    pub fn publish(self, mesh: &Mesh) {
        mesh.gossip().set(SHORTAGE_KEY, format!("{} {}", self.short, self.lost));
    }

    /// What a node tells of; nothing, for most of them.
    pub fn of(member: &Member) -> Self {
        member.values.get(SHORTAGE_KEY).and_then(|told| Self::parse(told)).unwrap_or_default()
    }

    fn parse(told: &str) -> Option<Self> {
        let (short, lost) = told.split_once(' ')?;
        Some(Shortage { short: short.parse().ok()?, lost: lost.parse().ok()? })
    }

    /// What the status says of it.
    pub fn problems(self) -> Vec<Problem> {
        let Shortage { short, lost } = self;
        let lost = (lost > 0).then(|| Problem {
            severity: Severity::Critical,
            message: format!("{} can't be read: no node that is up has a copy", blobs(lost)),
            help: "start the nodes that have one: `micro-node blob list -o wide` names them".to_owned(),
        });
        let short = (short > 0).then(|| Problem {
            severity: Severity::Warning,
            message: format!("{} fewer copies than wanted: they are being made up", has(short)),
            help: "if it lasts, see whether the disks of the other nodes have room (`df`), and their logs"
                .to_owned(),
        });
        lost.into_iter().chain(short).collect()
    }
}

fn blobs(count: u64) -> String {
    if count == 1 { "1 blob".to_owned() } else { format!("{count} blobs") }
}

fn has(count: u64) -> String {
    let verb = if count == 1 { "has" } else { "have" };
    format!("{} {verb}", blobs(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_worse_than_what_is_short() {
        assert_eq!(Shortage::parse("0 0").expect("two numbers").problems(), []);
        let problems = Shortage::parse("2 1").expect("two numbers").problems();
        assert_eq!(problems.len(), 2);
        assert!(
            problems[0].severity == Severity::Critical && problems[0].message.starts_with("1 blob can't")
        );
        assert!(problems[1].severity == Severity::Warning && problems[1].message.starts_with("2 blobs have"));
        for garbled in ["", "1", "a b", "1 2 3"] {
            assert_eq!(Shortage::parse(garbled), None, "{garbled}");
        }
    }
}
