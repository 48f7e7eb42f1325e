//! The nodes that a packet passes.

use micro_sdk::wire::NodeId;
use std::fmt;

/// Nodes on a path, with both ends: three relays. Farther ways are slower than any that one would choose, and the path
/// travels in each packet.
pub(crate) const NODES_MAX: usize = 5;

/// From one node to another, over none or some: no node is there twice, so what follows it can't loop.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    nodes: [NodeId; NODES_MAX],
    len: u8,
}

impl Path {
    /// A path of these nodes, the two ends included; none if that is no path.
    pub(crate) fn new(nodes: &[NodeId]) -> Option<Path> {
        let long = (2..=NODES_MAX).contains(&nodes.len());
        let twice = nodes.iter().enumerate().any(|(place, node)| nodes[..place].contains(node));
        if !long || twice {
            return None;
        }
        let mut path = Path { nodes: [NodeId(0); NODES_MAX], len: nodes.len() as u8 };
        path.nodes[..nodes.len()].copy_from_slice(nodes);
        Some(path)
    }

    /// All nodes, the two ends included.
    pub(crate) fn nodes(&self) -> &[NodeId] {
        &self.nodes[..usize::from(self.len)]
    }

    /// The nodes between the two ends.
    pub(crate) fn relays(&self) -> &[NodeId] {
        &self.nodes[1..usize::from(self.len) - 1]
    }

    /// Where it begins.
    pub(crate) fn from(&self) -> NodeId {
        self.nodes[0]
    }

    /// Where it ends.
    pub(crate) fn to(&self) -> NodeId {
        self.nodes[usize::from(self.len) - 1]
    }

    /// The way back.
    pub(crate) fn reversed(mut self) -> Path {
        self.nodes[..usize::from(self.len)].reverse();
        self
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.nodes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_two_ends_and_no_node_twice() {
        let path = |nodes: &[u64]| Path::new(&nodes.iter().copied().map(NodeId).collect::<Vec<_>>());
        assert!(path(&[1]).is_none() && path(&[1, 2, 1]).is_none() && path(&[1, 2, 3, 4, 5, 6]).is_none());
        let there = path(&[1, 2, 3]).expect("a path");
        assert_eq!((there.from(), there.to(), there.relays()), (NodeId(1), NodeId(3), &[NodeId(2)][..]));
        assert_eq!(Some(there.reversed()), path(&[3, 2, 1]));
        assert!(path(&[1, 2]).expect("a path").relays().is_empty());
    }
}
