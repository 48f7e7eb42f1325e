//! Ways that pass a cloud pass its gateways, as long as one of them would do.

use super::{
    Checker, Violation,
    best_ways::{Pair, cost},
    settled::Settled,
};
use crate::sighting::{Network, NodeSight, Sighting};
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, time::Duration};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Gateways are gone over. Only a way that is new counts: an older one is kept until another is clearly better.
#[derive(Default)]
pub struct Gateways {
    looked: Duration,
    settled: Settled,
    ways: BTreeMap<Pair, Vec<NodeId>>,
}

impl Checker for Gateways {
    fn name(&self) -> &'static str {
        "gateways"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        let Some(network) = sighting.network.as_ref().filter(|network| !network.gateways.is_empty()) else {
            return Ok(());
        };
        if sighting.at < self.looked + LOOK_EVERY {
            return Ok(());
        }
        self.looked = sighting.at;
        self.settled.look(sighting, network);
        let running: BTreeMap<&str, &NodeSight> =
            sighting.running().map(|(name, node, _)| (name, node)).collect();
        let names: BTreeMap<NodeId, &str> =
            running.iter().filter_map(|(name, node)| Some((node.id?, *name))).collect();
        let mut before = std::mem::take(&mut self.ways);
        for (from, node) in &running {
            for (to, relays) in node.ways.iter().filter_map(|(to, relays)| Some((*names.get(to)?, relays))) {
                let pair = ((*from).to_owned(), to.to_owned());
                let was = before.remove(&pair);
                self.ways.insert(pair, relays.clone());
                if was.is_some_and(|was| was != *relays) {
                    self.check(&hops(from, relays, to, &names), network, sighting.at)?;
                }
            }
        }
        Ok(())
    }
}

/// The hosts on a way. A relay that does not run any more has no name.
fn hops<'a>(
    from: &'a str,
    relays: &[NodeId],
    to: &'a str,
    names: &BTreeMap<NodeId, &'a str>,
) -> Vec<&'a str> {
    let relays = relays.iter().map(|relay| names.get(relay).copied().unwrap_or_default());
    std::iter::once(from).chain(relays).chain([to]).collect()
}

impl Gateways {
    fn check(&self, hops: &[&str], network: &Network, now: Duration) -> Result<(), Violation> {
        let Some(goes) = cost(network, hops) else { return Ok(()) };
        let relays = hops.iter().enumerate().take(hops.len() - 1).skip(1);
        for (place, relay) in relays.filter(|(_, relay)| !network.gateways.contains(**relay)) {
            let would_do = |gateway: &&String| {
                let mut hops = hops.to_vec();
                hops[place] = gateway;
                network.clouds.get(*gateway) == network.clouds.get(*relay)
                    && self.settled.is_known(gateway, now)
                    && cost(network, &hops).is_some_and(|cost| cost <= goes)
            };
            if let Some(gateway) = network.gateways.iter().find(would_do) {
                let what =
                    format!("a way begins to go over {hops:?}, though {gateway} is the gateway of {relay}");
                return Err(self.violation(what));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    /// Of four nodes the first goes over this one to the last; the second is a gateway, and of the third's cloud.
    fn seen(second: u64, over: u64) -> Sighting {
        let mut nodes = [1, 2, 3, 4].map(|id| running(node(id, &[1]), 1, id == 1, 1));
        let relays = if over == 0 { Vec::new() } else { vec![NodeId(over)] };
        nodes[0].ways.insert(NodeId(4), relays);
        let mut seen = sighting(1, nodes);
        seen.at = Duration::from_secs(second);
        let mut network = Network::default();
        for (from, to) in (1..=4).flat_map(|from| (1..=4).map(move |to| (from, to))) {
            network.round_trips.insert((format!("n{from}"), format!("n{to}")), Duration::from_millis(20));
        }
        let cloud = |number: u64| (format!("n{number}"), if number == 1 { "a" } else { "b" }.to_owned());
        network.clouds = (1..=4).map(cloud).collect();
        network.gateways.insert("n2".to_owned());
        seen.network = Some(network);
        seen
    }

    #[test]
    fn a_new_way_past_a_gateway_is_seen() {
        for (over, good) in [(2, true), (3, false), (0, true)] {
            let mut checker = Gateways::default();
            let first = if over == 0 { 2 } else { 0 };
            assert_eq!(checker.look(&seen(1, first)), Ok(()));
            assert_eq!(checker.look(&seen(20, over)).is_ok(), good, "over {over}");
            assert_eq!(checker.look(&seen(21, over)), Ok(()), "it is not new any more");
        }
    }
}
