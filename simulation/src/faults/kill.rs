//! A node's process dies without warning. Its host lives on, so what it wrote to files is kept.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// SIGKILL, and a start later.
#[derive(Default)]
pub struct Kill {
    seat: Option<Seat>,
}

impl Fault for Kill {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any_up(rng)?;
        world.kill(seat);
        self.seat = Some(seat);
        Some(world.machine(seat).name.clone())
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.start(seat);
        }
    }
}
