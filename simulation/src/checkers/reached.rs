//! A call of a node that can be reached is answered, whatever else goes the same way.

use super::{
    Checker, Ending, Violation,
    best_ways::{Pair, cheapest},
    settled::Settled,
};
use crate::{
    sighting::{NodeSight, Sighting},
    workload::{Asked, Op, Told},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A time in which nothing changed, and all nodes knew what the network is like.
struct Calm {
    from: Duration,
    to: Duration,
    /// Which nodes could reach which.
    pairs: BTreeSet<Pair>,
}

/// Calls are answered.
#[derive(Default)]
pub struct Reached {
    looked: Duration,
    settled: Settled,
    calms: Vec<Calm>,
    /// Whether it is calm just now.
    calm: bool,
}

impl Checker for Reached {
    fn name(&self) -> &'static str {
        "reached nodes"
    }

    fn look(&mut self, sighting: &Sighting) -> Result<(), Violation> {
        let Some(network) = &sighting.network else { return Ok(()) };
        if sighting.at < self.looked + LOOK_EVERY {
            return Ok(());
        }
        self.looked = sighting.at;
        let was_calm = std::mem::replace(&mut self.calm, self.settled.look(sighting, network));
        match self.calms.last_mut().filter(|_| was_calm) {
            Some(calm) if self.calm => calm.to = sighting.at,
            _ if self.calm => {
                let running: BTreeMap<&str, &NodeSight> =
                    sighting.running().map(|(name, node, _)| (name, node)).collect();
                let pairs = running.keys().flat_map(|from| running.keys().map(move |to| (*from, *to)));
                let reached =
                    pairs.filter(|(from, to)| from == to || cheapest(network, from, to, &running).is_some());
                let pairs = reached.map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
                self.calms.push(Calm { from: sighting.at, to: sighting.at, pairs });
            }
            _ => {}
        }
        Ok(())
    }

    fn conclude(&mut self, ending: &Ending) -> Result<(), Violation> {
        let failed = ending.history.iter().find(|op| self.calms.iter().any(|calm| fails(op, calm)));
        match failed {
            Some(Op { client, key, from, told, .. }) => {
                let what =
                    format!("{client} called {key} at {from:?}, which it could reach, and was told {told:?}");
                Err(self.violation(what))
            }
            None => Ok(()),
        }
    }
}

/// Whether a call failed though all of it lies in a calm time.
fn fails(op: &Op, calm: &Calm) -> bool {
    let (Asked::Echo { .. }, Some((at, told))) = (&op.asked, &op.told) else { return false };
    let from = op.client.split('.').next().unwrap_or_default().to_owned();
    let within = calm.from <= op.from && *at <= calm.to;
    within && calm.pairs.contains(&(from, op.key.clone())) && !matches!(told, Told::Found(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkers::scene::{node, running, sighting},
        sighting::Network,
    };

    #[test]
    fn a_call_that_fails_though_its_node_can_be_reached_is_seen() {
        let two = |second| {
            let mut seen = sighting(1, [1, 2].map(|id| running(node(id, &[1]), 1, id == 1, 1)));
            seen.at = Duration::from_secs(second);
            let mut network = Network::default();
            for (a, b) in [("n1", "n2"), ("n2", "n1")] {
                network.round_trips.insert((a.to_owned(), b.to_owned()), Duration::from_millis(4));
            }
            seen.network = Some(network);
            seen
        };
        for (second, to, told, good) in [
            (25, "n2", Told::Failed, false),
            (25, "n2", Told::Unknown, false),
            (25, "n2", Told::Found(Some((1, 0))), true),
            (25, "n3", Told::Failed, true),
            (5, "n2", Told::Failed, true),
            (29, "n2", Told::Failed, true),
        ] {
            let mut checker = Reached::default();
            for second in [1, 14, 20, 26, 30] {
                assert_eq!(checker.look(&two(second)), Ok(()));
            }
            let (from, end) = (Duration::from_secs(second), Duration::from_secs(second + 2));
            let (asked, told) = (Asked::Echo { value: 1 }, Some((end, told)));
            let op = Op { client: "n1.1.echo".into(), key: to.into(), asked, from, told };
            let ending = Ending { history: vec![op.clone()], ..Ending::default() };
            assert_eq!(checker.conclude(&ending).is_ok(), good, "{op:?}");
        }
    }
}
