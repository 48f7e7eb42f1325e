//! All hosts lose their power at once: nothing is left but what the disks synced.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// A power cut for all.
#[derive(Default)]
pub struct Blackout {
    seats: Vec<Seat>,
}

impl Fault for Blackout {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        self.seats = world.seats().filter(|seat| world.machine(*seat).is_up()).collect();
        for seat in &self.seats {
            world.cut_power(*seat, rng);
        }
        (!self.seats.is_empty()).then(|| format!("{} hosts", self.seats.len()))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        for seat in self.seats.drain(..) {
            world.start(seat);
        }
    }
}
