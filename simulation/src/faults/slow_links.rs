//! All links of a host take as long as one around the world.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};
use std::time::Duration;

/// The least and the most latency: between continents, and over a satellite.
const LATENCY_MS: (u64, u64) = (50, 300);

/// A host far away.
#[derive(Default)]
pub struct SlowLinks {
    seat: Option<Seat>,
}

impl Fault for SlowLinks {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        let latency = Duration::from_millis(rng.random_range(LATENCY_MS.0..=LATENCY_MS.1));
        world.set_latency(seat, latency);
        self.seat = Some(seat);
        Some(format!("{} at {latency:?}", world.machine(seat).name))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some(seat) = self.seat {
            world.reset_latency(seat);
        }
    }
}
