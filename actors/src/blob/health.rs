//! How the blobs are, as the status tells it: counted by each node's keeper, on its own replica of the records.

use super::platform::Shared;
use micro_sdk::wire::NodeId;
use std::sync::PoisonError;

/// Under which key a node tells what is missing on its disk: as [`Missing`] is written.
const MISSING_KEY: &str = "blob/missing";

/// How the blobs are, as far as the records tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// Blobs with fewer copies than are wanted, and than there are members.
    pub short: u64,
    /// Blobs all of whose copies are on nodes that are down for long, or gone.
    pub unreachable: u64,
}

impl Health {
    /// Counts a blob of which so many copies are good, and so many could be.
    pub fn count(&mut self, good: usize, wanted: usize) {
        match good {
            0 => self.unreachable += 1,
            good if good < wanted => self.short += 1,
            _ => {}
        }
    }
}

/// What should be on a node's disk and is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Copies that are being made up, or can't be just now.
    pub copies: u64,
    /// Those of blobs that no node has, though all that should have them are up.
    pub lost: u64,
}

impl Missing {
    fn parse(told: &str) -> Option<Missing> {
        let (copies, lost) = told.split_once(' ')?;
        Some(Missing { copies: copies.parse().ok()?, lost: lost.parse().ok()? })
    }
}

impl Shared {
    /// Notes what a look at the records has told.
    pub fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// How the blobs were when this node looked last.
    pub fn health(&self) -> Health {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all others what is missing here.
    pub fn publish_missing(&self, missing: Missing) {
        self.mesh.gossip().set(MISSING_KEY, format!("{} {}", missing.copies, missing.lost));
    }

    /// The nodes that are up with what is missing there, as they tell; not those that miss nothing.
    pub fn missing(&self) -> Vec<(NodeId, Missing)> {
        let members = self.mesh.gossip().members();
        let told = members.iter().filter_map(|member| {
            let missing = Missing::parse(member.values.get(MISSING_KEY)?)?;
            (self.is_up(member.node) && missing != Missing::default()).then_some((member.node, missing))
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_read_as_it_was_told() {
        assert_eq!(Missing::parse("3 1"), Some(Missing { copies: 3, lost: 1 }));
        for garbled in ["", "3", "3 x", "-1 0"] {
            assert_eq!(Missing::parse(garbled), None, "{garbled:?}");
        }
    }
}
