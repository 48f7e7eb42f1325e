//! Where a peer is dialled.

use crate::gossip::ALSO_MAX;
use std::net::SocketAddr;

/// Where a peer is dialled.
#[derive(Clone, Debug)]
pub(super) struct Whereabouts {
    /// The address that it tells first, or that somebody told of it.
    pub(super) address: SocketAddr,
    /// Where it may be dialled too.
    also: Vec<SocketAddr>,
    /// Where it was reached last.
    reached: Option<SocketAddr>,
    /// The newest life that the address was heard of from; 0 before any.
    boot: u64,
}

impl Whereabouts {
    pub(super) fn new(address: SocketAddr) -> Self {
        Whereabouts { address, also: Vec::new(), reached: None, boot: 0 }
    }

    /// All addresses, in the order in which they are tried: where it was reached last before the others, if it tells
    /// that of itself. Else behind them: it may be gone from there, or not know what a router makes of its address.
    pub(super) fn all(&self) -> Vec<SocketAddr> {
        let mut addresses = vec![self.address];
        addresses.extend(self.also.iter().filter(|also| **also != self.address));
        addresses.sort_by_key(|address| Some(*address) != self.reached);
        let elsewhere = self.reached.filter(|reached| !addresses.contains(reached));
        addresses.extend(elsewhere);
        addresses
    }

    /// Takes note of where it was reached.
    pub(super) fn reached_at(&mut self, address: SocketAddr) {
        self.reached = Some(address);
    }

    /// Takes note of where it is dialled, as the node says in the life `boot`. `heard` is false for hearsay, which
    /// counts only if it is of a later life than what is known. Returns whether that is somewhere else.
    pub(super) fn moved_to(&mut self, address: SocketAddr, boot: u64, heard: bool) -> bool {
        if boot < self.boot || (boot == self.boot && !heard) {
            return false;
        }
        self.boot = boot;
        std::mem::replace(&mut self.address, address) != address
    }

    /// Takes note of where it may be dialled too, as was known at the last start: until the node says it itself.
    pub(super) fn may_be_at(&mut self, address: SocketAddr) {
        if self.boot == 0 && self.also.len() < ALSO_MAX && !self.also.contains(&address) {
            self.also.push(address);
        }
    }

    /// Takes note of where it may be dialled too, as the node says in the life `boot`.
    pub(super) fn also_at(&mut self, also: Vec<SocketAddr>, boot: u64) {
        if boot >= self.boot {
            self.also = also;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_worked_is_tried_first_while_it_is_one_of_them() {
        let address = |host| SocketAddr::from(([10, 0, 0, host], 1));
        let mut place = Whereabouts::new(address(1));
        place.also_at(vec![address(2), address(1), address(3)], 1);
        assert_eq!(place.all(), [1, 2, 3].map(address));
        place.reached_at(address(3));
        assert_eq!(place.all(), [3, 1, 2].map(address));
        assert!(place.moved_to(address(4), 2, false) && !place.moved_to(address(5), 2, false));
        assert!(place.moved_to(address(5), 2, true) && !place.moved_to(address(6), 1, true));
        place.also_at(vec![address(9)], 1);
        place.also_at(Vec::new(), 2);
        assert_eq!(place.all(), [5, 3].map(address), "it may still be there");
        place.reached_at(address(5));
        assert_eq!(place.all(), [address(5)]);
    }

    #[test]
    fn what_was_known_at_the_last_start_counts_until_the_node_tells() {
        let address = |host| SocketAddr::from(([10, 0, 0, host], 1));
        let mut place = Whereabouts::new(address(1));
        [2, 2].map(address).into_iter().for_each(|known| place.may_be_at(known));
        assert_eq!(place.all(), [1, 2].map(address));
        assert!(!place.moved_to(address(1), 7, false));
        place.also_at(vec![address(3)], 7);
        place.may_be_at(address(4));
        assert_eq!(place.all(), [1, 3].map(address));
    }
}
