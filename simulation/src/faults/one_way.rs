//! A host is heard but does not hear, or the other way round: of one other, or of all.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};

/// A split in one direction.
#[derive(Default)]
pub struct OneWay {
    pairs: Vec<(Seat, Seat)>,
}

impl Fault for OneWay {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        let others: Vec<Seat> = world.others(seat).collect();
        if others.is_empty() {
            return None;
        }
        let (deaf, one) = (rng.random_bool(0.5), rng.random_bool(0.5));
        let peers = if one { vec![others[rng.random_range(0..others.len())]] } else { others };
        for peer in &peers {
            let (from, to) = if deaf { (*peer, seat) } else { (seat, *peer) };
            world.block(from, to);
            self.pairs.push((from, to));
        }
        let how = if deaf { "does not hear" } else { "is not heard by" };
        let whom: Vec<&str> = peers.iter().map(|peer| world.machine(*peer).name.as_str()).collect();
        Some(format!("{} {how} {}", world.machine(seat).name, whom.join(" ")))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        for (from, to) in self.pairs.drain(..) {
            world.unblock(from, to);
        }
    }
}
