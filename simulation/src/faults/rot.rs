//! One bit of a state is not what was written. Whoever meets it must not use that state any more, and the node fetches
//! another from its peers.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};

/// A flipped bit, until the node has found it.
#[derive(Default)]
pub struct Rot {
    seat: Option<Seat>,
}

impl Fault for Rot {
    /// One state at a time: the others have to have what is lost here.
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any_up(rng)?;
        if world.all_disks().any(|disk| disk.is_rotten()) {
            return None;
        }
        let machine = world.machine(seat);
        let (family, key) = machine.disk.rot_state(rng.random())?;
        machine.damaged.set(true);
        self.seat = Some(seat);
        Some(format!("{}, {} {key:?}", machine.name, family.name()))
    }

    /// Has the node read all of its state, as a copy of it does, if it did not meet the damage yet.
    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        let Some(seat) = self.seat else { return };
        world.read_all(seat);
    }
}
