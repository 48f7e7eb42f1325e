//! What goes wrong, on purpose.
//!
//! To add a fault: a file with a type that implements [`Fault`], and a line in [`KINDS`].

mod blackout;
mod clock_step;
mod failed_sync;
mod full_disk;
mod isolate_leader;
mod kill;
mod one_way;
mod partition;
mod pause;
mod power_cut;
mod replace;
mod restart;
mod rot;
mod rough_links;
mod scarce_disk;
mod script;
mod slow_disk;
mod slow_links;
mod storm;
mod transfer;

pub use script::{Move, Moves, Script, Who};
pub use storm::Storm;

use crate::world::World;
use rand::rngs::SmallRng;
use std::collections::BTreeMap;

/// One fault: it begins, lasts for a while, and is taken back.
pub trait Fault {
    /// Begins, and says what it did; none if there is nothing that it could do just now.
    fn begin(&mut self, world: &mut World, rng: &mut SmallRng) -> Option<String>;

    /// Takes back what it did, and nothing else.
    fn heal(&mut self, world: &mut World, rng: &mut SmallRng);
}

/// What goes wrong in a run, and when.
pub trait Plan {
    /// Heals and begins what is due.
    fn step(&mut self, world: &mut World);

    /// Heals everything.
    fn calm(&mut self, world: &mut World);

    /// How often each kind happened.
    fn fired(&self) -> &BTreeMap<&'static str, u64>;
}

/// A kind of fault. Two of one kind never overlap.
pub struct Kind {
    /// What it is called in reports.
    pub name: &'static str,
    /// How often it is drawn, compared to others.
    pub weight: u32,
    /// The shortest and longest time it lasts, in milliseconds.
    pub lasts_ms: (u64, u64),
    /// Makes one.
    pub fresh: fn() -> Box<dyn Fault>,
}

/// All kinds.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "partition",
        weight: 3,
        lasts_ms: (500, 8000),
        fresh: || Box::<partition::Partition>::default(),
    },
    Kind { name: "one-way", weight: 3, lasts_ms: (500, 8000), fresh: || Box::<one_way::OneWay>::default() },
    Kind {
        name: "isolate-leader",
        weight: 4,
        lasts_ms: (1000, 8000),
        fresh: || Box::<isolate_leader::IsolateLeader>::default(),
    },
    Kind { name: "pause", weight: 2, lasts_ms: (200, 4000), fresh: || Box::<pause::Pause>::default() },
    Kind {
        name: "slow-links",
        weight: 2,
        lasts_ms: (1000, 8000),
        fresh: || Box::<slow_links::SlowLinks>::default(),
    },
    Kind {
        name: "rough-links",
        weight: 2,
        lasts_ms: (1000, 8000),
        fresh: || Box::<rough_links::RoughLinks>::default(),
    },
    Kind { name: "kill", weight: 3, lasts_ms: (50, 6000), fresh: || Box::<kill::Kill>::default() },
    Kind {
        name: "power-cut",
        weight: 4,
        lasts_ms: (50, 6000),
        fresh: || Box::<power_cut::PowerCut>::default(),
    },
    Kind {
        name: "blackout",
        weight: 1,
        lasts_ms: (50, 2000),
        fresh: || Box::<blackout::Blackout>::default(),
    },
    Kind { name: "restart", weight: 2, lasts_ms: (2000, 8000), fresh: || Box::<restart::Restart>::default() },
    Kind {
        name: "slow-disk",
        weight: 2,
        lasts_ms: (1000, 8000),
        fresh: || Box::<slow_disk::SlowDisk>::default(),
    },
    Kind {
        name: "failed-sync",
        weight: 1,
        lasts_ms: (500, 4000),
        fresh: || Box::<failed_sync::FailedSync>::default(),
    },
    Kind {
        name: "full-disk",
        weight: 1,
        lasts_ms: (500, 4000),
        fresh: || Box::<full_disk::FullDisk>::default(),
    },
    Kind {
        name: "scarce-disk",
        weight: 2,
        lasts_ms: (2000, 15_000),
        fresh: || Box::<scarce_disk::ScarceDisk>::default(),
    },
    Kind { name: "rot", weight: 1, lasts_ms: (500, 8000), fresh: || Box::<rot::Rot>::default() },
    Kind {
        name: "replace",
        weight: 2,
        lasts_ms: (3000, 12_000),
        fresh: || Box::<replace::Replace>::default(),
    },
    Kind {
        name: "transfer",
        weight: 2,
        lasts_ms: (1000, 3000),
        fresh: || Box::<transfer::Transfer>::default(),
    },
    Kind {
        name: "clock-step",
        weight: 1,
        lasts_ms: (1000, 10_000),
        fresh: || Box::<clock_step::ClockStep>::default(),
    },
];
