//! Shortest paths.

use super::{LinkMetric, tolls::Tolls};
use crate::relay::{NODES_MAX, Path};
use micro_sdk::wire::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// A way and what it costs, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Costed {
    pub path: Path,
    pub cost: u64,
}

/// Which links there are: from a node, to another.
pub(crate) type Links = BTreeMap<NodeId, BTreeMap<NodeId, LinkMetric>>;

/// What it costs to follow `path` over `links`; none if one is missing.
pub(super) fn cost(links: &Links, tolls: &Tolls, path: &Path) -> Option<u64> {
    let hop = |hop: &[NodeId]| Some(links.get(&hop[0])?.get(&hop[1])?.cost() + tolls.hop(hop[0], hop[1]));
    let hops: u64 = path.nodes().windows(2).map(hop).sum::<Option<u64>>()?;
    Some(hops + path.relays().iter().map(|relay| tolls.relay(*relay)).sum::<u64>())
}

/// The ways from `from` to `to`, cheapest first: for each node that may come next, the cheapest way over it.
pub(super) fn candidates(links: &Links, tolls: &Tolls, from: NodeId, to: NodeId) -> Vec<Costed> {
    let mut back = Links::new();
    for (one, others) in links.iter().filter(|(one, _)| **one != from) {
        for (other, link) in others.iter().filter(|(other, _)| **other != from) {
            back.entry(*other).or_default().insert(*one, *link);
        }
    }
    let rest = cheapest(&back, tolls, to, NODES_MAX - 1);
    let over = |next: &NodeId| match *next == to {
        true => Path::new(&[from, to]),
        false => {
            let mut nodes = rest.get(next)?.path.nodes().to_vec();
            nodes.push(from);
            nodes.reverse();
            Path::new(&nodes)
        }
    };
    let costed = |path: Path| Some(Costed { path, cost: cost(links, tolls, &path)? });
    let next = links.get(&from).into_iter().flat_map(BTreeMap::keys);
    let mut found: Vec<Costed> = next.filter_map(over).filter_map(costed).collect();
    found.sort_by_key(|costed| (costed.cost, costed.path));
    found
}

/// The cheapest way from `from` to each other node that has at most `nodes_max` nodes (Bellman 1958, Ford 1956: the
/// cheapest ways of one more link, from those of one less). Of two that cost the same, the one with fewer relays, then
/// the one whose last relay has the lower id.
pub(super) fn cheapest(
    links: &Links,
    tolls: &Tolls,
    from: NodeId,
    nodes_max: usize,
) -> BTreeMap<NodeId, Costed> {
    let grid = Grid::new(links, tolls);
    let Some(start) = grid.place(from) else { return BTreeMap::new() };
    let mut rounds = vec![vec![Reached::NOT; grid.nodes.len()]];
    rounds[0][start] = Reached { cost: 0, before: start };
    // Only from where the last round has found something cheaper can this one.
    let mut fresh = vec![start];
    for links_max in 1..nodes_max {
        let last = &rounds[links_max - 1];
        let mut round = last.clone();
        let mut found = BTreeSet::new();
        for here in fresh {
            let so_far = last[here].cost + if here == start { 0 } else { tolls.relay(grid.nodes[here]) };
            for (next, cost) in &grid.ends[grid.starts[here]..grid.starts[here + 1]] {
                let cost = so_far + cost;
                if cost < round[*next].cost {
                    round[*next] = Reached { cost, before: here };
                    found.insert(*next);
                }
            }
        }
        rounds.push(round);
        fresh = found.into_iter().collect();
    }
    let ends = (0..grid.nodes.len()).filter(|place| rounds[nodes_max - 1][*place] != Reached::NOT);
    let costed = |end: usize| {
        let cost = rounds[nodes_max - 1][end].cost;
        Some((grid.nodes[end], Costed { path: path(&grid, &rounds, end)?, cost }))
    };
    ends.filter_map(costed).collect()
}

/// The links, laid out for passes over all of them: nodes by place, and behind each other the links of each.
struct Grid {
    /// By id, so that places are in the order of ids.
    nodes: Vec<NodeId>,
    /// Where the links of each node begin, and where those of the last one end.
    starts: Vec<usize>,
    /// The place where a link leads, and its cost.
    ends: Vec<(usize, u64)>,
}

impl Grid {
    fn new(links: &Links, tolls: &Tolls) -> Grid {
        let mut nodes: Vec<NodeId> = links.keys().copied().collect();
        // Most nodes that others have links to tell of links themselves.
        let silent = links.values().flat_map(BTreeMap::keys).filter(|node| !links.contains_key(node));
        let silent: BTreeSet<NodeId> = silent.copied().collect();
        nodes.extend(silent);
        nodes.sort_unstable();
        let mut grid = Grid { nodes, starts: vec![0], ends: Vec::new() };
        for place in 0..grid.nodes.len() {
            let from = grid.nodes[place];
            for (to, link) in links.get(&from).into_iter().flatten() {
                let end = grid.place(*to).expect("all ends were collected");
                grid.ends.push((end, link.cost() + tolls.hop(from, *to)));
            }
            grid.starts.push(grid.ends.len());
        }
        grid
    }

    fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search(&node).ok()
    }
}

/// At which cost a node is reached with some number of links at most, and from which place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reached {
    cost: u64,
    before: usize,
}

impl Reached {
    const NOT: Reached = Reached { cost: u64::MAX, before: usize::MAX };
}

/// The way that the last round has found to a place; none to the one where all begin.
fn path(grid: &Grid, rounds: &[Vec<Reached>], to: usize) -> Option<Path> {
    let mut nodes = vec![grid.nodes[to]];
    let (mut here, mut links) = (to, rounds.len() - 1);
    loop {
        let reached = rounds[links][here];
        // It was found in the first round that has it.
        while links > 0 && rounds[links - 1][here] == reached {
            links -= 1;
        }
        if links == 0 {
            nodes.reverse();
            return Path::new(&nodes);
        }
        (here, links) = (reached.before, links - 1);
        nodes.push(grid.nodes[here]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Links both ways, with these round trips in milliseconds.
    fn links(edges: &[(u64, u64, u32)]) -> Links {
        let mut links = Links::new();
        for (a, b, ms) in edges {
            let state = LinkMetric { rtt_us: ms * 1000, loss: 0, jitter_us: 0 };
            links.entry(NodeId(*a)).or_default().insert(NodeId(*b), state);
            links.entry(NodeId(*b)).or_default().insert(NodeId(*a), state);
        }
        links
    }

    fn way(links: &Links, to: u64) -> Option<(Vec<u64>, u64)> {
        let found = cheapest(links, &Tolls::default(), NodeId(1), NODES_MAX).remove(&NodeId(to))?;
        assert_eq!(cost(links, &Tolls::default(), &found.path), Some(found.cost));
        Some((found.path.nodes().iter().map(|node| node.0).collect(), found.cost))
    }

    #[test]
    fn the_cheapest_way_is_found_also_where_there_is_a_direct_one() {
        let triangle = links(&[(1, 2, 10), (2, 3, 10), (1, 3, 50)]);
        assert_eq!(way(&triangle, 3), Some((vec![1, 2, 3], 21_000)));
        assert_eq!(way(&triangle, 2), Some((vec![1, 2], 10_000)));
        assert_eq!(
            way(&links(&[(1, 2, 10), (2, 3, 10), (1, 3, 20)]), 3),
            Some((vec![1, 3], 20_000)),
            "a relay costs"
        );
        assert_eq!(way(&triangle, 4), None);
    }

    #[test]
    fn ways_are_not_longer_than_a_packet_can_say() {
        let chain = links(&[(1, 2, 1), (2, 3, 1), (3, 4, 1), (4, 5, 1), (5, 6, 1)]);
        assert_eq!(way(&chain, 5).map(|way| way.0.len()), Some(5));
        assert_eq!(way(&chain, 6), None);
        // The cheap way to 4 is as long as can be; the one to 6 has to be the dear one.
        let shortcut = links(&[(1, 2, 1), (2, 3, 1), (3, 4, 1), (4, 5, 1), (5, 6, 1), (1, 5, 100)]);
        assert_eq!(way(&shortcut, 5).map(|way| way.0), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(way(&shortcut, 6).map(|way| way.0), Some(vec![1, 5, 6]));
    }

    #[test]
    fn for_each_next_node_there_is_a_candidate_and_the_cheapest_is_the_way() {
        let links = links(&[(1, 2, 10), (2, 4, 10), (1, 3, 5), (3, 4, 40), (1, 4, 30), (2, 3, 1), (1, 5, 1)]);
        let found = candidates(&links, &Tolls::default(), NodeId(1), NodeId(4));
        let ways: Vec<Vec<u64>> =
            found.iter().map(|found| found.path.nodes().iter().map(|node| node.0).collect()).collect();
        assert_eq!(ways, [vec![1, 3, 2, 4], vec![1, 2, 4], vec![1, 4]]);
        assert_eq!(found.iter().map(|found| found.cost).collect::<Vec<_>>(), [18_000, 21_000, 30_000]);
        assert_eq!(found[0], cheapest(&links, &Tolls::default(), NodeId(1), NODES_MAX)[&NodeId(4)]);
        assert_eq!(candidates(&links, &Tolls::default(), NodeId(1), NodeId(9)), []);
    }

    /// All ways, tried one by one.
    fn tried(links: &Links, nodes: &mut Vec<NodeId>, to: NodeId, best: &mut Option<u64>) {
        if nodes.last() == Some(&to) {
            let cost =
                Path::new(nodes).and_then(|path| cost(links, &Tolls::default(), &path)).expect("a way");
            *best = Some(best.map_or(cost, |best| best.min(cost)));
            return;
        }
        if nodes.len() == NODES_MAX {
            return;
        }
        let next: Vec<NodeId> = links[&nodes[nodes.len() - 1]].keys().copied().collect();
        for next in next {
            if !nodes.contains(&next) {
                nodes.push(next);
                tried(links, nodes, to, best);
                nodes.pop();
            }
        }
    }

    #[test]
    fn no_other_way_is_cheaper() {
        // Numerical Recipes' generator: the same graphs in every run.
        let mut seed = 1u32;
        let mut next = |bound: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) % bound
        };
        for _ in 0..200 {
            let edges: Vec<(u64, u64, u32)> = (0..14)
                .map(|_| (1 + u64::from(next(7)), 1 + u64::from(next(7)), 1 + next(60)))
                .filter(|(a, b, _)| a != b)
                .collect();
            let links = links(&edges);
            if !links.contains_key(&NodeId(1)) {
                continue;
            }
            let found = cheapest(&links, &Tolls::default(), NodeId(1), NODES_MAX);
            for to in 2..=7 {
                let mut best = None;
                tried(&links, &mut vec![NodeId(1)], NodeId(to), &mut best);
                assert_eq!(found.get(&NodeId(to)).map(|found| found.cost), best, "{edges:?} to {to}");
            }
        }
    }
}
