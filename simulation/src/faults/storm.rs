//! The plan of a run's faults, drawn from its seed while it goes.

use super::{Fault, KINDS, Kind, Plan};
use crate::world::World;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{collections::BTreeMap, time::Duration};

/// The shortest and longest time between the beginnings of two faults. Long enough for an election in
/// between now and then, or no leader would ever be there to be hurt.
const BETWEEN_MS: (u64, u64) = (300, 3500);

/// As many faults as may be there at once.
const AT_ONCE_MAX: usize = 3;

struct Active {
    kind: &'static Kind,
    fault: Box<dyn Fault>,
    until: Duration,
}

/// Begins and heals faults.
pub struct Storm {
    rng: SmallRng,
    next: Duration,
    active: Vec<Active>,
    fired: BTreeMap<&'static str, u64>,
}

impl Storm {
    /// Faults drawn from `seed`, from `begin` on.
    pub fn new(seed: u64, begin: Duration) -> Self {
        Storm { rng: SmallRng::seed_from_u64(seed), next: begin, active: Vec::new(), fired: BTreeMap::new() }
    }

    fn heal(&mut self, over: Vec<Active>, world: &mut World) {
        for mut active in over {
            world.shared().trace.line("fault", format_args!("{} is over", active.kind.name));
            active.fault.heal(world, &mut self.rng);
        }
    }

    fn begin(&mut self, world: &mut World) {
        let free = |kind: &&Kind| !self.active.iter().any(|active| active.kind.name == kind.name);
        let kinds: Vec<&'static Kind> = KINDS.iter().filter(free).collect();
        let Some(kind) = draw(&kinds, &mut self.rng) else { return };
        let mut fault = (kind.fresh)();
        if let Some(what) = fault.begin(world, &mut self.rng) {
            world.shared().trace.line("fault", format_args!("{}: {what}", kind.name));
            *self.fired.entry(kind.name).or_default() += 1;
            let until = world.now() + milliseconds(&mut self.rng, kind.lasts_ms);
            self.active.push(Active { kind, fault, until });
        }
    }
}

impl Plan for Storm {
    fn fired(&self) -> &BTreeMap<&'static str, u64> {
        &self.fired
    }

    fn step(&mut self, world: &mut World) {
        let now = world.now();
        let over = |active: &mut Active| active.until <= now;
        let healed: Vec<Active> = self.active.extract_if(.., over).collect();
        self.heal(healed, world);
        if now >= self.next {
            self.next = now + milliseconds(&mut self.rng, BETWEEN_MS);
            if self.active.len() < AT_ONCE_MAX {
                self.begin(world);
            }
        }
    }

    fn calm(&mut self, world: &mut World) {
        let all = std::mem::take(&mut self.active);
        self.heal(all, world);
    }
}

fn milliseconds(rng: &mut SmallRng, (from, to): (u64, u64)) -> Duration {
    Duration::from_millis(rng.random_range(from..=to))
}

fn draw(kinds: &[&'static Kind], rng: &mut SmallRng) -> Option<&'static Kind> {
    let weights: u32 = kinds.iter().map(|kind| kind.weight).sum();
    let mut left = rng.random_range(0..weights.max(1));
    kinds
        .iter()
        .find(|kind| match left.checked_sub(kind.weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        })
        .copied()
}
