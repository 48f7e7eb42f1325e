//! The hosts fall into two parts that can't talk to each other.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};

/// A full split.
#[derive(Default)]
pub struct Partition {
    pairs: Vec<(Seat, Seat)>,
}

impl Fault for Partition {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seats: Vec<Seat> = world.seats().collect();
        if seats.len() < 2 {
            return None;
        }
        // Each host's side is a bit. Neither all on one side nor all on the other.
        let sides = rng.random_range(1..(1_u64 << seats.len()) - 1);
        let side = |seat: Seat| {
            seats.iter().position(|other| *other == seat).is_some_and(|bit| sides >> bit & 1 == 1)
        };
        for from in world.seats() {
            for to in world.seats().filter(|to| side(*to) != side(from)) {
                world.block(from, to);
                self.pairs.push((from, to));
            }
        }
        let named = |which: bool| {
            let names: Vec<&str> = world
                .seats()
                .filter(|seat| side(*seat) == which)
                .map(|seat| world.machine(seat).name.as_str())
                .collect();
            names.join(" ")
        };
        Some(format!("{} | {}", named(true), named(false)))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        for (from, to) in self.pairs.drain(..) {
            world.unblock(from, to);
        }
    }
}
