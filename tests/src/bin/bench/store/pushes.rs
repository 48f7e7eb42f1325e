//! How long a change of the configuration takes to reach a running service.

use crate::{
    figure::{Bar, Figure, median},
    mesh::Plan,
    selection::Selection,
};
use anyhow::Context;
use micro_sdk::config::Config;
use micro_tests::Cluster;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How many changes are made, one after the other.
const CHANGES: u32 = 500;
/// Longer than any service should wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Who turns a switch does not wait for what follows.
const AT_ONCE: Bar = Bar::AtMost(100.0);

const USUAL: &str = "config change until a service has it";
const SLOWEST: &str = "slowest of many such changes";

/// Whether any row is wanted.
pub fn is_wanted(selection: &Selection) -> bool {
    selection.wants_any(&[USUAL, SLOWEST])
}

/// Changes a value at the leader, that a service at a follower watches: from the request to the new value there.
///
/// # Errors
/// If a change does not arrive.
pub async fn measure(
    cluster: &Cluster,
    (leader, follower): (usize, usize),
    plan: &Plan,
) -> anyhow::Result<Vec<Figure>> {
    let (writer, reader) = (cluster.client(leader).await?.config(), cluster.client(follower).await?);
    writer.set("pushed.n", 0).await?;
    let config = Config::for_service("pushed").mesh(&reader).require_mesh(PATIENCE).start().await?;
    let mut values = config.watch::<u32>("n")?;
    eprint!("==> {USUAL}:");
    let mut took = Vec::new();
    for n in 1..=(CHANGES / plan.share).max(10) {
        let began = Instant::now();
        writer.set("pushed.n", n).await?;
        timeout(PATIENCE, values.wait_for(|value| *value == n))
            .await
            .context("a service waits in vain")??;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let (usual, slowest) = (median(&took), took.iter().copied().fold(0.0, f64::max));
    eprintln!("  {usual:.1} ms, at most {slowest:.1} ms");
    let mut figures =
        vec![Figure::plain(USUAL, usual, "ms", None), Figure::plain(SLOWEST, slowest, "ms", Some(AT_ONCE))];
    figures.retain(|figure| plan.selection.wants(&figure.name));
    Ok(figures)
}
