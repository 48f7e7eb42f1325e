//! The ways of a large mesh are found, and it is printed how long that took: with `--release` it means something.

use super::{LinkMetric, LinkMetrics, OwnLink, Prices, Ways};
use crate::{Member, WAY_LEEWAY};
use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

const NODES: u64 = 200;
const LINKS: u64 = 32;
const ROUNDS: u32 = 5;

/// The links of a node, to those that follow it by all distances, whose round trips differ with `round`.
fn links(node: u64, round: u64) -> BTreeMap<NodeId, OwnLink> {
    let link = |step: u64| {
        let to = (node + step * step) % NODES;
        let rtt_us = 500 + (node * 7919 + to * 104_729 + round * 1_299_709) % 80_000;
        let metric = LinkMetric { rtt_us: rtt_us as u32, loss: 0, jitter_us: 0 };
        (NodeId(to), OwnLink { metric, kept: true, steady: true })
    };
    (1..=LINKS).map(link).filter(|(to, _)| *to != NodeId(node)).collect()
}

/// A node that tells of its links as they are in this round.
fn member(node: u64, round: u64) -> Member {
    let changes = LinkMetrics::default().update(&links(node, round));
    let values: BTreeMap<String, String> =
        changes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let (address, values) = (([127, 0, 0, 1], 1).into(), Arc::new(values));
    Member { node: NodeId(node), generation: 1, alive: true, address, values }
}

#[test]
fn the_ways_of_two_hundred_nodes() {
    let ways = Ways::new(NodeId(0), WAY_LEEWAY, Prices::default());
    let start = tokio::time::Instant::now();
    let mut members: Vec<Member> = (1..NODES).map(|node| member(node, 0)).collect();
    let (mut one, mut all, mut worst) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 1..=ROUNDS {
        ways.measured(&links(0, round.into()));
        // One node tells something else, as it mostly is.
        let place = round as usize % members.len();
        members[place] = member(members[place].node.0, round.into());
        let begin = Instant::now();
        ways.hear(&members);
        ways.compute(start + Duration::from_secs(u64::from(round) * 10));
        one += begin.elapsed();
        // All do at once.
        let members: Vec<Member> = (1..NODES).map(|node| member(node, round.into())).collect();
        let begin = Instant::now();
        ways.hear(&members);
        ways.compute(start + Duration::from_secs(u64::from(round) * 10 + 5));
        all += begin.elapsed();
        worst = worst.max(begin.elapsed());
    }
    let found = ways.links().len();
    assert!((1..NODES).all(|node| !ways.candidates(NodeId(node)).is_empty()), "each is reached");
    println!(
        "{NODES} nodes, {found} links: {:?} after one node's news, {:?} after all nodes' news, {worst:?} at worst",
        one / ROUNDS,
        all / ROUNDS,
    );
}
