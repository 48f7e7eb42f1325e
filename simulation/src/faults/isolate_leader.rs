//! The leader is cut off from all others, and must not serve what it can't know.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// The leader alone.
#[derive(Default)]
pub struct IsolateLeader {
    seat: Option<Seat>,
}

impl Fault for IsolateLeader {
    fn begin(&mut self, world: &mut World, _rng: &mut SmallRng) -> Option<String> {
        let seat = world.leader()?;
        for other in world.others(seat) {
            world.block(seat, other);
            world.block(other, seat);
        }
        self.seat = Some(seat);
        Some(world.machine(seat).name.clone())
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        let Some(seat) = self.seat else { return };
        for other in world.others(seat) {
            world.unblock(seat, other);
            world.unblock(other, seat);
        }
    }
}
