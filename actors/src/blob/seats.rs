//! How many copies wait for each node.

use micro_sdk::wire::NodeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The copies that may wait for one node at once, at either end. Fewer than are made at once altogether: one that is
/// slow then leaves room for those that have nothing to do with it.
const SEATS: usize = 2;

/// The seats of all nodes. Clones are the same. This node always has one: it is as fast as it is, whatever it copies.
#[derive(Clone)]
pub(super) struct Seats {
    here: NodeId,
    taken: Arc<Mutex<BTreeMap<NodeId, usize>>>,
}

/// A seat at a node, until it is dropped.
pub(super) struct Seat {
    seats: Seats,
    node: NodeId,
}

impl Seats {
    pub fn new(here: NodeId) -> Self {
        Seats { here, taken: Arc::default() }
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<NodeId, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a node has a seat left.
    pub fn is_free(&self, node: NodeId) -> bool {
        node == self.here || self.taken().get(&node).is_none_or(|taken| *taken < SEATS)
    }

    /// Takes a seat at a node, if one is left.
    pub fn take(&self, node: NodeId) -> Option<Seat> {
        let mut all = self.taken();
        let taken = all.entry(node).or_default();
        (node == self.here || *taken < SEATS).then(|| {
            *taken += 1;
            Seat { seats: self.clone(), node }
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.seats.taken();
        if let Some(taken) = all.get_mut(&self.node) {
            *taken -= 1;
            if *taken == 0 {
                all.remove(&self.node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_so_many_seats_and_others_have_theirs() {
        let (here, slow, other) = (NodeId(0), NodeId(1), NodeId(2));
        let seats = Seats::new(here);
        let mut taken: Vec<Seat> = std::iter::from_fn(|| seats.take(slow)).collect();
        assert_eq!((taken.len(), seats.is_free(slow), seats.is_free(other)), (SEATS, false, true));
        taken.pop();
        assert!(seats.is_free(slow) && seats.take(other).is_some());
        taken.extend((0..=SEATS).map(|_| seats.take(here).expect("this node always has one")));
        taken.clear();
        assert!(seats.taken().is_empty());
    }
}
