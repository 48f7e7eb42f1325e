//! `./dev bench`: what three nodes on this machine do, beside etcd with the same load from the same tool in one run.
//!
//! Nothing here is a test: figures depend on the machine and on what else it does, so they are printed, not asserted.

#![allow(clippy::disallowed_methods, reason = "it measures real processes in real time")]

mod etcd;
mod footprint;
mod frame;
mod load;

use anyhow::{Context, bail};
use clap::Parser;
use etcd::Etcd;
use load::{Figure, Load, Target};
use micro_tests::{Cluster, Greeter, until};
use std::{fs, path::PathBuf, process::ExitCode, time::Duration};

/// Measures three nodes on this machine beside etcd
#[derive(Debug, Parser)]
struct Options {
    /// A tenth of the work and one run of each: to see that it works
    #[arg(long)]
    quick: bool,
    /// Leave etcd out
    #[arg(long)]
    no_etcd: bool,
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where etcd is kept between runs
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    cache: PathBuf,
}

/// What is asked for: how much, at how many connections and streams, and how many times what etcd does.
struct Row {
    name: &'static str,
    requests: u32,
    connections: u32,
    streams: u32,
    bar: f64,
}

/// The bars are what the project promises itself: a fifth more at one in flight, twice and three times as much under
/// load, where batching pays.
const PUTS: [Row; 3] = [
    Row { name: "put, 1 in flight", requests: 1_500, connections: 1, streams: 1, bar: 1.2 },
    Row { name: "put, 64", requests: 12_000, connections: 1, streams: 64, bar: 2.0 },
    Row { name: "put, 512", requests: 40_000, connections: 8, streams: 64, bar: 3.0 },
];
const READ: Row =
    Row { name: "linearizable read, 512", requests: 60_000, connections: 8, streams: 64, bar: 1.8 };
const STALE: Row = Row { name: "stale read, 512", requests: 60_000, connections: 8, streams: 64, bar: 0.0 };

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir().context("a folder for requests and logs")?;
    let runs = if options.quick { 1 } else { 3 };
    let load = Load { scratch: scratch.path().to_owned(), runs, share: if options.quick { 10 } else { 1 } };
    let mut figures = Vec::new();

    eprintln!("==> start and memory of one node");
    figures.extend(footprint::measure(runs).await?);

    eprintln!("==> three nodes");
    let mut cluster = Cluster::of(3).await?;
    let leader = cluster.leader(0).await?;
    let follower = (leader + 1) % cluster.members.len();
    let ours: Vec<(&str, Target)> = [("leader", leader), ("follower", follower)]
        .into_iter()
        .map(|(role, index)| {
            let at = cluster.members[index].at();
            let secret = fs::read_to_string(&at.admin_secret_file).context("the admin secret")?;
            let header = format!("authorization: Bearer {}", secret.trim());
            Ok((role, Target { base: format!("http://{}/micro.v1.Store", at.proxy), header: Some(header) }))
        })
        .collect::<anyhow::Result<_>>()?;
    let etcd = if options.no_etcd { None } else { Some(Etcd::start(&options.cache, scratch.path()).await?) };
    let theirs = etcd.as_ref().map(Etcd::target);

    for (role, target) in &ours {
        for row in &PUTS {
            figures.push(
                compare(&load, row, role, (target, "Write", &frame::write()), theirs, ("Put", &frame::put()))
                    .await?,
            );
        }
        figures.push(
            compare(
                &load,
                &READ,
                role,
                (target, "Read", &frame::read(false)),
                theirs,
                ("Range", &frame::range()),
            )
            .await?,
        );
        figures
            .push(compare(&load, &STALE, role, (target, "Read", &frame::read(true)), None, ("", &[])).await?);
    }
    check_value(&cluster, follower).await?;
    drop(etcd);

    eprintln!("==> calls of a service");
    let greeter = Greeter::start(cluster.root(), &cluster.members[leader], false)?;
    for (path, index) in [("call on the same node", leader), ("call across one link", follower)] {
        let api = cluster.members[index].at().api;
        until("the service is known", Duration::from_secs(10), async || {
            let answer = micro_tests::post(api, "/helloworld/call", r#"{"name":"x"}"#).await?;
            anyhow::ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        })
        .await?;
        let target = Target { base: format!("http://{api}/helloworld"), header: None };
        for (flight, connections, streams, requests) in [("1 in flight", 1, 1, 2_000), ("64", 1, 64, 40_000)]
        {
            let row = Row { name: "", requests, connections, streams, bar: 0.0 };
            let body = br#"{"name":"Jane"}"#;
            let mut figure = load.measure(&row, &target, "call", body, "application/json").await?;
            figure.name = format!("{path}, {flight}");
            figures.push(figure);
        }
    }
    greeter.kill().await?;
    cluster.stop().await?;

    print(&figures);
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_vec_pretty(&figures)?).context("the file of figures")?;
    }
    Ok(())
}

/// One row, ours and theirs in turn, so that a machine that drifts drifts for both.
async fn compare(
    load: &Load,
    row: &Row,
    role: &str,
    (ours, method, frame): (&Target, &str, &[u8]),
    theirs: Option<&Target>,
    (their_method, their_frame): (&str, &[u8]),
) -> anyhow::Result<Figure> {
    eprintln!("==> {} through the {role}", row.name);
    let grpc = "application/grpc";
    let mut figure = load.measure(row, ours, method, frame, grpc).await?;
    figure.name = format!("{} through the {role}", row.name);
    if let Some(theirs) = theirs {
        let other = load.measure(row, theirs, their_method, their_frame, grpc).await?;
        figure.beside(&other, row.bar);
    }
    Ok(figure)
}

/// The load tool counts answers, not what is in them: so a record that it wrote is read back.
async fn check_value(cluster: &Cluster, index: usize) -> anyhow::Result<()> {
    let read = cluster.cli(index)?.ok(&["store", "read", frame::KEY]).await?;
    if read.as_bytes() != frame::VALUE {
        bail!("the record that was written under load reads {} bytes", read.len());
    }
    Ok(())
}

fn print(figures: &[Figure]) {
    println!("{:<44} {:>12} {:>10} {:>10} {:>12} {:>7}", "WHAT", "OURS", "P50", "P99", "ETCD", "RATIO");
    for figure in figures {
        println!("{figure}");
    }
}
