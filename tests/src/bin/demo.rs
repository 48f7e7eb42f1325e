//! `./dev demo`: what the mesh is for, step by step, each answer checked.

#![allow(clippy::disallowed_methods, reason = "real processes live in real time")]

use anyhow::{Context, bail, ensure};
use clap::Parser;
use micro_tests::{Cluster, Greeter, Plan, asked_to_end, post, until};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

/// The promise for services: known everywhere within two seconds.
const ANNOUNCED: Duration = Duration::from_secs(2);

/// Until a new leader answers: an election takes a second or two, on a busy machine longer.
const RECOVERED: Duration = Duration::from_secs(20);

/// Three nodes, one service, a killed leader.
#[derive(Parser)]
#[command(name = "./dev demo")]
struct Arguments {
    /// Leave the mesh running, and print how to reach it.
    #[arg(long)]
    keep: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match until_asked_to_end(arguments.keep).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("✘ {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn until_asked_to_end(keep: bool) -> anyhow::Result<()> {
    tokio::select! {
        biased;
        // Dropping the unfinished demo ends the nodes that it has started.
        signal = asked_to_end() => bail!("ended by {}", signal?),
        outcome = demo(keep) => outcome,
    }
}

async fn demo(keep: bool) -> anyhow::Result<()> {
    let began = Instant::now();
    let plan = Plan { size: 3, keep, extra: Vec::new() };
    let mut cluster = Cluster::start(plan, &mut done).await?;
    match tour(&mut cluster, keep).await {
        Ok(greeter) if keep => farewell(&cluster, &greeter),
        // Nobody will miss this data, so nobody waits for a clean end.
        Ok(_) => cluster.kill_all().await,
        Err(error) => {
            for member in &cluster.members {
                eprintln!("{}", member.last_words());
            }
            cluster.kill_all().await;
            return Err(error.context("the demo did not get the right answer"));
        }
    }
    println!("All of it gave the right answer, in {:.1} s.", began.elapsed().as_secs_f64());
    Ok(())
}

/// The steps after the start. Returns the service, which runs for as long as it is held.
async fn tour(cluster: &mut Cluster, keep: bool) -> anyhow::Result<Greeter> {
    let leader = until("a leader", RECOVERED, async || cluster.leader(0).await).await?;
    // The service must survive the leader's end, so it lives on another node.
    let (host, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let name = |index: usize| cluster.members[index].name().to_owned();
    let (leader_name, host_name, other_name) = (name(leader), name(host), name(other));

    let greeter = Greeter::start(cluster.root(), &cluster.members[host], keep)?;
    until("helloworld known to the other node", ANNOUNCED + Duration::from_secs(3), async || {
        let services = cluster.cli(other)?.ok(&["services"]).await?;
        ensure!(services.contains("helloworld"), "services there: {services}");
        Ok(())
    })
    .await?;
    done(&format!("helloworld runs on {host_name} and is known on {other_name}"));

    greet(cluster, other).await?;
    done(&format!("called through {other_name}, by HTTP and by the command line"));

    cluster.cli(host)?.ok(&["store", "write", "greeting", "\"hello\""]).await?;
    read(cluster, other, "greeting", "\"hello\"").await?;
    done(&format!("written on {host_name}, read on {other_name}"));

    cluster.members[leader].kill().await?;
    done(&format!("{leader_name}, the leader, killed with SIGKILL"));

    let began = Instant::now();
    until("an answer without the old leader", RECOVERED, async || {
        read(cluster, other, "greeting", "\"hello\"").await
    })
    .await?;
    cluster.cli(other)?.ok(&["store", "write", "after", "\"the leader died\""]).await?;
    read(cluster, host, "after", "\"the leader died\"").await?;
    greet(cluster, other).await?;
    done(&format!(
        "still answers without it, {:.1} s later: reads, writes, calls",
        began.elapsed().as_secs_f64()
    ));

    cluster.members[leader].start(&[]).await?;
    read(cluster, leader, "after", "\"the leader died\"").await?;
    done(&format!("{leader_name} is back, and has what was written without it"));

    until("all three nodes ready", RECOVERED, async || all_is_well(cluster, other).await).await?;
    println!("\n$ micro-node status");
    println!("{}\n", cluster.cli(other)?.ok(&["status"]).await?);
    Ok(greeter)
}

async fn greet(cluster: &Cluster, through: usize) -> anyhow::Result<()> {
    let at = cluster.members[through].at();
    let answer = post(at.api, "/helloworld/call", r#"{"name":"Jane"}"#).await?;
    ensure!(answer.status == 200, "HTTP {}: {}", answer.status, answer.body);
    ensure!(answer.json()?["msg"] == "Hello Jane", "by HTTP: {}", answer.body);
    let cli = cluster.cli(through)?;
    let answer = cli.json(&["call", "helloworld", "Greeter.call", r#"{"name":"Jane"}"#]).await?;
    ensure!(answer["msg"] == "Hello Jane", "by the command line: {answer}");
    Ok(())
}

async fn read(cluster: &Cluster, through: usize, key: &str, wanted: &str) -> anyhow::Result<()> {
    let found = cluster.cli(through)?.ok(&["store", "read", key]).await?;
    ensure!(found == wanted, "{key} reads {found} on {}", cluster.members[through].name());
    Ok(())
}

async fn all_is_well(cluster: &Cluster, seen_by: usize) -> anyhow::Result<()> {
    let status = cluster.status(seen_by).await?;
    let nodes = status["nodes"].as_array().context("status has no nodes")?;
    let ready = nodes.iter().filter(|node| node["state"] == "ready").count();
    ensure!(ready == 3, "{ready} of 3 nodes are ready");
    ensure!(status["consensus"]["quorum"] == true, "no quorum");
    let critical = status["problems"].as_array().into_iter().flatten().find(|p| p["severity"] == "critical");
    ensure!(critical.is_none(), "status reports {critical:?}");
    Ok(())
}

/// Says that a step gave the right answer.
fn done(step: &str) {
    println!("✔ {step}");
}

fn farewell(cluster: &Cluster, greeter: &Greeter) {
    println!("The mesh goes on running:");
    let mut pids: Vec<String> = greeter.pid().iter().map(u32::to_string).collect();
    for member in &cluster.members {
        let at = member.at();
        pids.push(at.pid.to_string());
        println!("  {:<8} pid {:<8} http://{}/helloworld/call", at.name, at.pid, at.api);
        println!("  {:<8} micro-node --address {} status", "", member.address());
    }
    println!("Stop it:    kill {}", pids.join(" "));
    println!("Forget it:  rm -r {}", cluster.root().display());
}
