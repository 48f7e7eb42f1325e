//! A host's disk takes long to sync.

use super::Fault;
use crate::{machine::Seat, world::World};
use micro_storage::memory::Faults;
use rand::{Rng, rngs::SmallRng};
use std::time::Duration;

/// The shortest and longest sync: a spinning disk, and one that is about to die.
const SYNC_MS: (u64, u64) = (10, 800);

/// Slow syncs.
#[derive(Default)]
pub struct SlowDisk {
    seat: Option<Seat>,
}

impl Fault for SlowDisk {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        let sync_latency = Duration::from_millis(rng.random_range(SYNC_MS.0..=SYNC_MS.1));
        let disk = &world.machine(seat).disk;
        disk.set_faults(Faults { sync_latency, ..disk.faults() });
        self.seat = Some(seat);
        Some(format!("{} syncs in {sync_latency:?}", world.machine(seat).name))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            let disk = &world.machine(seat).disk;
            disk.set_faults(Faults { sync_latency: Faults::default().sync_latency, ..disk.faults() });
        }
    }
}
