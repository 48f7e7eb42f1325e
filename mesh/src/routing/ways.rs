//! The ways that this node goes.

use super::{
    LinkMetric, LinkMetrics, Prices,
    chosen::Chosen,
    graph::{Costed, Links, candidates, cheapest, cost},
    tolls::Tolls,
};
use crate::{
    Candidate, LinkReport, Member,
    link::lock,
    relay::{NODES_MAX, Path},
};
use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// How long after the ways were computed they are again, unless a link was lost: in a mesh of hundreds news of some
/// link come many times a second, and one change is found with the next.
const COALESCED: Duration = Duration::from_millis(200);

/// A direct link of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OwnLink {
    pub(crate) metric: LinkMetric,
    /// It is to stay, as one of those that hold the mesh together.
    pub(crate) kept: bool,
    /// Others may count on it for a while.
    pub(crate) steady: bool,
}

/// Whether the ways are what they should be by what is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Staleness {
    #[default]
    None,
    /// Something has changed.
    Changed,
    /// A link is gone over which ways may lead.
    Lost,
}

#[derive(Debug, Default)]
struct State {
    links: Links,
    tolls: Tolls,
    told: LinkMetrics,
    chosen: BTreeMap<NodeId, Chosen>,
    /// What each node told when it was read last: what is the same has not changed.
    heard: BTreeMap<NodeId, Arc<BTreeMap<String, String>>>,
    /// This node's links as the ways were computed with.
    judged: BTreeMap<NodeId, LinkMetric>,
    stale: Staleness,
    computed: Option<Instant>,
    /// When a way may be left that is kept only since it is young.
    ripe: Option<Instant>,
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
    pub(crate) fn new(node: NodeId, leeway: f64, prices: Prices) -> Self {
        let state = State { tolls: Tolls::new(prices), ..State::default() };
        Ways { node, leeway, state: Mutex::new(state) }
    }

    /// Takes note of this node's links as they are `found` now, and gives what to tell others of that, by key.
    pub(crate) fn measured(&self, found: &BTreeMap<NodeId, OwnLink>) -> Vec<(String, Option<String>)> {
        let state = &mut *lock(&self.state);
        let changes = state.told.update(found);
        // What is measured here is known here at once, and also what others need not hear of.
        let metrics: BTreeMap<NodeId, LinkMetric> =
            found.iter().map(|(node, link)| (*node, link.metric)).collect();
        let stale = staleness(&state.judged, &metrics, |before, now| now.is_news(*before));
        state.stale = state.stale.max(stale);
        state.links.insert(self.node, metrics);
        changes
    }

    /// Takes note of what all `members` tell of their links.
    pub(crate) fn hear(&self, members: &[Member]) {
        let State { links, tolls, heard, stale, .. } = &mut *lock(&self.state);
        // Who is dead sends nothing on. Who is alive may still tell of the dead: nobody is led there.
        let others = members.iter().filter(|member| member.alive && member.node != self.node);
        let mut before = std::mem::take(heard);
        for member in others {
            heard.insert(member.node, member.values.clone());
            let known = before.remove(&member.node);
            if known.is_some_and(|known| Arc::ptr_eq(&known, &member.values)) {
                continue;
            }
            let told = LinkMetrics::heard(&member.values).0;
            let known = links.entry(member.node).or_default();
            *stale = (*stale).max(staleness(known, &told, |before, now| before != now));
            *known = told;
        }
        for node in before.into_keys() {
            links.remove(&node);
            *stale = Staleness::Lost;
        }
        if tolls.update(members) {
            *stale = (*stale).max(Staleness::Changed);
        }
    }

    /// When the ways are to be computed, by what is known at `now`; none if they are what they should be.
    pub(crate) fn due(&self, now: Instant) -> Option<Instant> {
        let state = lock(&self.state);
        match (state.stale, state.computed) {
            (Staleness::None, _) => state.ripe,
            (Staleness::Changed, Some(computed)) => Some(computed + COALESCED),
            (Staleness::Changed, None) | (Staleness::Lost, _) => Some(now),
        }
    }

    /// Computes the ways anew, by what was heard and measured. Returns the nodes whose way has changed.
    pub(crate) fn compute(&self, now: Instant) -> Vec<NodeId> {
        let State { links, tolls, chosen, judged, stale, computed, ripe, .. } = &mut *lock(&self.state);
        *judged = links.get(&self.node).cloned().unwrap_or_default();
        (*stale, *computed, *ripe) = (Staleness::None, Some(now), None);
        let found = cheapest(links, tolls, self.node, NODES_MAX);
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
            let cost = |path: &Path| cost(links, tolls, path);
            let mut next = Chosen::next(before, best, cost, self.leeway, now);
            next.makeshift &= !judged.contains_key(&node);
            if before.is_none_or(|before| before.costed.path != next.costed.path) {
                changed.push(node);
            }
            let ripens = next.ripens();
            if next.costed.path != best.path && ripens > now {
                *ripe = Some(ripe.map_or(ripens, |ripe| ripe.min(ripens)));
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

    /// The round trip of the way to `node` that is gone, or would be.
    pub(crate) fn round_trip(&self, node: NodeId) -> Option<Duration> {
        let state = lock(&self.state);
        let path = state.chosen.get(&node)?.costed.path;
        path.nodes().windows(2).map(|hop| Some(state.links.get(&hop[0])?.get(&hop[1])?.rtt())).sum()
    }

    /// The links that are known of: those of this node as it finds them, those of others as they tell.
    pub(crate) fn links(&self) -> Vec<LinkReport> {
        let state = lock(&self.state);
        let links =
            state.links.iter().flat_map(|(from, links)| links.iter().map(|(to, link)| (*from, *to, *link)));
        links
            .map(|(from, to, link)| LinkReport {
                from,
                to,
                rtt: link.rtt(),
                jitter: link.jitter(),
                loss: link.loss(),
            })
            .collect()
    }

    /// The ways that this node could go to `to`, the cheapest first.
    pub(crate) fn candidates(&self, to: NodeId) -> Vec<Candidate> {
        let state = lock(&self.state);
        let chosen = state.chosen.get(&to).map(|chosen| chosen.costed.path);
        let us = Duration::from_micros;
        let candidate = |Costed { path, cost }: Costed| {
            let hops = path.nodes().windows(2).filter_map(|hop| state.links.get(&hop[0])?.get(&hop[1]));
            let hops: Vec<LinkMetric> = hops.copied().collect();
            let rtt: Duration = hops.iter().map(|link| link.rtt()).sum();
            let of_jitter = us(hops.iter().map(|link| link.jitter_cost()).sum());
            let relays = us(path.relays().iter().map(|relay| state.tolls.relay(*relay)).sum());
            let of_price = us(path.nodes().windows(2).map(|hop| state.tolls.hop(hop[0], hop[1])).sum());
            let cost = us(cost);
            Candidate {
                relays: path.relays().to_vec(),
                cost,
                rtt,
                of_loss: cost.saturating_sub(rtt + relays + of_jitter + of_price),
                of_jitter,
                of_price,
                of_relays: relays,
                chosen: chosen == Some(path),
            }
        };
        candidates(&state.links, &state.tolls, self.node, to).into_iter().map(candidate).collect()
    }
}

/// How much of the ways is in doubt where links were as `before` and are as `now`.
fn staleness(
    before: &BTreeMap<NodeId, LinkMetric>,
    now: &BTreeMap<NodeId, LinkMetric>,
    differs: impl Fn(&LinkMetric, &LinkMetric) -> bool,
) -> Staleness {
    if before.keys().any(|node| !now.contains_key(node)) {
        return Staleness::Lost;
    }
    let changed =
        |(node, now): (&NodeId, &LinkMetric)| before.get(node).is_none_or(|before| differs(before, now));
    if now.iter().any(changed) { Staleness::Changed } else { Staleness::None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WAY_LEEWAY, routing::chosen::HELD_FOR};

    fn member(node: u64, alive: bool, links: &[(u64, u32)]) -> Member {
        let mut told = LinkMetrics::default();
        let changes = told.update(&found(links));
        let values: BTreeMap<String, String> =
            changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let (address, values) = (([127, 0, 0, 1], 1).into(), Arc::new(values));
        Member { node: NodeId(node), generation: 1, alive, address, values }
    }

    fn found(links: &[(u64, u32)]) -> BTreeMap<NodeId, OwnLink> {
        let link = |ms: u32| LinkMetric { rtt_us: ms * 1000, loss: 0, jitter_us: 0 };
        let own = |ms| OwnLink { metric: link(ms), kept: true, steady: true };
        links.iter().map(|(node, ms)| (NodeId(*node), own(*ms))).collect()
    }

    /// The ways at `now`, by what all `members` tell.
    fn compute(ways: &Ways, members: &[Member], now: Instant) -> Vec<NodeId> {
        ways.hear(members);
        ways.compute(now)
    }

    fn relays(ways: &Ways, node: u64) -> Option<Vec<u64>> {
        Some(ways.relayed(NodeId(node))?.relays().iter().map(|node| node.0).collect())
    }

    #[test]
    fn a_way_is_kept_until_another_is_clearly_better_or_it_can_not_be_gone() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let members = [member(2, true, &[(1, 10), (3, 10)]), member(3, true, &[(1, 30), (2, 10)])];
        ways.measured(&found(&[(2, 10), (3, 30)]));
        assert_eq!(compute(&ways, &members, start), [NodeId(2), NodeId(3)]);
        assert_eq!(relays(&ways, 3), Some(vec![2]));
        assert_eq!(compute(&ways, &members, at(10)), []);
        ways.measured(&found(&[(2, 10), (3, 19)]));
        assert_eq!(compute(&ways, &members, at(20)), [], "hardly better");
        ways.measured(&found(&[(2, 10), (3, 15)]));
        assert_eq!(compute(&ways, &members, at(30)), [NodeId(3)]);
        assert_eq!(relays(&ways, 3), None, "it is direct");
        ways.measured(&found(&[(2, 10), (3, 90)]));
        assert_eq!(compute(&ways, &members, at(31)), [NodeId(3)], "it is not what was chosen");
        assert_eq!(relays(&ways, 3), Some(vec![2]));
        ways.measured(&found(&[(3, 90)]));
        assert_eq!(compute(&ways, &members, at(32)), [NodeId(2), NodeId(3)], "it can not be gone any more");
        assert_eq!(relays(&ways, 3), None);
    }

    #[test]
    fn a_way_over_relays_that_was_the_only_one_gives_way_to_a_direct_one_that_is_as_good() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        let start = Instant::now();
        let members = [member(2, true, &[(3, 10)])];
        ways.measured(&found(&[(2, 10)]));
        compute(&ways, &members, start);
        assert_eq!(relays(&ways, 3), Some(vec![2]));
        ways.measured(&found(&[(2, 10), (3, 30)]));
        assert_eq!(ways.compute(start + Duration::from_millis(10)), [], "it is longer");
        ways.measured(&found(&[(2, 10), (3, 20)]));
        assert_eq!(ways.compute(start + Duration::from_secs(9)), [], "it was known by then that it may be");
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        ways.measured(&found(&[(2, 10)]));
        compute(&ways, &members, start);
        ways.measured(&found(&[(2, 10), (3, 20)]));
        assert_eq!(ways.compute(start + Duration::from_millis(10)), [NodeId(3)]);
        assert_eq!(relays(&ways, 3), None);
    }

    #[test]
    fn what_was_chosen_and_what_it_costs_can_be_asked() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        let start = Instant::now();
        ways.measured(&found(&[(2, 10), (3, 22)]));
        compute(&ways, &[member(2, true, &[(3, 10)])], start);
        ways.measured(&found(&[(2, 10), (3, 20)]));
        compute(&ways, &[member(2, true, &[(3, 10)])], start + Duration::from_secs(9));
        let ms = |ms: f64| Duration::from_secs_f64(ms / 1000.0);
        let direct = Candidate {
            relays: Vec::new(),
            cost: ms(20.0),
            rtt: ms(20.0),
            of_loss: Duration::ZERO,
            of_jitter: Duration::ZERO,
            of_price: Duration::ZERO,
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
    fn ways_are_computed_once_for_many_changes_and_at_once_for_a_loss() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        let start = Instant::now();
        let ms = |ms| start + Duration::from_millis(ms);
        assert_eq!(ways.due(start), None, "nothing is known");
        ways.measured(&found(&[(2, 10), (3, 30)]));
        assert_eq!(ways.due(start), Some(start), "the first time at once");
        let members = [member(2, true, &[(1, 10), (3, 10)]), member(3, true, &[(2, 10)])];
        compute(&ways, &members, start);
        assert_eq!(ways.due(ms(50)), None);
        ways.measured(&found(&[(2, 10), (3, 31)]));
        ways.hear(&members);
        assert_eq!(ways.due(ms(50)), None, "no news");
        ways.measured(&found(&[(2, 10), (3, 60)]));
        assert_eq!(ways.due(ms(50)), Some(start + COALESCED));
        ways.hear(&members[1..]);
        assert_eq!(ways.due(ms(60)), Some(ms(60)), "a node that tells of no link any more sends nothing on");
        ways.compute(ms(60));
        ways.measured(&found(&[(3, 60)]));
        assert_eq!(ways.due(ms(70)), Some(ms(70)), "a link of this node is lost");
    }

    #[test]
    fn a_way_that_is_kept_since_it_is_young_is_looked_at_when_it_is_not_any_more() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        let start = Instant::now();
        let members = [member(2, true, &[(1, 10), (3, 10)]), member(3, true, &[(2, 10)])];
        ways.measured(&found(&[(2, 10), (3, 19)]));
        compute(&ways, &members, start);
        ways.measured(&found(&[(2, 10), (3, 27)]));
        assert_eq!(ways.compute(start + Duration::from_secs(1)), []);
        assert_eq!(ways.due(start + Duration::from_secs(1)), Some(start + HELD_FOR));
        assert_eq!(ways.compute(start + HELD_FOR), [NodeId(3)]);
        assert_eq!((relays(&ways, 3), ways.due(start + HELD_FOR)), (Some(vec![2]), None));
        assert_eq!(ways.round_trip(NodeId(3)), Some(Duration::from_millis(20)));
    }

    /// A member that tells this, too.
    fn telling(mut member: Member, values: &[(&str, &str)]) -> Member {
        let told = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Arc::make_mut(&mut member.values).extend(told);
        member
    }

    #[test]
    fn money_counts_where_it_has_a_price() {
        let prices = ["a:b=0.5".parse().expect("a price"), "a:c=0.01".parse().expect("a price")];
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::new(&prices));
        ways.measured(&found(&[(2, 10), (3, 30)]));
        let members = [
            telling(member(1, true, &[]), &[("cloud", "a")]),
            telling(member(2, true, &[(3, 10)]), &[("cloud", "b")]),
            telling(member(3, true, &[(2, 10)]), &[("cloud", "c")]),
        ];
        compute(&ways, &members, Instant::now());
        assert_eq!((relays(&ways, 3), relays(&ways, 2)), (None, Some(vec![3])), "b is dear to go to");
        let ms = Duration::from_millis;
        let parts =
            |to| ways.candidates(NodeId(to)).iter().map(|way| (way.cost, way.of_price)).collect::<Vec<_>>();
        assert_eq!(parts(2), [(ms(42), ms(1)), (ms(60), ms(50))]);
        assert_eq!(parts(3), [(ms(31), ms(1)), (ms(71), ms(50))]);
    }

    #[test]
    fn gateways_are_gone_over_rather_than_others_of_whatever_cloud() {
        for cloud in ["a", "home"] {
            let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
            ways.measured(&found(&[(2, 10), (3, 12)]));
            let mut members = [
                telling(member(2, true, &[(4, 10)]), &[("cloud", cloud)]),
                telling(member(3, true, &[(4, 12)]), &[("cloud", "a"), ("gateway", "1")]),
            ];
            compute(&ways, &members, Instant::now());
            assert_eq!(relays(&ways, 4), Some(vec![3]), "{cloud}");
            let costs: Vec<_> =
                ways.candidates(NodeId(4)).iter().map(|way| way.of_relays.as_millis()).collect();
            assert_eq!(costs, [1, 11]);
            members[1].alive = false;
            compute(&ways, &members, Instant::now());
            assert_eq!(relays(&ways, 4), Some(vec![2]), "there is no other");
        }
    }

    #[test]
    fn nobody_is_led_over_the_dead() {
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        ways.measured(&found(&[(2, 10)]));
        let mut members = [member(2, true, &[(1, 10), (3, 10)]), member(3, true, &[(2, 10)])];
        compute(&ways, &members, Instant::now());
        assert_eq!(relays(&ways, 3), Some(vec![2]));
        members[0].alive = false;
        assert_eq!(compute(&ways, &members, Instant::now()), [NodeId(3)]);
        assert_eq!(relays(&ways, 3), None);
        let ways = Ways::new(NodeId(1), WAY_LEEWAY, Prices::default());
        assert_eq!(compute(&ways, &members, Instant::now()), [], "no links, no ways");
    }
}
