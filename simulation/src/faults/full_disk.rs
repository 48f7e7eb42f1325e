//! A disk has no room left. The node may stop; nothing that was acknowledged may be lost.

use super::Fault;
use crate::{machine::Seat, world::World};
use micro_storage::memory::Faults;
use rand::rngs::SmallRng;

/// A full disk, until somebody makes room and starts the node anew.
#[derive(Default)]
pub struct FullDisk {
    seat: Option<Seat>,
}

impl Fault for FullDisk {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any_up(rng)?;
        let machine = world.machine(seat);
        machine.damaged.set(true);
        machine.disk.set_faults(Faults { full: true, ..machine.disk.faults() });
        self.seat = Some(seat);
        Some(machine.name.clone())
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        let Some(seat) = self.seat else { return };
        let machine = world.machine(seat);
        machine.disk.set_faults(Faults { full: false, ..machine.disk.faults() });
        if machine.wanted.get() {
            world.kill(seat);
            world.start(seat);
        }
    }
}
