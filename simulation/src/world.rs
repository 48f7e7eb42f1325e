//! The simulated hosts and their network, as the driver of a run and the faults handle them.

use crate::{
    checkers::Violation,
    clouds, host,
    machine::{Machine, Phase, Seat, Shared},
    options::{Options, PlantedBug},
    sighting::Sighting,
    watcher::Watcher,
};
use micro_storage::memory::{self, MemoryDisk};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    rc::Rc,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

/// How far a host runs before the next has its turn. Below the least latency, so that no message is held up
/// by it.
const TICK: Duration = Duration::from_millis(1);
/// The latency of a link: between zones of one region.
pub const LATENCY_MIN: Duration = Duration::from_millis(1);
/// The longest latency of a link that is well.
pub const LATENCY_MAX: Duration = Duration::from_millis(8);
/// Datagrams under way to a socket: more than any test sends at once.
const UNDER_WAY_MAX: usize = 100_000;
/// The share of datagrams that is lost on unsteady links: as on a bad day between continents.
const UNSTEADY_LOST: f64 = 0.005;
/// How long a supervisor of processes waits before it starts one anew.
const RESTART_PAUSE: Duration = Duration::from_secs(1);
/// How far clocks are off when nobody turns them.
const SKEW_MS_MAX: i64 = 250;

/// Hosts and network.
pub struct World {
    sim: turmoil::Sim<'static>,
    shared: Rc<Shared>,
    watcher: Watcher,
}

impl World {
    /// A world of fresh hosts. Nothing runs before the first [`step`](Self::step).
    pub fn new(options: Options) -> Self {
        let mut sim = turmoil::Builder::new()
            // The driver of the run ends it, not turmoil.
            .simulation_duration(Duration::MAX)
            .tick_duration(TICK)
            .min_message_latency(LATENCY_MIN)
            .max_message_latency(LATENCY_MAX)
            .udp_capacity(UNDER_WAY_MAX)
            .rng_seed(options.seed_of("network"))
            .epoch(SystemTime::UNIX_EPOCH)
            .enable_random_order()
            .build();
        let mut rng = SmallRng::seed_from_u64(options.seed_of("clocks"));
        let shared = Shared::new(options);
        for (seat, machine) in shared.machines.iter().enumerate() {
            machine.skew.store(rng.random_range(-SKEW_MS_MAX..=SKEW_MS_MAX), Ordering::Relaxed);
            machine.ip.set(sim.lookup(machine.name.as_str()));
            plant(machine, shared.options.planted_bug);
            *machine.power.borrow_mut() = AtomicBool::new(true).into();
            let (shared, seat) = (shared.clone(), Seat(seat));
            sim.host(machine.name.as_str(), move || host::live(shared.clone(), seat));
        }
        let world = World { sim, shared, watcher: Watcher::default() };
        if world.shared.options.clouds {
            for one in world.all_seats() {
                world.all_seats().filter(|other| *other > one).for_each(|other| {
                    world.set_pair_latency(one, other, clouds::latency(one, other));
                });
            }
        }
        world
    }

    /// What hosts and driver share.
    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// The machine on `seat`.
    pub fn machine(&self, seat: Seat) -> &Machine {
        self.shared.machine(seat)
    }

    /// The seats of all that have a part in the world.
    pub fn seats(&self) -> impl Iterator<Item = Seat> + use<> {
        let all = self.all_seats().filter(|seat| self.machine(*seat).is_member());
        all.collect::<Vec<_>>().into_iter()
    }

    fn all_seats(&self) -> impl Iterator<Item = Seat> + use<> {
        (0..self.shared.machines.len()).map(Seat)
    }

    /// Starts a spare host, whose node is to join. Returns its seat, if there is one left.
    pub fn enroll(&mut self) -> Option<Seat> {
        let seat = self.all_seats().find(|seat| !self.machine(*seat).enrolled.get())?;
        self.machine(seat).enrolled.set(true);
        self.start(seat);
        Some(seat)
    }

    /// Simulated time.
    pub fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Lets every host run for a tick, and starts those that ended by themselves.
    ///
    /// # Errors
    /// What turmoil says when a host's code failed.
    pub fn step(&mut self) -> Result<(), String> {
        self.sim.step().map_err(|error| error.to_string())?;
        let now = self.now();
        self.shared.trace.set_now(now);
        for seat in self.all_seats() {
            if self.machine(seat).out.get() && self.machine(seat).wanted.replace(false) {
                // Nobody starts it again.
                self.take_down(seat);
            }
            let machine = self.shared.machine(seat);
            let Some(ended) = machine.ended.get() else { continue };
            let (fresh, due) = (machine.has_power(), machine.wanted.get() && now >= ended + RESTART_PAUSE);
            if fresh {
                // With the process go all its tasks.
                self.take_down(seat);
            }
            if due {
                self.start(seat);
            }
        }
        Ok(())
    }

    /// Looks at all nodes and their disks.
    ///
    /// # Errors
    /// If a disk gives back other bytes than were written.
    pub fn look(&mut self) -> Result<&Sighting, Violation> {
        self.watcher.look(&self.shared, self.sim.elapsed())
    }

    /// Ends a node's life: its tasks, its hold on the disk, its power.
    fn take_down(&mut self, seat: Seat) {
        let machine = self.shared.machine(seat);
        if let Err(violation) = self.watcher.glance(machine) {
            self.shared.violations.borrow_mut().push(violation);
        }
        machine.gone();
        self.sim.crash(machine.ip.get());
        self.network_changed();
    }

    /// A random seat whose node runs.
    pub fn any_up(&self, rng: &mut SmallRng) -> Option<Seat> {
        let up: Vec<Seat> = self.seats().filter(|seat| self.machine(*seat).is_up()).collect();
        (!up.is_empty()).then(|| up[rng.random_range(0..up.len())])
    }

    /// A random seat.
    pub fn any(&self, rng: &mut SmallRng) -> Seat {
        let seats: Vec<Seat> = self.seats().collect();
        seats[rng.random_range(0..seats.len())]
    }

    /// The seat of the node that leads, in the highest term if several think so.
    pub fn leader(&self) -> Option<Seat> {
        let leads = |seat: &Seat| {
            let seen = self.machine(*seat).node.borrow().upgrade()?.consensus().observe();
            seen.leading.then_some((seen.term, *seat))
        };
        self.seats().filter_map(|seat| leads(&seat)).max().map(|(_, seat)| seat)
    }

    /// Nothing gets from one host to the other, until [`unblock`](Self::unblock).
    pub fn block(&self, from: Seat, to: Seat) {
        self.shared.weather.block(self.machine(from).ip.get(), self.machine(to).ip.get());
        self.network_changed();
    }

    /// Takes one block back.
    pub fn unblock(&self, from: Seat, to: Seat) {
        self.shared.weather.unblock(self.machine(from).ip.get(), self.machine(to).ip.get());
        self.network_changed();
    }

    /// Every other seat.
    pub fn others(&self, seat: Seat) -> impl Iterator<Item = Seat> + use<> {
        self.seats().filter(move |other| *other != seat)
    }

    /// Holds back all that travels to and from a host, until [`release`](Self::release): to others it
    /// stands still.
    pub fn hold(&self, seat: Seat) {
        for other in self.others(seat) {
            self.sim.hold(self.machine(seat).ip.get(), self.machine(other).ip.get());
        }
    }

    /// Lets go what was held back.
    pub fn release(&self, seat: Seat) {
        for other in self.others(seat) {
            self.sim.release(self.machine(seat).ip.get(), self.machine(other).ip.get());
        }
    }

    /// Every message between two hosts takes this long, until they are as far from each other as at first.
    pub fn set_pair_latency(&self, one: Seat, other: Seat, latency: Duration) {
        self.sim.set_link_latency(self.machine(one).ip.get(), self.machine(other).ip.get(), latency);
        self.shared.latencies.borrow_mut().insert((one.min(other), one.max(other)), latency);
        self.network_changed();
    }

    /// Takes back what was set for two hosts.
    pub fn reset_pair_latency(&self, one: Seat, other: Seat) {
        if self.shared.options.clouds {
            return self.set_pair_latency(one, other, clouds::latency(one, other));
        }
        let (a, b) = (self.machine(one).ip.get(), self.machine(other).ip.get());
        self.sim.set_link_latency(a, b, LATENCY_MIN);
        self.sim.set_link_max_message_latency(a, b, LATENCY_MAX);
        self.shared.latencies.borrow_mut().remove(&(one.min(other), one.max(other)));
        self.network_changed();
    }

    /// What a host sends and gets is late by up to a quarter and lost now and then, or it is not any more.
    pub fn set_unsteady(&self, seat: Seat, unsteady: bool) {
        let ip = self.machine(seat).ip.get();
        self.shared.weather.set_rough(ip, if unsteady { UNSTEADY_LOST } else { 0.0 }, 0.0);
        for other in self.others(seat) {
            let pair = (seat.min(other), seat.max(other));
            let Some(usual) = self.shared.latencies.borrow().get(&pair).copied() else { continue };
            let most = if unsteady { usual * 5 / 4 } else { usual };
            self.sim.set_link_max_message_latency(ip, self.machine(other).ip.get(), most);
        }
        self.shared.unsteady.set(unsteady);
        self.network_changed();
    }

    fn network_changed(&self) {
        self.shared.network_changed.set(self.now());
    }

    /// Every message between a host and the others takes this long.
    pub fn set_latency(&self, seat: Seat, latency: Duration) {
        for other in self.others(seat) {
            let (a, b) = (self.machine(seat).ip.get(), self.machine(other).ip.get());
            self.sim.set_link_latency(a, b, latency);
        }
    }

    /// Gives the links of a host the latency that all had at first.
    pub fn reset_latency(&self, seat: Seat) {
        self.set_latency(seat, LATENCY_MIN);
        for other in self.others(seat) {
            let (a, b) = (self.machine(seat).ip.get(), self.machine(other).ip.get());
            self.sim.set_link_max_message_latency(a, b, LATENCY_MAX);
        }
    }

    /// Kills the process of a node. What it wrote is in the page cache still, and will be there when it is
    /// started.
    pub fn kill(&mut self, seat: Seat) {
        self.machine(seat).wanted.set(false);
        self.take_down(seat);
    }

    /// Cuts the power of a host: its process dies, and what its disk did not sync is lost.
    pub fn cut_power(&mut self, seat: Seat, rng: &mut SmallRng) {
        self.kill(seat);
        self.machine(seat).disk.crash(rng.random());
    }

    /// Asks a node to end in order, as SIGTERM does. It is not started again before [`start`](Self::start).
    pub fn stop(&self, seat: Seat) {
        self.machine(seat).wanted.set(false);
        self.machine(seat).stop.notify_one();
    }

    /// Starts a node. Whatever ran of it before is killed. One that was taken out stays out.
    pub fn start(&mut self, seat: Seat) {
        if self.machine(seat).out.get() {
            return;
        }
        self.take_down(seat);
        let machine = self.shared.machine(seat);
        machine.wanted.set(true);
        machine.ended.set(None);
        let faults = machine.disk.faults();
        machine.damaged.set(faults.full || faults.sync_fails_next || machine.disk.is_rotten());
        *machine.power.borrow_mut() = AtomicBool::new(true).into();
        self.sim.bounce(machine.ip.get());
        self.network_changed();
    }

    /// The disks of these hosts have little room left, or enough again.
    pub fn set_scarce(&self, seats: &[Seat], scarce: bool) {
        for machine in seats.iter().map(|seat| self.machine(*seat)) {
            machine.gauge.set_scarce(&machine.disk, scarce);
        }
    }

    /// The disks of all that have a part in the world.
    pub fn all_disks(&self) -> impl Iterator<Item = &MemoryDisk> {
        self.shared.members().map(|machine| &*machine.disk)
    }

    /// Has the node of a host read all of its state, as soon as it runs.
    pub fn read_all(&self, seat: Seat) {
        self.machine(seat).reads_all.set(true);
        self.machine(seat).read_all();
    }

    /// Tells the clients what to do from now on.
    pub fn set_phase(&self, phase: Phase) {
        self.shared.trace.line("world", format_args!("phase {phase:?}"));
        self.shared.phase.set(phase);
    }
}

/// Plants the bugs that are the disk's.
fn plant(machine: &Machine, bug: Option<PlantedBug>) {
    match bug {
        Some(PlantedBug::AckBeforeSync) => machine.disk.plant(memory::PlantedBug::AckBeforeSync),
        Some(PlantedBug::VoteNotPersisted) => machine.disk.plant(memory::PlantedBug::VoteNotPersisted),
        Some(PlantedBug::BlobNotSynced) => machine.disk.plant(memory::PlantedBug::BlobNotSynced),
        Some(PlantedBug::RotUnseen) => machine.disk.plant(memory::PlantedBug::RotUnseen),
        Some(PlantedBug::DamagedLogCut) => machine.disk.plant(memory::PlantedBug::DamagedLogCut),
        _ => {}
    }
}
