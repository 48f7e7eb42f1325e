//! The leadership is sent to another voter, in the midst of everything else.

use super::Fault;
use crate::world::World;
use rand::rngs::SmallRng;

/// A transfer of leadership.
#[derive(Default)]
pub struct Transfer;

impl Fault for Transfer {
    fn begin(&mut self, world: &mut World, _rng: &mut SmallRng) -> Option<String> {
        let leader = world.leader()?;
        world.shared().transfers.set(1);
        Some(format!("away from {}", world.machine(leader).name))
    }

    fn heal(&mut self, world: &mut World, _rng: &mut SmallRng) {
        world.shared().transfers.set(0);
    }
}
