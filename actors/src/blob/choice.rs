//! Where copies go: the choice alone, without doing anything.

use micro_sdk::wire::{BlobHash, NodeId};

/// A node that could hold a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub node: NodeId,
    /// What fails together: cloud, region and zone.
    pub zone: String,
    /// About how much room it has: the power of two.
    pub room: u32,
}

/// The candidates in the order in which to ask them: zones that hold nothing yet first, then those with more room, then
/// as the hash has it, so that many blobs are spread over all.
pub(crate) fn in_order(mut candidates: Vec<Candidate>, holders: &[String], hash: BlobHash) -> Vec<NodeId> {
    let mut zones: Vec<String> = holders.to_vec();
    let mut order = Vec::with_capacity(candidates.len());
    while !candidates.is_empty() {
        let crowd = |zone: &str| zones.iter().filter(|other| *other == zone).count();
        let rank = |candidate: &Candidate| {
            (crowd(&candidate.zone), u32::MAX - candidate.room, lot(candidate.node, hash))
        };
        let (at, _) = candidates
            .iter()
            .enumerate()
            .min_by_key(|(_, candidate)| rank(candidate))
            .expect("there is at least one");
        let chosen = candidates.remove(at);
        zones.push(chosen.zone);
        order.push(chosen.node);
    }
    order
}

/// A number that differs with node and hash, the same on every node.
fn lot(node: NodeId, hash: BlobHash) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = hash.0;
    // The multiplier of splitmix64.
    (node.0 ^ u64::from_le_bytes([a, b, c, d, e, f, g, h]))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(node: u64, zone: &str, room: u32) -> Candidate {
        Candidate { node: NodeId(node), zone: zone.to_owned(), room }
    }

    fn order(candidates: &[Candidate], holders: &[&str]) -> Vec<u64> {
        let holders: Vec<String> = holders.iter().map(|zone| (*zone).to_owned()).collect();
        in_order(candidates.to_vec(), &holders, BlobHash([0; 32])).iter().map(|node| node.0).collect()
    }

    #[test]
    fn other_zones_go_before_room_and_room_before_chance() {
        let all =
            [candidate(1, "a", 40), candidate(2, "b", 30), candidate(3, "b", 31), candidate(4, "c", 20)];
        assert_eq!(order(&all, &["a"]), [3, 4, 1, 2]);
        assert_eq!(order(&all, &[]), [1, 3, 4, 2]);
    }

    #[test]
    fn blobs_are_spread_over_like_nodes() {
        let all: Vec<Candidate> = (1..=4).map(|node| candidate(node, "", 30)).collect();
        let first = |byte: u8| in_order(all.clone(), &[], BlobHash([byte; 32]))[0];
        let chosen: std::collections::BTreeSet<NodeId> = (0..64).map(first).collect();
        assert_eq!(chosen.len(), 4);
    }
}
