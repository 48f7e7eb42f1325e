//! A node is asked to end in order, hands over, and is started again.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// SIGTERM, and a start later.
#[derive(Default)]
pub struct Restart {
    seat: Option<Seat>,
}

impl Fault for Restart {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any_up(rng)?;
        world.stop(seat);
        self.seat = Some(seat);
        Some(world.machine(seat).name.clone())
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.start(seat);
        }
    }
}
