//! Defects that others had, as schedules: what led to each is done to us, while clients of all kinds work and all
//! checkers look. The names are those of the reports.

mod clients;
mod replicas;

use micro_simulation::{
    faults::{Move::AwaitSnapshot, Moves},
    options::Options,
    report::Report,
    run::run_schedule,
    workload::Kind,
};
use std::time::Duration;

/// How long clients work on after the last move.
const REST: Duration = Duration::from_secs(3);
/// How long a wait is taken to last.
const WAIT: Duration = Duration::from_secs(4);

#[track_caller]
fn holds(nodes: usize, kinds: &[Kind], moves: Moves) -> Report {
    let last: u64 = moves.iter().map(|(at, ..)| *at).max().unwrap_or(0);
    // Each wait puts off what comes after it.
    let waits = moves.iter().filter(|(.., what)| *what == AwaitSnapshot).map(|_| WAIT);
    let storm = Duration::from_millis(last) + REST + waits.sum::<Duration>();
    let options = Options { nodes, storm, workloads: Some(kinds.to_vec()), ..Options::new(1) };
    let report = run_schedule(options, moves);
    report.expect_good();
    report
}
