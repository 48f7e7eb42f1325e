//! The ways that this node goes.

use super::{
    LinkMetric, LinkMetrics,
    graph::{Costed, Links, RELAY_COST, candidates, cheapest, cost},
};
use crate::{
    Candidate, LinkReport, Member,
    link::lock,
    relay::{NODES_MAX, Path},
};
use micro_sdk::wire::NodeId;
use std::{collections::BTreeMap, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// How long a way is gone at least, if it can be gone: for so long nothing says whether the change was a good one.
const HELD_FOR: Duration = Duration::from_secs(3);

/// A way as it is gone, and since when.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    costed: Costed,
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    links: Links,
    told: LinkMetrics,
    chosen: BTreeMap<NodeId, Chosen>,
}

/// The ways that this node goes.
#[derive(Debug)]
pub(crate) struct Ways {
    node: NodeId,
    /// By which share another way must be cheaper to be gone instead.
    leeway: f64,
    state: Mutex<State>,
}

impl Ways {
    pub(crate) fn new(node: NodeId, leeway: f64) -> Self {
        Ways { node, leeway, state: Mutex::default() }
    }

    /// Takes note of this node's links as they are `found` now, and gives what to tell others of that, by key.
    pub(crate) fn measured(&self, found: &BTreeMap<NodeId, LinkMetric>) -> Vec<(String, Option<String>)> {
        let state = &mut *lock(&self.state);
        let changes = state.told.update(found);
        // What is measured here is known here at once, and also what others need not hear of.
        state.links.insert(self.node, found.clone());
        changes
    }

    /// Computes the ways anew, by what all `members` tell and what was measured here. Returns the nodes whose way has
    /// changed.
    pub(crate) fn compute(&self, members: &[Member], now: Instant) -> Vec<NodeId> {
        let State { links, chosen, .. } = &mut *lock(&self.state);
        links.retain(|node, _| *node == self.node);
        // Who is dead sends nothing on. Who is alive may still tell of the dead: nobody is led there.
        for member in members.iter().filter(|member| member.alive && member.node != self.node) {
            links.insert(member.node, LinkMetrics::heard(&member.values).0);
        }
        let found = cheapest(links, self.node, NODES_MAX);
        let mut changed = Vec::new();
        chosen.retain(|node, _| {
            let kept = found.contains_key(node);
            if !kept {
                changed.push(*node);
            }
            kept
        });
        for (node, best) in found {
            let before = chosen.get(&node).copied();
            let next = choose(before, best, links, self.leeway, now);
            if before.is_none_or(|before| before.costed.path != next.costed.path) {
                changed.push(node);
            }
            chosen.insert(node, next);
        }
        changed
    }

    /// The way to `node` that has relays; none if the direct one is gone, or there is none.
    pub(crate) fn relayed(&self, node: NodeId) -> Option<Path> {
        let chosen = lock(&self.state).chosen.get(&node)?.costed.path;
        (!chosen.relays().is_empty()).then_some(chosen)
    }

    /// The links that are known of: those of this node as it finds them, those of others as they tell.
    pub(crate) fn links(&self) -> Vec<LinkReport> {
        let state = lock(&self.state);
        let links =
            state.links.iter().flat_map(|(from, links)| links.iter().map(|(to, link)| (*from, *to, *link)));
        links.map(|(from, to, link)| LinkReport { from, to, rtt: link.rtt(), loss: link.loss() }).collect()
    }

    /// The ways that this node could go to `to`, the cheapest first.
    pub(crate) fn candidates(&self, to: NodeId) -> Vec<Candidate> {
        let state = lock(&self.state);
        let chosen = state.chosen.get(&to).map(|chosen| chosen.costed.path);
        let candidate = |Costed { path, cost }: Costed| {
            let hops = path.nodes().windows(2).filter_map(|hop| state.links.get(&hop[0])?.get(&hop[1]));
            let rtt: Duration = hops.map(|link| link.rtt()).sum();
            let relays = Duration::from_micros(RELAY_COST) * path.relays().len() as u32;
            let cost = Duration::from_micros(cost);
            Candidate {
                relays: path.relays().to_vec(),
                cost,
                rtt,
                of_loss: cost.saturating_sub(rtt + relays),
                of_relays: relays,
                chosen: chosen == Some(path),
            }
        };
        candidates(&state.links, self.node, to).into_iter().map(candidate).collect()
    }
}

/// The way to go: the one `before` while it can be gone and is not clearly the worse, else the `best`.
fn choose(before: Option<Chosen>, best: Costed, links: &Links, leeway: f64, now: Instant) -> Chosen {
    let kept = before.and_then(|before| {
        let cost = cost(links, &before.costed.path)?;
        let good = best.cost as f64 >= cost as f64 * (1.0 - leeway);
        let young = now.saturating_duration_since(before.since) < HELD_FOR;
        let costed = Costed { path: before.costed.path, cost };
        (good || young || best.path == costed.path).then_some(Chosen { costed, ..before })
    });
    kept.unwrap_or(Chosen { costed: best, since: now })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WAY_LEEWAY;

    fn member(node: u64, alive: bool, links: &[(u64, u32)]) -> Member {
        let mut told = LinkMetrics::default();
        let changes = told.update(&found(links));
        let values = changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        Member { node: NodeId(node), generation: 1, alive, address: ([127, 0, 0, 1], 1).into(), values }
    }

    fn found(links: &[(u64, u32)]) -> BTreeMap<NodeId, LinkMetric> {
        links.iter().map(|(node, ms)| (NodeId(*node), LinkMetric { rtt_us: ms * 1000, loss: 0 })).collect()
    }

    fn relays(ways: &Ways, node: u64) -> Option<Vec<u64>> {
        Some(ways.relayed(NodeId(node))?.relays().iter().map(|node| node.0).collect())
    }

    #[test]
    fn a_way_is_kept_until_another_is_clearly_better_or_it_can_not_be_gone() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let members = [member(2, true, &[(1, 10), (3, 10)]), member(3, true, &[(1, 30), (2, 10)])];
        ways.measured(&found(&[(2, 10), (3, 30)]));
        assert_eq!(ways.compute(&members, start), [NodeId(2), NodeId(3)]);
        assert_eq!(relays(&ways, 3), Some(vec![2]));
        assert_eq!(ways.compute(&members, at(10)), []);
        ways.measured(&found(&[(2, 10), (3, 19)]));
        assert_eq!(ways.compute(&members, at(20)), [], "hardly better");
        ways.measured(&found(&[(2, 10), (3, 15)]));
        assert_eq!(ways.compute(&members, at(30)), [NodeId(3)]);
        assert_eq!(relays(&ways, 3), None, "it is direct");
        ways.measured(&found(&[(2, 10), (3, 90)]));
        assert_eq!(ways.compute(&members, at(31)), [], "it was only just chosen");
        ways.measured(&found(&[(2, 10)]));
        assert_eq!(ways.compute(&members, at(32)), [NodeId(3)], "there is no other any more");
        assert_eq!(relays(&ways, 3), Some(vec![2]));
    }

    #[test]
    fn what_was_chosen_and_what_it_costs_can_be_asked() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY);
        let start = Instant::now();
        ways.measured(&found(&[(2, 10), (3, 22)]));
        ways.compute(&[member(2, true, &[(3, 10)])], start);
        ways.measured(&found(&[(2, 10), (3, 20)]));
        ways.compute(&[member(2, true, &[(3, 10)])], start + Duration::from_secs(9));
        let ms = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        let direct = Candidate {
            relays: Vec::new(),
            cost: ms(20.0),
            rtt: ms(20.0),
            of_loss: Duration::ZERO,
            of_relays: Duration::ZERO,
            chosen: false,
        };
        let over = Candidate {
            relays: vec![NodeId(2)],
            cost: ms(21.0),
            of_relays: ms(1.0),
            chosen: true,
            ..direct.clone()
        };
        assert_eq!(ways.candidates(NodeId(3)), [direct, over], "the one that is kept is hardly dearer");
        assert_eq!(ways.links().len(), 3);
        assert_eq!(ways.candidates(NodeId(4)), []);
    }

    #[test]
    fn nobody_is_led_over_the_dead() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY);
        ways.measured(&found(&[(2, 10)]));
        let mut members = [member(2, true, &[(1, 10), (3, 10)]), member(3, true, &[(2, 10)])];
        ways.compute(&members, Instant::now());
        assert_eq!(relays(&ways, 3), Some(vec![2]));
        members[0].alive = false;
        assert_eq!(ways.compute(&members, Instant::now()), [NodeId(3)]);
        assert_eq!(relays(&ways, 3), None);
        let ways = Ways::new(NodeId(1), WAY_LEEWAY);
        assert_eq!(ways.compute(&members, Instant::now()), [], "no links, no ways");
    }
}
