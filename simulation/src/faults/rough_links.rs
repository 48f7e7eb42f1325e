//! A host's links lose some datagrams and deliver some twice.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};

/// The most that is lost: beyond it QUIC makes no progress worth testing.
const LOST_MAX: f64 = 0.3;
/// The most that arrives twice.
const DOUBLED_MAX: f64 = 0.2;

/// Loss and duplication.
#[derive(Default)]
pub struct RoughLinks {
    seat: Option<Seat>,
}

impl Fault for RoughLinks {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        let (lost, doubled) = (rng.random_range(0.01..LOST_MAX), rng.random_range(0.0..DOUBLED_MAX));
        world.shared().weather.set_rough(world.machine(seat).ip.get(), lost, doubled);
        self.seat = Some(seat);
        let name = &world.machine(seat).name;
        Some(format!("{name} loses {:.0} % and doubles {:.0} %", lost * 100.0, doubled * 100.0))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.shared().weather.set_rough(world.machine(seat).ip.get(), 0.0, 0.0);
        }
    }
}
