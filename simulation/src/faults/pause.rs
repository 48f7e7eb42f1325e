//! A host stands still for the others: what travels to and from it is held back and then arrives all at once.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// A pause.
#[derive(Default)]
pub struct Pause {
    seat: Option<Seat>,
}

impl Fault for Pause {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        world.hold(seat);
        self.seat = Some(seat);
        Some(world.machine(seat).name.clone())
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.release(seat);
        }
    }
}
