//! What the voters are when one of them leaves for good: the choice alone, without doing anything.

use micro_sdk::wire::NodeId;
use std::collections::BTreeSet;

/// The voters without `leaving`: learners that are `fit` take its place, and that of nobody else. None if a majority of
/// them would not be live, since then nothing could be decided any more, not even the departure.
pub(crate) fn voters_without(
    leaving: NodeId,
    voters: &BTreeSet<NodeId>,
    fit: &[NodeId],
    live: impl Fn(NodeId) -> bool,
) -> Option<BTreeSet<NodeId>> {
    let mut next: BTreeSet<NodeId> = voters.iter().copied().filter(|voter| *voter != leaving).collect();
    let successors = fit.iter().copied().filter(|learner| *learner != leaving);
    next.extend(successors.take(voters.len() - next.len()));
    let alive = next.iter().filter(|voter| live(**voter)).count();
    (alive > next.len() / 2).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(leaving: u64, voters: &[u64], fit: &[u64], down: &[u64], expected: Option<&[u64]>) {
        let ids = |list: &[u64]| list.iter().copied().map(NodeId).collect::<BTreeSet<_>>();
        let fit: Vec<NodeId> = fit.iter().copied().map(NodeId).collect();
        let next = voters_without(NodeId(leaving), &ids(voters), &fit, |node| !down.contains(&node.0));
        assert_eq!(next, expected.map(ids), "{leaving} of {voters:?}, down: {down:?}");
    }

    #[test]
    fn a_voter_may_leave_as_long_as_the_others_have_a_quorum() {
        check(2, &[1, 2, 3], &[], &[], Some(&[1, 3]));
        check(2, &[1, 2, 3], &[], &[3], None);
        check(2, &[1, 2], &[], &[], Some(&[1]));
        check(5, &[1, 2, 3, 4, 5], &[], &[4], Some(&[1, 2, 3, 4]));
        check(5, &[1, 2, 3, 4, 5], &[], &[3, 4], None);
    }

    #[test]
    fn a_learner_that_has_caught_up_takes_its_place() {
        check(2, &[1, 2, 3], &[4, 5], &[], Some(&[1, 3, 4]));
        check(2, &[1, 2, 3], &[4], &[3], Some(&[1, 3, 4]));
    }

    #[test]
    fn a_learner_that_leaves_changes_no_vote() {
        check(4, &[1, 2, 3], &[4, 5], &[], Some(&[1, 2, 3]));
    }
}
