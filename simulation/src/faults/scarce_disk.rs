//! Disks have little room left. Their nodes take no writes until there is more; none ends, and all of them go on to
//! answer what is read.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};

/// How often it is all disks, and not one: then nothing can be written at all.
const ALL: f64 = 0.3;

/// Disks with little room, until somebody makes some.
#[derive(Default)]
pub struct ScarceDisk {
    seats: Vec<Seat>,
}

impl Fault for ScarceDisk {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        self.seats = match rng.random_bool(ALL) {
            true => world.seats().collect(),
            false => vec![world.any(rng)],
        };
        world.set_scarce(&self.seats, true);
        let names: Vec<&str> = self.seats.iter().map(|seat| world.machine(*seat).name.as_str()).collect();
        Some(names.join(", "))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        world.set_scarce(&self.seats, false);
    }
}
