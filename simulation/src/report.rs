//! What is told of a run.

use crate::{
    checkers::Violation,
    options::Options,
    trace::Trace,
    workload::{Kind, Op, Tally},
};
use std::{collections::BTreeMap, fmt, time::Duration};

/// What is told of a run.
pub struct Report {
    /// What the run was told.
    pub options: Options,
    /// How much time passed in the world.
    pub simulated: Duration,
    /// How much it took.
    pub real: Duration,
    /// How often each kind of fault happened.
    pub fired: BTreeMap<&'static str, u64>,
    /// Writes, swaps and deletes.
    pub writes: Tally,
    /// Linearizable reads.
    pub reads: Tally,
    /// Stale reads.
    pub stale_reads: Tally,
    /// Calls of the echo service.
    pub calls: Tally,
    /// What hosts were loaded with.
    pub loads: Tally,
    /// Of other kinds of work.
    pub others: Vec<(Kind, Tally)>,
    /// All that the clients of registers asked and were told.
    pub history: Vec<Op>,
    /// When clients began.
    pub begun: Duration,
    /// Who led, each from when on.
    pub leaders: Vec<(Duration, String)>,
    /// Everything in order.
    pub trace: Trace,
    /// What must not be and was. Empty for a good run.
    pub violations: Vec<Violation>,
}

impl Report {
    /// The command that runs the same again.
    pub fn replay(&self) -> String {
        let Options { seed, nodes, storm, workloads, planted_bug, .. } = &self.options;
        let minutes = storm.as_secs_f64() / 60.0;
        let bug = planted_bug.map(|bug| format!(" --planted-bug {bug}")).unwrap_or_default();
        let kinds = workloads.as_ref().map(|kinds| kinds.iter().map(Kind::to_string).collect::<Vec<_>>());
        let kinds = kinds.map(|kinds| format!(" --workloads {}", kinds.join(","))).unwrap_or_default();
        format!("./dev sim --seed {seed} --nodes {nodes} --minutes {minutes}{kinds}{bug}")
    }

    /// Fails a test unless the run was good.
    ///
    /// # Panics
    /// If anything was violated, or if the run proved nothing: without faults, or without requests that
    /// were served.
    #[track_caller]
    pub fn expect_good(&self) {
        assert!(self.violations.is_empty(), "{self}");
        assert!(!self.fired.is_empty(), "no fault happened\n{self}");
        for (what, tally) in [
            ("writes", self.writes),
            ("reads", self.reads),
            ("stale reads", self.stale_reads),
            ("calls", self.calls),
        ] {
            assert!(tally.ok > 0, "no {what} were served\n{self}");
        }
        assert!(self.options.loads.is_empty() || self.loads.ok > 0, "no host was loaded\n{self}");
        for (kind, tally) in &self.others {
            assert!(tally.ok > 0, "nothing of {kind} was served\n{self}");
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (simulated, real) = (self.simulated.as_secs_f64(), self.real.as_secs_f64());
        let Options { seed, nodes, planted_bug, .. } = &self.options;
        write!(f, "seed {seed}, {nodes} nodes")?;
        if let Some(bug) = planted_bug {
            write!(f, ", with the planted bug {bug}")?;
        }
        let speed = simulated / real.max(f64::EPSILON);
        writeln!(f, "\n  time        {simulated:.1} s simulated in {real:.1} s, {speed:.1} times as fast")?;
        let fired: Vec<String> = self.fired.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "  faults      {}", if fired.is_empty() { "none".to_owned() } else { fired.join(", ") })?;
        for (name, tally) in [
            ("writes", self.writes),
            ("reads", self.reads),
            ("stale reads", self.stale_reads),
            ("calls", self.calls),
        ] {
            let Tally { ok, failed, unknown } = tally;
            writeln!(f, "  {name:<11} {ok} ok, {failed} failed with nothing done, {unknown} unknown")?;
        }
        if !self.options.loads.is_empty() {
            let Tally { ok, failed, unknown } = self.loads;
            writeln!(f, "  loads       {ok} ok, {failed} failed with nothing done, {unknown} unknown")?;
        }
        for (kind, Tally { ok, failed, unknown }) in &self.others {
            let name = kind.to_string();
            writeln!(f, "  {name:<11} {ok} ok, {failed} failed with nothing done, {unknown} unknown")?;
        }
        let totals = self.trace.totals();
        let (lines, datagrams, bytes) = (totals.lines, totals.datagrams, totals.bytes);
        writeln!(
            f,
            "  trace       {lines} lines, {datagrams} datagrams, {bytes} bytes, hash {:016x}",
            totals.hash
        )?;
        if self.violations.is_empty() {
            return write!(f, "  good: every invariant held, and all was well after the heal");
        }
        for violation in &self.violations {
            writeln!(f, "  VIOLATED    {violation}")?;
        }
        write!(f, "  replay with {}", self.replay())
    }
}
