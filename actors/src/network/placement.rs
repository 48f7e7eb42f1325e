//! Who should vote: the choice alone, without doing anything.
//!
//! Voters are spread over clouds first, then over the regions of each, then over zones, so that as little as possible
//! is lost with any of them. Best is that a majority is left without any one cloud.

use micro_mesh::Place;
use micro_sdk::wire::NodeId;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// A learner that could vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub node: NodeId,
    pub place: Place,
    /// Whether it is alive and has caught up.
    pub fit: bool,
}

/// Voters, and where they stand.
pub(crate) type Voters = BTreeMap<NodeId, Place>;

/// The voters that the group should have next, or none to leave it as it is. `steady` says whether all voters are
/// alive: what takes a vote away must be sure of the others.
///
/// More voters come first, unless the loss of one cloud would then stop the group: with three or more, they are spread
/// over clouds before, as far as they can be; and those that survive that loss stay as few as they are.
pub(crate) fn best_voters(
    voters: &Voters,
    candidates: &[Candidate],
    wanted: usize,
    leader: NodeId,
    steady: bool,
) -> Option<BTreeSet<NodeId>> {
    let more = more_voters(voters, candidates, wanted);
    let spread = steady.then(|| spread_voters(voters, candidates, leader)).flatten();
    let by_cloud = |voters: &Voters| crowding(voters.values())[0];
    let next = match (more, spread) {
        (Some(more), _) if vital_cloud(more.values()).is_none() => Some(more),
        (_, Some(spread)) if voters.len() >= 3 && by_cloud(&spread) < by_cloud(voters) => Some(spread),
        (Some(more), _) if voters.len() < 3 || vital_cloud(voters.values()).is_some() => Some(more),
        (_, spread) => spread,
    };
    Some(next?.into_keys().collect())
}

/// The cloud without which no majority of the voters would be left, if they stand in several clouds or any names one.
pub(crate) fn vital_cloud<'a>(places: impl Iterator<Item = &'a Place>) -> Option<&'a str> {
    let mut clouds: BTreeMap<&str, usize> = BTreeMap::new();
    for place in places {
        *clouds.entry(place.cloud.as_str()).or_default() += 1;
    }
    let voters: usize = clouds.values().sum();
    let (cloud, lost) = clouds.into_iter().max_by_key(|(_, voters)| *voters)?;
    (voters - lost <= voters / 2).then_some(cloud)
}

/// More voters, if more are wanted.
///
/// They go from one to three in one change, and from three to five: two (or four) survive no more losses than one (or
/// three) and lose their quorum more easily. Two, which remain when one of three left, are made three as soon as there
/// is a third. Candidates in the emptiest places go first, then the lower id.
fn more_voters(voters: &Voters, candidates: &[Candidate], wanted: usize) -> Option<Voters> {
    let odd_above = |count: usize| if count.is_multiple_of(2) { count + 1 } else { count + 2 };
    let target = odd_above(voters.len());
    if voters.is_empty() || target > wanted {
        return None;
    }
    let mut next = voters.clone();
    while next.len() < target {
        let with = |candidate: &&Candidate| crowding(next.values().chain([&candidate.place]));
        let chosen = fit(&next, candidates).min_by_key(|candidate| (with(candidate), candidate.node))?;
        next.insert(chosen.node, chosen.place.clone());
    }
    Some(next)
}

/// The voters that are spread better, with one of them exchanged for a candidate, or none if they are as well spread as
/// they can be. The leader keeps its vote; of the others in a place the higher id goes.
///
/// Each exchange makes the crowding less, so the last one is soon reached.
fn spread_voters(voters: &Voters, candidates: &[Candidate], leader: NodeId) -> Option<Voters> {
    let others = voters.keys().copied().filter(|node| *node != leader);
    let exchange = |goes: NodeId, comes: &Candidate| {
        let mut next = voters.clone();
        next.remove(&goes);
        next.insert(comes.node, comes.place.clone());
        next
    };
    let exchanges = others.flat_map(|goes| fit(voters, candidates).map(move |comes| (goes, comes)));
    let exchanges = exchanges.map(|(goes, comes)| {
        let next = exchange(goes, comes);
        ((crowding(next.values()), Reverse(goes), comes.node), next)
    });
    let ((crowded, ..), next) = exchanges.min_by(|(one, _), (other, _)| one.cmp(other))?;
    (crowded < crowding(voters.values())).then_some(next)
}

/// The candidates that could vote beside `voters`.
fn fit<'a>(voters: &Voters, candidates: &'a [Candidate]) -> impl Iterator<Item = &'a Candidate> {
    candidates.iter().filter(|candidate| candidate.fit && !voters.contains_key(&candidate.node))
}

/// How crowded places are, the less the better: by cloud, then by region, then by zone, each as the sum of the squares
/// of the numbers in one.
fn crowding<'a>(places: impl Iterator<Item = &'a Place>) -> [usize; 3] {
    let mut crowds: [BTreeMap<[&str; 3], usize>; 3] = Default::default();
    for Place { cloud, region, zone } in places {
        for (depth, crowd) in crowds.iter_mut().enumerate() {
            let region = if depth >= 1 { region } else { "" };
            let zone = if depth >= 2 { zone } else { "" };
            *crowd.entry([cloud, region, zone]).or_default() += 1;
        }
    }
    crowds.map(|crowd| crowd.values().map(|count| count * count).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place `cloud/zone`, or the zone of a cloud without a name.
    fn place(text: &str) -> Place {
        let (cloud, zone) = text.split_once('/').unwrap_or(("", text));
        Place { cloud: cloud.to_owned(), region: "r".to_owned(), zone: zone.to_owned() }
    }

    fn voters(list: &[(u64, &str)]) -> Voters {
        list.iter().map(|(node, at)| (NodeId(*node), place(at))).collect()
    }

    fn candidates(list: &[(u64, &str, bool)]) -> Vec<Candidate> {
        let candidate = |(node, at, fit): &(u64, &str, bool)| Candidate {
            node: NodeId(*node),
            place: place(at),
            fit: *fit,
        };
        list.iter().map(candidate).collect()
    }

    #[track_caller]
    fn check(have: &[(u64, &str)], could: &[(u64, &str, bool)], wanted: usize, expected: Option<&[u64]>) {
        let expected = expected.map(|nodes| nodes.iter().map(|node| NodeId(*node)).collect());
        let next = best_voters(&voters(have), &candidates(could), wanted, NodeId(have[0].0), false);
        assert_eq!(next, expected);
    }

    #[test]
    fn voters_go_from_one_to_three_in_one_change() {
        check(&[(1, "a")], &[(2, "b", true)], 3, None);
        check(&[(1, "a")], &[(2, "b", true), (3, "c", false)], 3, None);
        check(&[(1, "a")], &[(2, "b", true), (3, "c", true)], 3, Some(&[1, 2, 3]));
    }

    #[test]
    fn they_grow_to_five_only_when_told() {
        let three = [(1, "a"), (2, "b"), (3, "c")];
        let two_more = [(4, "a", true), (5, "b", true)];
        check(&three, &two_more, 3, None);
        check(&three, &two_more, 5, Some(&[1, 2, 3, 4, 5]));
        check(&three, &two_more[..1], 5, None);
    }

    #[test]
    fn two_are_made_three() {
        check(&[(1, "a"), (2, "b")], &[(3, "a", true)], 3, Some(&[1, 2, 3]));
    }

    #[test]
    fn zones_are_spread() {
        check(&[(1, "a")], &[(2, "a", true), (3, "b", true), (4, "c", true)], 3, Some(&[1, 3, 4]));
        check(&[(1, "a")], &[(2, "a", true), (3, "b", true), (4, "b", true)], 3, Some(&[1, 2, 3]));
    }

    #[test]
    fn clouds_are_spread_before_zones() {
        let could = [(2, "x/b", true), (3, "x/c", true), (4, "y/a", true), (5, "z/a", true)];
        check(&[(1, "x/a")], &could, 3, Some(&[1, 4, 5]));
        check(&[(1, "x/a")], &could[..3], 3, Some(&[1, 2, 4]));
        let three = [(1, "x/a"), (4, "y/a"), (5, "z/a")];
        check(&three, &[(2, "x/b", true), (6, "y/a", true), (3, "x/c", true)], 5, Some(&[1, 2, 4, 5, 6]));
        check(&three, &could[..2], 5, None);
    }

    #[track_caller]
    fn check_spread(
        have: &[(u64, &str)],
        could: &[(u64, &str, bool)],
        leader: u64,
        expected: Option<&[u64]>,
    ) {
        let expected = expected.map(|nodes| nodes.iter().map(|node| NodeId(*node)).collect());
        let next = best_voters(&voters(have), &candidates(could), 3, NodeId(leader), true);
        assert_eq!(next, expected);
    }

    #[test]
    fn a_zone_that_comes_later_gets_a_voter_of_a_crowded_one() {
        let crowded = [(1, "a"), (2, "a"), (3, "a")];
        check_spread(&crowded, &[(4, "b", true)], 3, Some(&[1, 3, 4]));
        check_spread(&crowded, &[(4, "b", false)], 3, None);
        check_spread(&crowded, &[(4, "a", true)], 3, None);
        let less = [(1, "a"), (3, "a"), (4, "b")];
        check_spread(&less, &[(5, "b", true)], 3, None);
        check_spread(&less, &[(5, "b", true), (6, "c", true)], 3, Some(&[3, 4, 6]));
        check_spread(&[(1, "a"), (2, "b"), (3, "c")], &[(4, "d", true)], 1, None);
        let apart = [(1, "x/a"), (2, "x/b"), (3, "x/c")];
        check_spread(&apart, &[(4, "x/a", true), (5, "y/a", true)], 1, Some(&[1, 2, 5]));
        check_spread(&[(1, "a")], &[(4, "d", true)], 1, None);
    }

    /// Whatever comes first, a mesh in three clouds ends with voters of which any cloud can be lost.
    #[test]
    fn exchanges_come_to_an_end() {
        let check = |wanted, others: &[&str], clouds: usize, steps: usize| {
            let mut have = voters(&[(1, "x/a"), (2, "x/a"), (3, "x/b")]);
            let list: Vec<_> = (4..).zip(others.iter().map(|at| place(at))).collect();
            let could: Vec<_> =
                list.iter().map(|(id, place)| (NodeId(*id), place.clone())).chain(have.clone()).collect();
            let mut taken = 0;
            let candidate =
                |(node, place): &(NodeId, Place)| Candidate { node: *node, place: place.clone(), fit: true };
            let candidates: Vec<_> = could.iter().map(candidate).collect();
            while let Some(next) = best_voters(&have, &candidates, wanted, NodeId(1), true) {
                have = could.iter().filter(|(node, _)| next.contains(node)).cloned().collect();
                taken += 1;
                assert!(taken <= steps, "{have:?}");
            }
            let stood: BTreeSet<&str> = have.values().map(|place| place.cloud.as_str()).collect();
            assert_eq!(
                (stood.len(), vital_cloud(have.values()).is_none()),
                (clouds, clouds >= 3),
                "{have:?}"
            );
        };
        check(3, &["y/a", "z/a"], 3, 2);
        check(5, &["y/a", "z/a"], 3, 2);
        check(5, &["y/a", "y/b", "z/a", "z/b"], 3, 3);
        check(5, &["y/a", "y/b"], 2, 3);
    }

    #[test]
    fn a_cloud_is_vital_if_no_majority_is_left_without_it() {
        let check = |list: &[&str], expected: Option<&str>| {
            let places: Vec<Place> = list.iter().map(|at| place(at)).collect();
            assert_eq!(vital_cloud(places.iter()), expected, "{list:?}");
        };
        check(&["x/a", "y/a", "z/a"], None);
        check(&["x/a", "x/b", "y/a", "y/b", "z/a"], None);
        check(&["x/a", "x/b", "y/a"], Some("x"));
        check(&["x/a", "x/b", "x/c", "y/a", "z/a"], Some("x"));
        check(&["x/a", "x/b", "y/a", "y/b"], Some("y"));
        check(&["a", "b", "c"], Some(""));
        check(&[], None);
    }
}
