//! One run: the nodes find together, a storm goes over them, everything is healed, and they have to be well
//! again.

use crate::{
    checkers::{self, Checker, Ending, Violation},
    faults::{Moves, Plan, Script, Storm},
    interposer,
    machine::Phase,
    options::Options,
    report::Report,
    watcher,
    workload::{Asked, Kind, Op},
    world::World,
};
use std::{
    panic::{self, AssertUnwindSafe},
    time::{Duration, Instant},
};

/// How often the checkers look.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the nodes may take to find together.
const ASSEMBLY_MAX: Duration = Duration::from_secs(60);
/// How long they may take, after everything was healed, to serve everything everywhere.
const HEAL_MAX: Duration = Duration::from_secs(30);
/// How long replicas may take to become equal once nothing is asked any more.
const REST_MAX: Duration = Duration::from_secs(30);
/// How long the last reads may take.
const LAST_MAX: Duration = Duration::from_secs(10);
/// The stack of the thread that runs everything: futures of whole nodes are polled from it.
const STACK_BYTES: usize = 16 << 20;

/// Runs a simulation to its end, or to the first violation, in a thread of its own.
///
/// State that is made once a process makes a second run in one process differ from the first: for a hash to
/// compare, run one a process.
///
/// # Panics
/// If the machine has no thread to give.
pub fn run(options: Options) -> Report {
    let storm_seed = options.seed_of("storm");
    run_plan(options, move || Box::new(Storm::new(storm_seed, Duration::ZERO)))
}

/// The same with faults that are written down beforehand, instead of drawn.
///
/// # Panics
/// As [`run`].
pub fn run_schedule(options: Options, moves: Moves) -> Report {
    let storm_seed = options.seed_of("storm");
    run_plan(options, move || Box::new(Script::new(storm_seed, moves)))
}

#[allow(
    clippy::disallowed_methods,
    clippy::mem_forget,
    reason = "a fresh thread has fresh hash keys; real time is only reported"
)]
fn run_plan(options: Options, plan: impl FnOnce() -> Box<dyn Plan> + Send + 'static) -> Report {
    let seed = options.seed;
    let simulate = move || {
        interposer::seed_thread(seed);
        let begun = Instant::now();
        let mut run = Run::new(options, plan());
        let violations = run.run_to_the_end();
        let report = run.report(violations, begun.elapsed());
        // Tearing a world down takes long and tells nothing: the process ends soon.
        std::mem::forget(run);
        report
    };
    let thread = std::thread::Builder::new().name(format!("seed-{seed}")).stack_size(STACK_BYTES);
    let thread = thread.spawn(simulate).expect("the machine has a thread to give");
    thread.join().expect("panics of the nodes are caught within")
}

struct Run {
    world: World,
    checkers: Vec<Box<dyn Checker>>,
    plan: Box<dyn Plan>,
    looked_at: Duration,
    begun: Duration,
    /// Who led, each from when on.
    leaders: Vec<(Duration, String)>,
}

impl Run {
    fn new(options: Options, plan: Box<dyn Plan>) -> Self {
        let (world, checkers, zero) = (World::new(options), checkers::all(), Duration::ZERO);
        Run { world, checkers, plan, looked_at: zero, begun: zero, leaders: Vec::new() }
    }

    /// All phases. Returns what was violated, if anything was.
    fn run_to_the_end(&mut self) -> Vec<Violation> {
        let phases = panic::catch_unwind(AssertUnwindSafe(|| self.phases()));
        let mut violations = match phases {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(violation)) => vec![violation],
            Err(panic) => vec![Violation { checker: "no panics", what: panic_text(&*panic) }],
        };
        violations.append(&mut self.world.shared().violations.borrow_mut());
        let ending = self.ending();
        for checker in &mut self.checkers {
            violations.extend(checker.conclude(&ending).err());
        }
        for violation in &violations {
            self.world.shared().trace.line("world", format_args!("VIOLATION {violation}"));
        }
        violations
    }

    fn phases(&mut self) -> Result<(), Violation> {
        self.until("assembly", ASSEMBLY_MAX, |run| run.assembled())?;
        self.world.set_phase(Phase::Storm);
        self.begun = self.world.now();
        let end = self.world.now() + self.world.shared().options.storm;
        while self.world.now() < end {
            self.plan.step(&mut self.world);
            self.step()?;
        }
        self.plan.calm(&mut self.world);
        self.world.set_phase(Phase::Heal);
        self.until("service after the heal", HEAL_MAX, |run| run.probed())?;
        self.until("one authority after the heal", HEAL_MAX, |run| run.certified())?;
        self.world.set_phase(Phase::Rest);
        self.until("equal replicas after the heal", REST_MAX, |run| run.equal())?;
        self.world.set_phase(Phase::Last);
        self.until("last reads", LAST_MAX, |run| {
            run.world.shared().members().all(|machine| machine.shown.get())
        })?;
        // Some of these reads went through the log.
        self.until("equal replicas after the last reads", REST_MAX, |run| run.equal())
    }

    /// One tick of the world, and a look at it when one is due.
    fn step(&mut self) -> Result<(), Violation> {
        self.world.step().map_err(|what| Violation { checker: "no panics", what })?;
        let now = self.world.now();
        if now < self.looked_at + LOOK_EVERY {
            return Ok(());
        }
        self.looked_at = now;
        if let Some(name) = self.world.leader().map(|seat| self.world.machine(seat).name.clone())
            && self.leaders.last().is_none_or(|(_, last)| *last != name)
        {
            self.leaders.push((now, name));
        }
        let sighting = self.world.look()?;
        for checker in &mut self.checkers {
            checker.look(sighting)?;
        }
        match self.world.shared().violations.borrow_mut().pop() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    /// Goes on until `reached`, for `limit` at most.
    fn until(
        &mut self,
        what: &str,
        limit: Duration,
        reached: impl Fn(&Run) -> bool,
    ) -> Result<(), Violation> {
        let end = self.world.now() + limit;
        while !reached(self) {
            if self.world.now() >= end {
                let what = format!("no {what} within {limit:?}: {}", self.state());
                return Err(Violation { checker: "liveness", what });
            }
            self.step()?;
        }
        Ok(())
    }

    /// What the nodes are up to, for a person who wonders why nothing happens.
    fn state(&self) -> String {
        let machine = |machine: &crate::machine::Machine| {
            let seen = machine.node.borrow().upgrade().map(|node| {
                let seen = node.consensus().observe();
                format!(
                    "term {} leader {:?} last {:?} committed {:?} applied {:?} voters {} learners {}",
                    seen.term,
                    seen.leader,
                    seen.last_log,
                    seen.committed.map(|position| position.index),
                    seen.applied.map(|position| position.index),
                    seen.voters.len(),
                    seen.learners.len()
                )
            });
            let seen = seen.unwrap_or_else(|| "not running".to_owned());
            let name = &machine.name;
            format!("\n    {name}: ready {} probed {}, {seen}", machine.ready.get(), machine.probed.get())
        };
        self.world.shared().members().map(machine).collect()
    }

    fn assembled(&self) -> bool {
        let members = self.world.shared().members().count();
        self.world.shared().members().all(|machine| {
            machine.ready.get()
                && machine.node.borrow().upgrade().is_some_and(|node| {
                    let seen = node.consensus().observe();
                    seen.voters.len() == members && !seen.changing
                })
        })
    }

    fn probed(&self) -> bool {
        self.world.shared().members().all(|machine| machine.probed.get() && !machine.leaving.get())
    }

    /// Whether all nodes have a certificate of one and the same authority, and believe no other.
    fn certified(&self) -> bool {
        let shared = self.world.shared();
        let mut pins = shared.members().map(|machine| {
            let mesh = machine.node.borrow().upgrade()?.mesh().clone();
            let (pin, trust) = (mesh.identity().pin(), mesh.trust());
            (pin == trust.pin() && !trust.is_handing_over()).then_some(pin)
        });
        let first = pins.next().flatten();
        first.is_some() && pins.all(|pin| pin == first) && shared.rotations.get() == 0
    }

    /// Whether all nodes run, agree on one leader, and hold the same state.
    fn equal(&self) -> bool {
        let mut leaders = self.world.shared().members().map(|machine| {
            machine.node.borrow().upgrade().and_then(|node| node.consensus().observe().leader)
        });
        let Some(Some(leader)) = leaders.next() else { return false };
        if !leaders.all(|other| other == Some(leader)) {
            return false;
        }
        let states = watcher::states(self.world.shared());
        let mut prints = states.values();
        let first = prints.next();
        states.len() == self.world.shared().members().count() && prints.all(|print| Some(print) == first)
    }

    fn ending(&self) -> Ending {
        let shared = self.world.shared();
        let finals = shared.finals.borrow().clone();
        Ending {
            history: shared.history.ops(),
            journals: shared.journals.clone(),
            // Without the last reads the run has failed already, and states tell nothing.
            states: if finals.is_some() { watcher::states(shared) } else { Default::default() },
            finals: finals.unwrap_or_default(),
        }
    }

    fn report(&self, violations: Vec<Violation>, real: Duration) -> Report {
        let shared = self.world.shared();
        let of = |which: fn(&Op) -> bool| shared.history.tally(which);
        Report {
            options: shared.options.clone(),
            simulated: self.world.now(),
            real,
            fired: self.plan.fired().clone(),
            writes: of(|op| matches!(op.asked, Asked::Write { .. } | Asked::Swap { .. } | Asked::Delete)),
            reads: of(|op| op.asked == Asked::Read),
            stale_reads: of(|op| op.asked == Asked::ReadStale),
            calls: of(|op| matches!(op.asked, Asked::Echo { .. })),
            loads: shared.journals.load.tally(),
            others: Kind::of(&shared.options)
                .into_iter()
                .map(|kind| (kind, shared.journals.tally(kind)))
                .collect(),
            history: shared.history.ops(),
            begun: self.begun,
            leaders: self.leaders.clone(),
            trace: shared.trace.clone(),
            violations,
        }
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
