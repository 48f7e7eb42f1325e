//! A host loses its power, and with it what its disk did not sync.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// A power cut, and a start later.
#[derive(Default)]
pub struct PowerCut {
    seat: Option<Seat>,
}

impl Fault for PowerCut {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any_up(rng)?;
        world.cut_power(seat, rng);
        self.seat = Some(seat);
        Some(world.machine(seat).name.clone())
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.start(seat);
        }
    }
}
