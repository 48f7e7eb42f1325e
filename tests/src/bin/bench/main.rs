//! `./dev bench`: what nodes on this machine do, beside etcd or nginx with the same load from the same tool in one run.
//!
//! Nothing here is a test: figures depend on the machine and on what else it does, so they are printed, not asserted.
//! A bar that is missed is marked, and the exit code is 0 all the same; it is 1 only if something could not be
//! measured.

#![allow(clippy::disallowed_methods, reason = "it measures real processes in real time")]

mod api;
mod call;
mod calls;
mod contest;
mod etcd;
mod figure;
mod footprint;
mod frame;
mod load;
mod mesh;
mod report;
mod selection;
mod side;
mod simulated;
mod store;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use micro_tests::asked_to_end;
use report::Report;
use selection::Selection;
use std::{fs, path::PathBuf, process::ExitCode};

/// Measures nodes on this machine beside etcd, or beside nginx.
#[derive(Debug, Parser)]
#[command(name = "./dev bench")]
struct Arguments {
    /// What is measured.
    #[arg(default_value = "mesh")]
    part: Part,
    /// A twentieth of the requests and one run of each, to see that it works.
    #[arg(long)]
    quick: bool,
    /// Only rows with this in their name, such as "put", "512 in flight, leader" or "memory".
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Leave etcd out.
    #[arg(long)]
    no_etcd: bool,
    /// Write the figures to this file too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where etcd's program is kept between runs.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    cache: PathBuf,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Start, memory, puts and reads, calls, and the simulation.
    Mesh,
    /// The store: puts and reads, stalls, batches, transactions, watches, and how all grows with what is in it.
    Store,
    /// The HTTP api and the gRPC proxy, beside nginx and beside calls with nobody between.
    Api,
    /// gRPC calls on one node, over one link, and over two hops, beside calls with nobody between.
    Call,
}

/// How much is done.
struct Effort {
    /// Runs of each row: the median counts.
    runs: usize,
    /// Runs of each row that has a bar: on a machine that others share, rates are a third apart from one run to the
    /// next, and a bar is a matter of a few hundredths.
    runs_for_bar: usize,
    /// Starts of a node, which are short and scatter more.
    starts: usize,
    /// One in this many requests is sent.
    share: u32,
    /// Simulated minutes.
    minutes: f64,
}

const FULL: Effort = Effort { runs: 3, runs_for_bar: 7, starts: 5, share: 1, minutes: 1.0 };
const QUICK: Effort = Effort { runs: 1, runs_for_bar: 1, starts: 1, share: 20, minutes: 0.1 };

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.part == Part::Call
        && let Err(error) = call::enter()
    {
        eprintln!("✘ {error:#}");
        return ExitCode::FAILURE;
    }
    match until_asked_to_end(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("✘ {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn until_asked_to_end(arguments: Arguments) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        // Dropping the unfinished run ends all that it has started.
        signal = asked_to_end() => bail!("ended by {}", signal?),
        outcome = run(arguments) => outcome,
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Effort { runs, runs_for_bar, starts, share, minutes } = if arguments.quick { QUICK } else { FULL };
    let selection = Selection::new(arguments.only);
    let etcd = (!arguments.no_etcd).then_some(arguments.cache);

    let mut report = Report::new();
    let part = match arguments.part {
        Part::Mesh => mesh::Part::Mesh,
        Part::Store => mesh::Part::Store,
        Part::Api => {
            api::measure(&api::Plan { selection, runs: runs_for_bar, share }, &mut report).await;
            return finish(report, arguments.json);
        }
        Part::Call => {
            call::measure(&call::Plan { selection, runs, share }, &mut report).await;
            return finish(report, arguments.json);
        }
    };
    let is_mesh = part == mesh::Part::Mesh;
    if is_mesh {
        report.take("start and memory of one node", footprint::measure(&selection, starts).await);
    }
    let plan = mesh::Plan { part, selection: selection.clone(), runs, runs_for_bar, share, etcd };
    let outcome = mesh::measure(&plan, &mut report).await;
    report.take("three nodes", outcome.map(|()| Vec::new()));
    if is_mesh {
        report.take("simulation", simulated::measure(&selection, minutes).await);
    }
    finish(report, arguments.json)
}

fn finish(mut report: Report, json: Option<PathBuf>) -> anyhow::Result<()> {
    report.finish();
    if let Some(path) = &json {
        let text = serde_json::to_string_pretty(&report)?;
        fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    println!("{report}");
    ensure!(report.failures.is_empty(), "not everything could be measured");
    ensure!(!report.figures.is_empty(), "no row has this in its name");
    Ok(())
}
