//! The nodes that a node keeps a link to, whether it has anything to say to them or not.
//!
//! A small mesh is linked from each to each. In a larger one each node keeps links to a few nodes of its own region
//! and to fewer of each other one; what it calls beyond these, it dials when it does. Which they are, each decides
//! alone: by a score of pairs (rendezvous hashing, Thaler and Ravishankar 1998), so that nodes that come and go
//! change the choice of few others. What is linked is what either end has chosen: the graph of the k nearest
//! neighbours by chance, which is connected almost surely from k = 3 on (Cooper and Frieze 1995). Gossip and ways
//! over relays need no more.

use crate::Member;
use micro_sdk::wire::NodeId;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;

/// The nodes of a mesh, this one included, up to which each is linked to each: 120 links in all. More than this and
/// pings, of which each link costs two a second, are what a node mostly does.
pub(crate) const FULL_MAX: usize = 16;
/// Nodes of the own region that are chosen. About twelve links come of it, over which 200 nodes are three apart; a
/// third of all may fail at once and the others still hold together.
const NEAR: usize = 8;
/// Nodes of each other region that are chosen: of two, one may fail. All nodes of a region choose for themselves, so
/// that a pair of regions of 50 has some 100 links.
const FAR_EACH: usize = 2;
/// Nodes that do not seem sound and are tried in turn, beside those that are chosen. Some that have lost all their
/// other neighbours at once would else never hear of the rest again, nor the rest of them: to each other they are
/// dead.
const SCOUTS: usize = 2;
/// The same of a node that knows of fewer sound ones than it would choose: it is likelier that it is they who are cut
/// off. Of 1000 nodes, 20 of which live, it finds one within half a minute.
const SCOUTS_ALONE: usize = 16;
/// How long each of them is tried. A dial that gets no answer takes less.
const SCOUT_TURN: Duration = Duration::from_secs(5);
/// Nodes of other regions that are chosen in all. Where there are more regions, each node chooses only one of some.
const FAR_MAX: usize = 16;

/// A region of a cloud: of both names, a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Region(u64);

impl Region {
    /// The region of these names (FNV-1a over both).
    pub(crate) fn of(cloud: &str, region: &str) -> Region {
        let bytes = cloud.bytes().chain([0]).chain(region.bytes());
        let mixed = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        Region(bytes.fold(0xcbf2_9ce4_8422_2325, mixed))
    }
}

/// A node that a link could be kept to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prospect {
    pub(crate) node: NodeId,
    /// Where it says it stands; that of no names if it was not heard of yet.
    pub(crate) region: Region,
    /// Whether it says that nodes of other clouds reach it.
    pub(crate) gateway: bool,
    /// Whether it seems to live, and can be dialled, or is linked.
    pub(crate) sound: bool,
}

impl Prospect {
    /// A node, by what it tells, if it was heard of, and by whether it can be dialled.
    pub(crate) fn of(node: NodeId, told: Option<&Member>, dialable: bool) -> Prospect {
        let value = |key| told.and_then(|member| member.values.get(key)).map_or("", String::as_str);
        Prospect {
            node,
            region: Region::of(value("cloud"), value("region")),
            gateway: told.is_some_and(Member::is_gateway),
            sound: told.is_none_or(|member| member.alive) && dialable,
        }
    }
}

/// The neighbours of a node, chosen anew whenever that may give others.
#[derive(Debug)]
pub(crate) struct Neighbourhood {
    node: NodeId,
    region: Region,
    began: Instant,
    /// What they were chosen of, and in which turn.
    known: Option<(Vec<Prospect>, u64)>,
}

impl Neighbourhood {
    /// Those of `node`, which stands in `region`.
    pub(crate) fn new(node: NodeId, region: Region) -> Self {
        Neighbourhood { node, region, began: Instant::now(), known: None }
    }

    /// The nodes to keep links to, of these; none if they are the same as before.
    pub(crate) fn anew(&mut self, prospects: Vec<Prospect>, now: Instant) -> Option<BTreeSet<NodeId>> {
        let turns = now.saturating_duration_since(self.began).as_secs() / SCOUT_TURN.as_secs();
        // Where all are well, nobody has a turn.
        let turn = if prospects.iter().all(|prospect| prospect.sound) { 0 } else { turns };
        let known = (prospects, turn);
        if self.known.as_ref() == Some(&known) {
            return None;
        }
        let chosen = neighbours(self.node, self.region, &known.0, turn);
        self.known = Some(known);
        Some(chosen)
    }
}

/// The nodes that `own`, which stands in `region`, keeps links to, of all others that it knows of.
///
/// Some of those that do not seem sound are chosen too, beside as many that do: of two halves of a mesh that were cut
/// off from each other, each takes the other for dead, and one has to dial. `turn` counts the times that others of them
/// were tried.
fn neighbours(own: NodeId, region: Region, others: &[Prospect], turn: u64) -> BTreeSet<NodeId> {
    if others.len() < FULL_MAX {
        return others.iter().map(|prospect| prospect.node).collect();
    }
    let mut regions = BTreeMap::<Region, Vec<&Prospect>>::new();
    for prospect in others {
        regions.entry(prospect.region).or_default().push(prospect);
    }
    let mut chosen = BTreeSet::new();
    if let Some(near) = regions.remove(&region) {
        choose(near, NEAR, |near| Reverse(score(own, near.node)), &mut chosen);
    }
    // Of more regions than a node can have links to, each node has others.
    let mut far: Vec<_> = regions.into_iter().collect();
    far.sort_by_cached_key(|(region, _)| Reverse(score(own, NodeId(region.0))));
    // A region's gateways may be all that is reached there.
    let each = (FAR_MAX / far.len().max(1)).clamp(1, FAR_EACH);
    for (_, prospects) in far.into_iter().take(FAR_MAX / each) {
        choose(prospects, each, |far| (!far.gateway, Reverse(score(own, far.node))), &mut chosen);
    }
    scout(own, others, turn, &mut chosen);
    chosen
}

/// Chooses those that do not seem sound whose turn it is.
fn scout(own: NodeId, others: &[Prospect], turn: u64, chosen: &mut BTreeSet<NodeId>) {
    let lost = others.iter().filter(|prospect| !prospect.sound && !chosen.contains(&prospect.node));
    let mut lost: Vec<NodeId> = lost.map(|prospect| prospect.node).collect();
    lost.sort_by_cached_key(|node| Reverse(score(own, *node)));
    let sound = others.iter().filter(|prospect| prospect.sound).count();
    let scouts = if sound < NEAR { SCOUTS_ALONE } else { SCOUTS };
    let turns = lost.len().div_ceil(scouts).max(1) as u64;
    chosen.extend(lost.chunks(scouts).nth((turn % turns) as usize).unwrap_or_default());
}

/// Chooses `count` of the `prospects`, those of the lowest rank, and as many of those that are sound.
fn choose<R: Ord>(
    mut prospects: Vec<&Prospect>,
    count: usize,
    rank: impl Fn(&Prospect) -> R,
    chosen: &mut BTreeSet<NodeId>,
) {
    prospects.sort_by_cached_key(|prospect| rank(prospect));
    let sound = prospects.iter().filter(|prospect| prospect.sound).take(count);
    chosen.extend(prospects.iter().take(count).chain(sound).map(|prospect| prospect.node));
}

/// The score of a pair, the same from both ends.
fn score(one: NodeId, other: NodeId) -> u64 {
    mixed(mixed(one.0.min(other.0)) ^ one.0.max(other.0))
}

/// The finalizer of splitmix64 (Steele, Lea and Flood 2014). It is the same on all hosts and in all versions.
fn mixed(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prospect(node: u64, region: u64) -> Prospect {
        Prospect {
            node: NodeId(node),
            region: Region::of("lab", &format!("r{region}")),
            gateway: false,
            sound: true,
        }
    }

    /// So many nodes, spread over so many regions.
    fn mesh(nodes: u64, regions: u64) -> Vec<Prospect> {
        (1..=nodes).map(|node| prospect(node, node % regions)).collect()
    }

    /// Whom each of `nodes` is linked to, by its own choice or the other's.
    fn linked(nodes: &[Prospect]) -> BTreeMap<NodeId, BTreeSet<NodeId>> {
        let mut links = BTreeMap::<NodeId, BTreeSet<NodeId>>::new();
        for one in nodes {
            let others: Vec<Prospect> =
                nodes.iter().filter(|other| other.node != one.node).copied().collect();
            for other in neighbours(one.node, one.region, &others, 0) {
                links.entry(one.node).or_default().insert(other);
                links.entry(other).or_default().insert(one.node);
            }
        }
        links
    }

    /// The most links that one has to follow from `from` to any other of those that are left; none if one can't be had.
    fn farthest(links: &BTreeMap<NodeId, BTreeSet<NodeId>>, left: &BTreeSet<NodeId>) -> Option<usize> {
        let start = *left.first()?;
        let (mut reached, mut edge) = (BTreeSet::from([start]), vec![start]);
        for steps in 0.. {
            if reached.len() == left.len() {
                return Some(steps);
            }
            let next = edge.iter().flat_map(|node| &links[node]).filter(|node| left.contains(node));
            let next: BTreeSet<NodeId> = next.copied().collect();
            edge = next.difference(&reached).copied().collect();
            if edge.is_empty() {
                return None;
            }
            reached.extend(&edge);
        }
        None
    }

    #[test]
    fn a_small_mesh_is_linked_from_each_to_each() {
        let nodes = mesh(FULL_MAX as u64, 3);
        assert!(linked(&nodes).values().all(|links| links.len() == FULL_MAX - 1));
    }

    #[test]
    fn a_large_mesh_holds_together_on_few_links_also_without_a_third_of_its_nodes() {
        for (nodes, regions) in [(17, 1), (50, 1), (200, 1), (200, 4), (500, 3), (500, 25)] {
            let mesh = mesh(nodes, regions);
            let links = linked(&mesh);
            let all: BTreeSet<NodeId> = mesh.iter().map(|prospect| prospect.node).collect();
            let most = links.values().map(BTreeSet::len).max().expect("there are nodes");
            assert!(most <= 3 * (NEAR + FAR_MAX), "{most} links of one of {nodes} nodes");
            let steps = farthest(&links, &all);
            assert!(steps.is_some_and(|steps| steps <= 5), "{nodes} nodes, {regions} regions: {steps:?}");
            for third in 0..3 {
                let left = all.iter().copied().filter(|node| mixed(node.0) % 3 != third).collect();
                assert!(farthest(&links, &left).is_some(), "{nodes} nodes without a third of them");
            }
        }
    }

    #[test]
    fn one_that_comes_or_goes_changes_what_few_others_choose() {
        let of = |nodes: &[Prospect], node: u64| {
            let others: Vec<Prospect> =
                nodes.iter().filter(|other| other.node != NodeId(node)).copied().collect();
            neighbours(NodeId(node), prospect(node, 0).region, &others, 0)
        };
        let (before, after) = (mesh(200, 1), mesh(201, 1));
        let changed = (1..=200).filter(|node| of(&before, *node) != of(&after, *node)).count();
        assert!(changed < 25, "{changed} nodes choose others");
        assert!((1..=200).all(|node| of(&after, node).difference(&of(&before, node)).count() <= 1));
    }

    #[test]
    fn of_other_regions_gateways_are_chosen_first() {
        let mut nodes = mesh(100, 2);
        nodes[40].gateway = true;
        let gateway = nodes[40];
        for node in nodes.iter().filter(|node| node.region != gateway.region) {
            let others: Vec<Prospect> =
                nodes.iter().filter(|other| other.node != node.node).copied().collect();
            assert!(neighbours(node.node, node.region, &others, 0).contains(&gateway.node));
        }
    }

    #[test]
    fn beside_those_that_seem_dead_others_are_chosen() {
        let mut nodes = mesh(100, 1);
        nodes.iter_mut().take(50).for_each(|prospect| prospect.sound = false);
        let chosen = neighbours(NodeId(200), prospect(200, 0).region, &nodes, 0);
        let sound = chosen.iter().filter(|node| node.0 > 50).count();
        assert!(sound == NEAR && chosen.len() > NEAR, "{chosen:?}");
    }

    #[test]
    fn those_that_seem_dead_are_tried_in_turn() {
        let mut nodes = mesh(100, 3);
        nodes.iter_mut().for_each(|prospect| prospect.sound = false);
        let at = |turn| neighbours(NodeId(200), prospect(200, 0).region, &nodes, turn);
        let tried: BTreeSet<NodeId> = (0..50).flat_map(at).collect();
        assert_eq!(tried.len(), nodes.len(), "each has its turn");
        assert!((0..50).all(|turn| at(turn).len() <= at(0).len()) && at(0) != at(1));
        nodes.iter_mut().for_each(|prospect| prospect.sound = true);
        let at = |turn| neighbours(NodeId(200), prospect(200, 0).region, &nodes, turn);
        assert_eq!(at(0), at(1), "all are well");
    }
}
