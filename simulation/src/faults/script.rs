//! A plan of faults written down beforehand: that of a defect that others had, replayed on us.

use super::Plan;
use crate::{checkers::Violation, machine::Seat, world::World};
use micro_storage::memory::Faults;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

/// How long a host may take until it has taken in a snapshot.
const SNAPSHOT_MAX: Duration = Duration::from_secs(8);

/// A host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// By its number, from 1 on.
    Node(usize),
    /// The one that leads now, if there is one.
    Leader,
    /// The one that was last called the leader.
    FormerLeader,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// What travels to and from it is held back.
    Pause,
    /// It is let go.
    Resume,
    /// It loses its power, and what its disk did not sync.
    CutPower,
    /// Its process dies.
    Kill,
    /// It is started.
    Start,
    /// It can't talk to any other.
    Isolate,
    /// It can again.
    Rejoin,
    /// It and this other one can't talk to each other.
    CutLink(usize),
    /// They can again.
    MendLink(usize),
    /// What this other one sends it is lost; what it sends itself arrives.
    CutOneWay(usize),
    /// A message between it and this other one takes so many milliseconds.
    Slow(usize, u64),
    /// They are as quick as at first.
    Quick(usize),
    /// What it sends and gets is late or lost now and then.
    Unsteady,
    /// An operator makes it the leader.
    Lead,
    /// Its next sync fails.
    FailSync,
    /// What its state gathers can't be made durable: the engine finds out by itself, and tells who writes next.
    FailState,
    /// A bit of its state is not what was written.
    Rot,
    /// A bit of its log is not what was written, and that of a node that does not run: it reads all when it starts.
    RotLog,
    /// A bit of one of its blobs is not what was written.
    RotBlob,
    /// All of its state is read, by the node itself.
    ReadAll,
    /// Its node is taken out of the mesh for good, as soon as that can be.
    Remove,
    /// The same, and a spare host's node joins.
    Replace,
    /// Its disk has little room left.
    FillDisk,
    /// It has enough again.
    ClearDisk,
    /// The mesh replaces its authority, as soon as that can be.
    Rotate,
    /// Nothing else happens before it has taken in a snapshot since it was isolated last, which it has to.
    AwaitSnapshot,
}

/// Moves by time from the beginning on.
pub type Moves = &'static [(u64, Who, Move)];

/// Carries out moves.
pub struct Script {
    moves: VecDeque<(Duration, Who, Move)>,
    begin: Option<Duration>,
    rng: SmallRng,
    former_leader: Option<Seat>,
    held: BTreeSet<Seat>,
    cut: BTreeSet<(Seat, Seat)>,
    one_way: Vec<(Seat, Seat)>,
    slow: BTreeSet<(Seat, Seat)>,
    unsteady: BTreeSet<Seat>,
    /// How many snapshots a host had taken in when it was isolated.
    snapshots: BTreeMap<Seat, u32>,
    /// Whose snapshot is waited for, and since when.
    awaited: Option<(Seat, Duration)>,
    fired: BTreeMap<&'static str, u64>,
}

impl Script {
    /// These moves, each at its time in milliseconds. Chance, as far as a move leaves room for it, comes from `seed`.
    pub fn new(seed: u64, moves: Moves) -> Self {
        Script {
            moves: moves.iter().map(|(ms, who, what)| (Duration::from_millis(*ms), *who, *what)).collect(),
            begin: None,
            rng: SmallRng::seed_from_u64(seed),
            former_leader: None,
            held: BTreeSet::new(),
            cut: BTreeSet::new(),
            one_way: Vec::new(),
            slow: BTreeSet::new(),
            unsteady: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            awaited: None,
            fired: BTreeMap::new(),
        }
    }

    /// Whether a snapshot is waited for still. All that is to come is put off by that time.
    fn awaits(&mut self, world: &World, begin: Duration) -> bool {
        let Some((seat, since)) = self.awaited else { return false };
        let (machine, waited) = (world.machine(seat), world.now() - since);
        let before = self.snapshots.get(&seat).copied().unwrap_or(0);
        if machine.gauge.snapshots() <= before {
            if waited >= SNAPSHOT_MAX {
                let what = format!("{} took in no snapshot within {SNAPSHOT_MAX:?}", machine.name);
                let violation = Violation { checker: "the schedule", what };
                world.shared().violations.borrow_mut().push(violation);
                self.awaited = None;
            }
            return true;
        }
        world.shared().trace.line("fault", format_args!("{} took in a snapshot", machine.name));
        (self.awaited, self.begin) = (None, Some(begin + waited));
        false
    }

    fn seat(&mut self, world: &World, who: Who) -> Option<Seat> {
        if who == Who::Leader {
            self.former_leader = world.leader();
        }
        match who {
            Who::Node(number) => Some(Seat(number - 1)),
            Who::Leader | Who::FormerLeader => self.former_leader,
        }
    }

    fn carry_out(&mut self, world: &mut World, seat: Seat, what: Move) -> &'static str {
        match what {
            Move::Pause => {
                if self.held.insert(seat) {
                    world.hold(seat);
                }
                "pause"
            }
            Move::Resume => {
                if self.held.remove(&seat) {
                    world.release(seat);
                }
                "resume"
            }
            Move::CutPower => {
                world.cut_power(seat, &mut self.rng);
                "power-cut"
            }
            Move::Kill => {
                world.kill(seat);
                "kill"
            }
            Move::Start => {
                world.start(seat);
                "start"
            }
            Move::Isolate => {
                self.snapshots.insert(seat, world.machine(seat).gauge.snapshots());
                world.others(seat).for_each(|other| self.cut(world, seat, other));
                "isolate"
            }
            Move::Rejoin => {
                world.others(seat).for_each(|other| self.mend(world, seat, other));
                "rejoin"
            }
            Move::CutLink(number) => {
                self.cut(world, seat, Seat(number - 1));
                "cut-link"
            }
            Move::MendLink(number) => {
                self.mend(world, seat, Seat(number - 1));
                "mend-link"
            }
            Move::CutOneWay(number) => {
                world.block(Seat(number - 1), seat);
                self.one_way.push((Seat(number - 1), seat));
                "cut-one-way"
            }
            Move::Slow(number, ms) => {
                world.set_pair_latency(seat, Seat(number - 1), Duration::from_millis(ms));
                self.slow.insert((seat, Seat(number - 1)));
                "slow-link"
            }
            Move::Quick(number) => {
                world.reset_pair_latency(seat, Seat(number - 1));
                "quick-link"
            }
            Move::Unsteady => {
                world.set_unsteady(seat, true);
                self.unsteady.insert(seat);
                "unsteady"
            }
            Move::Lead => {
                *world.shared().heir.borrow_mut() = Some(world.machine(seat).name.clone());
                world.shared().transfers.set(1);
                "lead"
            }
            Move::Remove => {
                world.machine(seat).leaving.set(true);
                "remove"
            }
            Move::Replace => {
                world.machine(seat).leaving.set(true);
                world.enroll();
                "replace"
            }
            Move::FillDisk => {
                world.set_scarce(&[seat], true);
                "fill-disk"
            }
            Move::ClearDisk => {
                world.set_scarce(&[seat], false);
                "clear-disk"
            }
            Move::Rotate => {
                world.shared().rotations.set(1);
                "rotate"
            }
            Move::AwaitSnapshot => "await-snapshot",
            Move::Rot => {
                world.machine(seat).damaged.set(true);
                world.machine(seat).disk.rot_state(self.rng.random());
                "rot"
            }
            Move::RotLog => {
                world.machine(seat).disk.flip_bit(self.rng.random());
                "rot-log"
            }
            Move::RotBlob => {
                world.machine(seat).disk.flip_blob_bit(self.rng.random());
                "rot-blob"
            }
            Move::ReadAll => {
                world.read_all(seat);
                "read-all"
            }
            Move::FailState => {
                let machine = world.machine(seat);
                machine.damaged.set(true);
                machine.disk.set_faults(Faults { state_fails: true, ..machine.disk.faults() });
                "failed-state"
            }
            Move::FailSync => {
                let machine = world.machine(seat);
                machine.damaged.set(true);
                machine.disk.set_faults(Faults { sync_fails_next: true, ..machine.disk.faults() });
                "failed-sync"
            }
        }
    }

    fn cut(&mut self, world: &World, one: Seat, other: Seat) {
        if self.cut.insert((one.min(other), one.max(other))) {
            world.block(one, other);
            world.block(other, one);
        }
    }

    /// Also what was cut in one direction only.
    fn mend(&mut self, world: &World, one: Seat, other: Seat) {
        self.one_way.retain(|(from, to)| {
            let between = [(one, other), (other, one)].contains(&(*from, *to));
            if between {
                world.unblock(*from, *to);
            }
            !between
        });
        if self.cut.remove(&(one.min(other), one.max(other))) {
            world.unblock(one, other);
            world.unblock(other, one);
        }
    }
}

impl Plan for Script {
    fn step(&mut self, world: &mut World) {
        let begin = *self.begin.get_or_insert(world.now());
        if self.awaits(world, begin) {
            return;
        }
        while let Some((_, who, what)) = self.moves.pop_front_if(|(at, ..)| begin + *at <= world.now()) {
            let Some(seat) = self.seat(world, who) else { continue };
            let name = world.machine(seat).name.clone();
            world.shared().trace.line("fault", format_args!("{what:?}: {name}"));
            let kind = self.carry_out(world, seat, what);
            *self.fired.entry(kind).or_default() += 1;
            if what == Move::AwaitSnapshot {
                self.awaited = Some((seat, world.now()));
                return;
            }
        }
    }

    fn calm(&mut self, world: &mut World) {
        for seat in std::mem::take(&mut self.held) {
            world.release(seat);
        }
        for (one, other) in std::mem::take(&mut self.cut) {
            world.unblock(one, other);
            world.unblock(other, one);
        }
        for (from, to) in self.one_way.drain(..) {
            world.unblock(from, to);
        }
        for seat in std::mem::take(&mut self.unsteady) {
            world.set_unsteady(seat, false);
        }
        for (one, other) in std::mem::take(&mut self.slow) {
            world.reset_pair_latency(one, other);
        }
        for seat in world.seats() {
            let machine = world.machine(seat);
            machine.disk.set_faults(Faults { sync_fails_next: false, ..machine.disk.faults() });
            world.set_scarce(&[seat], false);
            if !machine.wanted.get() {
                world.start(seat);
            }
        }
    }

    fn fired(&self) -> &BTreeMap<&'static str, u64> {
        &self.fired
    }
}
