//! `./dev cluster N`: a mesh on free loopback ports, for as long as this program runs.

use anyhow::Context;
use clap::Parser;
use micro_tests::{Cluster, Plan, asked_to_end};
use serde_json::json;
use std::process::ExitCode;

/// Starts nodes on free loopback ports, joins them to one mesh, and ends them with itself.
#[derive(Parser)]
#[command(name = "./dev cluster")]
struct Arguments {
    /// How many nodes.
    #[arg(default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    size: u16,
    /// Print one line of JSON once all are ready.
    #[arg(long)]
    json: bool,
    /// Further arguments of each `micro-node start`, after `--`.
    #[arg(last = true)]
    extra: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("✘ {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let asked_to_end = asked_to_end();
    tokio::pin!(asked_to_end);

    let plan = Plan { size: arguments.size.into(), keep: false, extra: arguments.extra };
    let mut progress = |step: &str| eprintln!("{step}");
    let started = tokio::select! {
        biased;
        // What has been started by then is killed when the unfinished start is dropped.
        asked = &mut asked_to_end => return asked.map(drop),
        started = Cluster::start(plan, &mut progress) => started,
    };
    let mut cluster = started.context("the cluster did not come up")?;
    announce(&cluster, arguments.json)?;
    asked_to_end.await?;
    cluster.stop().await
}

fn announce(cluster: &Cluster, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let nodes: Vec<_> = cluster.members.iter().map(|member| member.at()).collect();
        println!("{}", json!({ "nodes": nodes }));
        return Ok(());
    }
    for member in &cluster.members {
        let at = member.at();
        println!(
            "{:<10} pid {:<8} api http://{}  proxy {}  mesh {}",
            at.name, at.pid, at.api, at.proxy, at.mesh
        );
        println!("{:<10} micro-node --address {} status", "", member.address());
    }
    println!("Ctrl-C ends them all.");
    Ok(())
}
