//! A disk fails to sync once. The page cache may have lost what was to be written, so the node must stop
//! using it; a reboot of the host puts an end to it.

use super::Fault;
use crate::{machine::Seat, world::World};
use micro_storage::memory::Faults;
use rand::rngs::SmallRng;

/// One failed sync.
#[derive(Default)]
pub struct FailedSync {
    seat: Option<Seat>,
}

impl Fault for FailedSync {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any_up(rng)?;
        let machine = world.machine(seat);
        machine.damaged.set(true);
        machine.disk.set_faults(Faults { sync_fails_next: true, ..machine.disk.faults() });
        self.seat = Some(seat);
        Some(machine.name.clone())
    }

    fn heal(&mut self, world: &mut World, rng: &mut SmallRng) {
        let Some(seat) = self.seat else { return };
        let machine = world.machine(seat);
        machine.disk.set_faults(Faults { sync_fails_next: false, ..machine.disk.faults() });
        if machine.wanted.get() {
            world.cut_power(seat, rng);
            world.start(seat);
        }
    }
}
