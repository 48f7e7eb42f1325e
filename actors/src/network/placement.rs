//! Who should vote: the choice alone, without doing anything.

use micro_sdk::wire::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// A learner that could vote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub node: NodeId,
    /// What fails together: cloud, region and zone.
    pub zone: String,
    /// Whether it is alive and has caught up.
    pub fit: bool,
}

/// The voters that the group should have next, or none to leave it as it is.
///
/// Voters go from one to three in one change, and from three to five: two (or four) survive no more losses than one
/// (or three) and lose their quorum more easily. Two, which remain when one of three left, are made three as soon as
/// there is a third. Candidates in zones with the fewest voters go first, then the lower id.
pub(crate) fn next_voters(
    voters: &BTreeMap<NodeId, String>,
    candidates: &[Candidate],
    wanted: usize,
) -> Option<BTreeSet<NodeId>> {
    let odd_above = |count: usize| if count.is_multiple_of(2) { count + 1 } else { count + 2 };
    let target = odd_above(voters.len());
    if voters.is_empty() || target > wanted {
        return None;
    }
    let mut next = voters.clone();
    let mut fit: Vec<&Candidate> = candidates
        .iter()
        .filter(|candidate| candidate.fit && !voters.contains_key(&candidate.node))
        .collect();
    while next.len() < target {
        let crowd = |zone: &str| next.values().filter(|other| *other == zone).count();
        let (at, _) =
            fit.iter().enumerate().min_by_key(|(_, candidate)| (crowd(&candidate.zone), candidate.node))?;
        let chosen = fit.remove(at);
        next.insert(chosen.node, chosen.zone.clone());
    }
    Some(next.into_keys().collect())
}

/// The voters that are spread over zones better, with one of them exchanged for a candidate, or none if they are as
/// well spread as they can be. For a group whose voters are all alive: what takes a vote away must be sure of the
/// others.
///
/// The zone with the most voters gives one to a zone with at least two fewer, so that each exchange brings their
/// numbers nearer to each other, and the last one is soon reached. The leader keeps its vote; of the others the higher
/// id goes.
pub(crate) fn spread_voters(
    voters: &BTreeMap<NodeId, String>,
    candidates: &[Candidate],
    leader: NodeId,
) -> Option<BTreeSet<NodeId>> {
    let crowd = |zone: &str| voters.values().filter(|other| *other == zone).count();
    let fit = candidates.iter().filter(|candidate| candidate.fit && !voters.contains_key(&candidate.node));
    let comes = fit.min_by_key(|candidate| (crowd(&candidate.zone), candidate.node))?;
    let may_go = voters.iter().filter(|(node, _)| **node != leader);
    let (goes, zone) = may_go.max_by_key(|(node, zone)| (crowd(zone), **node))?;
    if crowd(zone) < crowd(&comes.zone) + 2 {
        return None;
    }
    let staying = voters.keys().copied().filter(|node| node != goes);
    Some(staying.chain([comes.node]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voters(list: &[(u64, &str)]) -> BTreeMap<NodeId, String> {
        list.iter().map(|(node, zone)| (NodeId(*node), (*zone).to_owned())).collect()
    }

    fn candidates(list: &[(u64, &str, bool)]) -> Vec<Candidate> {
        let candidate = |(node, zone, fit): &(u64, &str, bool)| Candidate {
            node: NodeId(*node),
            zone: (*zone).to_owned(),
            fit: *fit,
        };
        list.iter().map(candidate).collect()
    }

    #[track_caller]
    fn check(have: &[(u64, &str)], could: &[(u64, &str, bool)], wanted: usize, expected: Option<&[u64]>) {
        let expected = expected.map(|nodes| nodes.iter().map(|node| NodeId(*node)).collect());
        assert_eq!(next_voters(&voters(have), &candidates(could), wanted), expected);
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

    #[track_caller]
    fn check_spread(
        have: &[(u64, &str)],
        could: &[(u64, &str, bool)],
        leader: u64,
        expected: Option<&[u64]>,
    ) {
        let expected = expected.map(|nodes| nodes.iter().map(|node| NodeId(*node)).collect());
        assert_eq!(spread_voters(&voters(have), &candidates(could), NodeId(leader)), expected);
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
        check_spread(&[(1, "a")], &[(4, "d", true)], 1, None);
    }

    #[test]
    fn exchanges_come_to_an_end() {
        let mut have = voters(&[(1, "a"), (2, "a"), (3, "a"), (4, "a"), (5, "a")]);
        let could = candidates(&[(6, "b", true), (7, "b", true), (8, "c", true), (9, "c", true)]);
        let zone = |node: &NodeId| could.iter().find(|one| one.node == *node).map_or("a", |one| &one.zone);
        let mut exchanges = 0;
        while let Some(next) = spread_voters(&have, &could, NodeId(1)) {
            have = next.iter().map(|node| (*node, zone(node).to_owned())).collect();
            exchanges += 1;
        }
        assert_eq!(exchanges, 3);
        assert_eq!(have.values().collect::<BTreeSet<_>>().len(), 3, "{have:?}");
    }
}
