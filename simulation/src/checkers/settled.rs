//! Whether all nodes have had the time to find out what the network is like.

use crate::sighting::{Network, Sighting};
use std::{collections::BTreeMap, time::Duration};

/// How long all nodes may take after a change until they go the best ways.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a node that was started may take: it dials all others, and what it tells has to reach them.
const SETTLE_START: Duration = Duration::from_secs(12);

/// Since when which nodes run.
#[derive(Default)]
pub(super) struct Settled {
    /// The life of each node that ran at the last look, and since when it has run.
    lives: BTreeMap<String, (u32, Duration)>,
}

impl Settled {
    /// Whether nothing has changed for so long that all should know.
    pub(super) fn look(&mut self, sighting: &Sighting, network: &Network) -> bool {
        let running: BTreeMap<String, u32> =
            sighting.running().map(|(name, node, _)| (name.to_owned(), node.boot)).collect();
        self.lives.retain(|name, (boot, _)| running.get(name) == Some(boot));
        for (name, boot) in running {
            self.lives.entry(name).or_insert((boot, sighting.at));
        }
        let old = |(_, since): &(u32, Duration)| sighting.at >= *since + SETTLE_START;
        sighting.at >= network.changed + SETTLE && self.lives.values().all(old)
    }

    /// Whether a node has run for so long that all should know of it.
    pub(super) fn is_known(&self, name: &str, now: Duration) -> bool {
        self.lives.get(name).is_some_and(|(_, since)| now >= *since + SETTLE_START)
    }
}
