//! Nodes go the best way to each other, and keep to it while nothing changes.

use super::{Checker, Violation, settled::Settled};
use crate::sighting::{Network, NodeSight, Sighting};
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, time::Duration};

/// By which share a way may be slower than the best.
const SLOWER_SHARE: f64 = 0.10;
/// What is not the network's in a round trip over one link: turmoil hands a message over at its next tick, on either
/// end.
const TICKS: Duration = Duration::from_millis(4);
/// What a relay is taken to cost beside its links (`routing/graph` of the mesh).
const RELAY_COST: Duration = Duration::from_millis(1);
/// The most relays of a way.
const RELAYS_MAX: usize = 3;
/// While nothing changes, a way may change once in such a time.
const STEADY: Duration = Duration::from_secs(10);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// From one node to another, by name.
pub(super) type Pair = (String, String);

/// Ways are good.
#[derive(Default)]
pub struct BestWays {
    looked: Duration,
    settled: Settled,
    /// The relays of each way, and when it changed while nothing else did.
    ways: BTreeMap<Pair, (Vec<NodeId>, Option<Duration>)>,
}

impl Checker for BestWays {
    fn name(&self) -> &'static str {
        "best ways"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        let Some(network) = &sighting.network else { return Ok(()) };
        // Where links are unsteady, no way is the best one for long.
        if network.unsteady || sighting.at < self.looked + LOOK_EVERY {
            return Ok(());
        }
        self.looked = sighting.at;
        let settled = self.settled.look(sighting, network);
        let running: BTreeMap<&str, &NodeSight> =
            sighting.running().map(|(name, node, _)| (name, node)).collect();
        let names: BTreeMap<NodeId, &str> =
            running.iter().filter_map(|(name, node)| Some((node.id?, *name))).collect();
        for (from, node) in &running {
            for (to, _) in running.iter().filter(|(to, _)| *to != from) {
                let pair = ((*from).to_owned(), (*to).to_owned());
                let relays = names.iter().find(|(_, name)| *name == to).and_then(|(id, _)| node.ways.get(id));
                self.check_steady(&pair, relays, network, sighting.at)?;
                if settled {
                    self.check_cost(&pair, relays, &names, &running, network)?;
                }
            }
        }
        Ok(())
    }
}

impl BestWays {
    fn check_cost(
        &self,
        pair: &Pair,
        relays: Option<&Vec<NodeId>>,
        names: &BTreeMap<NodeId, &str>,
        running: &BTreeMap<&str, &NodeSight>,
        network: &Network,
    ) -> Result<(), Violation> {
        let (from, to) = pair;
        let Some(best) = cheapest(network, from, to, running) else { return Ok(()) };
        let Some(relays) = relays else {
            return Err(self.violation(format!("{from} does not reach {to}, which is {best:?} away")));
        };
        let mut hops: Vec<&str> = vec![from];
        hops.extend(
            relays.iter().map(|relay| names.get(relay).copied().unwrap_or("a node that is not there")),
        );
        hops.push(to);
        let twice = hops.iter().enumerate().any(|(place, hop)| hops[..place].contains(hop));
        let Some(cost) = cost(network, &hops).filter(|_| !twice) else {
            return Err(self.violation(format!("{from} reaches {to} over {hops:?}, which is no way")));
        };
        let slack = TICKS * hops.len() as u32;
        if cost > best.mul_f64(1.0 / (1.0 - SLOWER_SHARE)) + slack {
            let what = format!("{from} reaches {to} over {hops:?} in {cost:?}, where {best:?} would do");
            return Err(self.violation(what));
        }
        Ok(())
    }

    /// Counts changes of a way that nothing has called for.
    fn check_steady(
        &mut self,
        pair: &Pair,
        relays: Option<&Vec<NodeId>>,
        network: &Network,
        now: Duration,
    ) -> Result<(), Violation> {
        let Some(relays) = relays else {
            self.ways.remove(pair);
            return Ok(());
        };
        let steady = now >= network.changed + STEADY;
        let before = self.ways.insert(pair.clone(), (relays.clone(), None));
        let Some((was, changed)) = before else { return Ok(()) };
        let is_new = was != *relays;
        let again = changed.is_some_and(|at| now < at + STEADY);
        if is_new && steady && again {
            let (from, to) = pair;
            let what =
                format!("{from} changes its way to {to} twice within {STEADY:?}, though nothing else has");
            return Err(self.violation(what));
        }
        let changed = if is_new { Some(now).filter(|_| steady) } else { changed };
        self.ways.insert(pair.clone(), (relays.clone(), changed));
        Ok(())
    }
}

/// What a way costs that passes these hosts; none if two of them don't reach each other.
pub(super) fn cost(network: &Network, hops: &[&str]) -> Option<Duration> {
    let trip = |hop: &[&str]| network.round_trips.get(&(hop[0].to_owned(), hop[1].to_owned())).copied();
    let trips = hops.windows(2).map(trip).sum::<Option<Duration>>()?;
    Some(trips + RELAY_COST * hops.len().saturating_sub(2) as u32)
}

/// What the best way costs over hosts whose nodes run; none if there is none.
pub(super) fn cheapest(
    network: &Network,
    from: &str,
    to: &str,
    running: &BTreeMap<&str, &NodeSight>,
) -> Option<Duration> {
    let mut best = None;
    let mut open: Vec<Vec<&str>> = vec![vec![from]];
    while let Some(hops) = open.pop() {
        for next in running.keys().copied().filter(|next| !hops.contains(next)) {
            let hops = [&hops[..], &[next]].concat();
            let Some(cost) = cost(network, &hops) else { continue };
            if next == to {
                best = Some(best.map_or(cost, |best: Duration| best.min(cost)));
            } else if hops.len() <= RELAYS_MAX {
                open.push(hops);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{node, running, sighting};

    /// Three hosts, of which the first and the last are far from each other, seen at this second; the first one goes
    /// this way to the last.
    fn seen(second: u64, relays: Option<&[u64]>) -> Sighting {
        let mut first = running(node(1, &[1]), 1, true, 1);
        first.ways.insert(NodeId(2), Vec::new());
        if let Some(relays) = relays {
            first.ways.insert(NodeId(3), relays.iter().copied().map(NodeId).collect());
        }
        let others = [2, 3].map(|id| {
            let mut other = running(node(id, &[1]), 1, false, 1);
            other.ways.insert(NodeId(1), if id == 3 { vec![NodeId(2)] } else { Vec::new() });
            other.ways.insert(NodeId(5 - id), Vec::new());
            other
        });
        let [second_node, third] = others;
        let mut seen = sighting(1, [first, second_node, third]);
        seen.at = Duration::from_secs(second);
        let mut network = Network::default();
        let names: Vec<String> = seen.nodes.keys().cloned().collect();
        for (a, b, ms) in [(0, 1, 40), (1, 2, 40), (0, 2, 200)] {
            for (a, b) in [(a, b), (b, a)] {
                let pair = (names[a].clone(), names[b].clone());
                network.round_trips.insert(pair, Duration::from_millis(ms));
            }
        }
        seen.network = Some(network);
        seen
    }

    #[test]
    fn a_slow_way_and_none_are_seen_once_all_should_know_better() {
        for (relays, good) in [(Some(&[2][..]), true), (Some(&[]), false), (None, false), (Some(&[9]), false)]
        {
            let mut checker = BestWays::default();
            assert_eq!(checker.look(&seen(1, relays)), Ok(()), "it was only just started");
            assert_eq!(checker.look(&seen(20, relays)).is_ok(), good, "{relays:?}");
        }
    }

    #[test]
    fn a_way_that_changes_for_nothing_is_seen() {
        let mut checker = BestWays::default();
        for (second, relays) in [(1, &[2][..]), (11, &[2]), (12, &[])] {
            assert_eq!(checker.look(&seen(second, Some(relays))), Ok(()));
        }
        assert!(checker.look(&seen(12, Some(&[2]))).is_ok(), "it is looked at less often");
        assert!(checker.look(&seen(14, Some(&[2]))).is_err());
    }
}
