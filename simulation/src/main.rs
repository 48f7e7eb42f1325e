//! `micro-simulation`: runs seeds and says what happened.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use micro_simulation::{
    options::{Options, PlantedBug},
    run,
    workload::Kind,
};
use std::{
    collections::VecDeque,
    fs,
    ops::RangeInclusive,
    path::PathBuf,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

/// Runs the real node in a hostile, repeatable world.
///
/// The same seed, nodes and minutes give the same run, byte for byte, on every machine of one architecture
/// with one build.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where all chance comes from.
    #[arg(long, default_value_t = 1, conflicts_with = "seeds")]
    seed: u64,
    /// Many seeds, each in a process of its own, as many at once as there are cores.
    #[arg(long, value_name = "FIRST..LAST", value_parser = parse_seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// How many nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// How long faults go on, in simulated minutes.
    #[arg(long, default_value_t = 5.0, value_parser = parse_minutes)]
    minutes: f64,
    /// What clients do beside registers and calls, instead of what the seed draws.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    workloads: Option<Vec<Kind>>,
    /// Puts a bug in, to see it found.
    #[arg(long, value_name = "NAME")]
    planted_bug: Option<PlantedBug>,
    /// Writes every event to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    trace: Option<PathBuf>,
    /// Shows every event on standard error as it happens.
    #[arg(long, conflicts_with = "seeds")]
    show: bool,
    /// Shows the nodes' own logs on standard error, filtered as RUST_LOG is: `info,micro_consensus=debug`.
    #[arg(long, value_name = "FILTER", conflicts_with = "seeds")]
    log: Option<String>,
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    let minutes: f64 = text.parse().map_err(|_| format!("{text:?} is not a number of minutes"))?;
    if (0.01..=10_000.0).contains(&minutes) {
        Ok(minutes)
    } else {
        Err("choose 0.01 to 10000 minutes".to_owned())
    }
}

fn parse_seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let bounds =
        text.split_once("..").and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match bounds {
        Some((first, last)) if first <= last => Ok(first..=last),
        _ => Err(format!("{text:?} is not a range of seeds such as 1..50")),
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.seeds.clone() {
        Some(seeds) => run_all(&arguments, seeds),
        None => run_one(&arguments),
    }
}

/// Runs one seed in this process.
fn run_one(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(filter) = &arguments.log {
        micro_simulation::log::show(filter).context("the filter of --log")?;
    }
    let report = run::run(Options {
        nodes: arguments.nodes.into(),
        storm: Duration::from_secs_f64(arguments.minutes * 60.0),
        workloads: arguments.workloads.clone(),
        planted_bug: arguments.planted_bug,
        show: arguments.show,
        ..Options::new(arguments.seed)
    });
    if let Some(path) = &arguments.trace {
        write_trace(path, &report.trace.text())?;
    }
    println!("{report}");
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[allow(clippy::disallowed_methods, reason = "a tool's own output, outside of any simulated node")]
fn write_trace(path: &PathBuf, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write the trace to {}", path.display()))
}

/// Runs many seeds, each in a process of its own: state that is made once a process would let one run touch
/// the next.
fn run_all(arguments: &Arguments, seeds: RangeInclusive<u64>) -> Result<ExitCode> {
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let mut running: VecDeque<(u64, Child)> = VecDeque::new();
    let (mut good, mut bad) = (0_u64, Vec::new());
    for seed in seeds {
        if running.len() >= at_once {
            finish(&mut running, &mut good, &mut bad)?;
        }
        running.push_back((seed, spawn(arguments, seed)?));
    }
    while !running.is_empty() {
        finish(&mut running, &mut good, &mut bad)?;
    }
    println!("{good} seeds were good, {} were not{}", bad.len(), if bad.is_empty() { "" } else { ":" });
    for seed in &bad {
        println!("  ./dev sim {}", flags(arguments, *seed).join(" "));
    }
    Ok(if bad.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The flags that run one seed, here and when a person runs it again: all that the run depends on.
fn flags(arguments: &Arguments, seed: u64) -> Vec<String> {
    let Arguments { nodes, minutes, workloads, planted_bug, .. } = arguments;
    let mut flags =
        ["--seed", &seed.to_string(), "--nodes", &nodes.to_string(), "--minutes", &minutes.to_string()]
            .map(str::to_owned)
            .to_vec();
    if let Some(kinds) = workloads {
        flags.extend([
            "--workloads".to_owned(),
            kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(","),
        ]);
    }
    if let Some(bug) = planted_bug {
        flags.extend(["--planted-bug".to_owned(), bug.to_string()]);
    }
    flags
}

fn spawn(arguments: &Arguments, seed: u64) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program to run it again")?;
    let mut command = Command::new(program);
    command
        .args(flags(arguments, seed))
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a process for a seed")
}

/// Waits for the seed that was started first and shows what it said.
fn finish(running: &mut VecDeque<(u64, Child)>, good: &mut u64, bad: &mut Vec<u64>) -> Result<()> {
    let Some((seed, child)) = running.pop_front() else { return Ok(()) };
    let output = child.wait_with_output().with_context(|| format!("lost the process of seed {seed}"))?;
    ensure!(output.status.code().is_some(), "the process of seed {seed} was killed: {}", output.status);
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if output.status.success() {
        *good += 1;
    } else {
        bad.push(seed);
    }
    Ok(())
}
