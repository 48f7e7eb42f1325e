//! A node is taken out for good, whether it runs or not, after a new one has been put beside it.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::rngs::SmallRng;

/// One node for another.
#[derive(Default)]
pub struct Replace {
    seat: Option<Seat>,
}

impl Fault for Replace {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        let spare = world.enroll()?;
        self.seat = Some(seat);
        Some(format!("{} by {}", world.machine(seat).name, world.machine(spare).name))
    }

    /// It is not healed but carried through: the operator goes on until the node is out.
    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.machine(seat).leaving.set(true);
        }
    }
}
