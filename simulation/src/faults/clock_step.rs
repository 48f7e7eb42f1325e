//! A host's clock jumps, and jumps back. Nothing that has to be right may hang on it.

use super::Fault;
use crate::{machine::Seat, world::World};
use rand::{Rng, rngs::SmallRng};
use std::sync::atomic::Ordering;

/// The farthest jump either way. Certificates allow for clocks that differ by a day, so a little less than that.
const STEP_MS_MAX: i64 = 20 * 3600 * 1000;

/// A wrong clock.
#[derive(Default)]
pub struct ClockStep {
    stepped: Option<(Seat, i64)>,
}

impl Fault for ClockStep {
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String> {
        let seat = world.any(rng);
        let step = rng.random_range(-STEP_MS_MAX..=STEP_MS_MAX);
        world.machine(seat).skew.fetch_add(step, Ordering::Relaxed);
        self.stepped = Some((seat, step));
        Some(format!("{} by {step} ms", world.machine(seat).name))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        if let Some((seat, step)) = self.stepped {
            world.machine(seat).skew.fetch_sub(step, Ordering::Relaxed);
        }
    }
}
