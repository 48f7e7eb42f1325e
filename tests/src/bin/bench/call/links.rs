//! What a link carries where no door and no service is at its ends: measured in a process of its own, which has both
//! nodes, each on a thread.

use crate::{
    figure::{Bar, Figure, median},
    selection::Selection,
};
use anyhow::{Context, ensure};
use micro_tests::program;
use serde_json::Value;
use tokio::process::Command;

/// The calls a second that two nodes are to do with each other, with a core each.
const CALLS: f64 = 60_000.0;
/// The share of what a plain stream of quinn carries that is left of it.
const OF_QUINN: f64 = 0.8;
const RATES: [(&str, &str, Option<f64>); 3] = [
    ("node to node, 256 B, 1 in flight", "calls_1", None),
    ("node to node, 256 B, 64 in flight", "calls_64", Some(CALLS)),
    ("node to node, 256 B, 512 in flight", "calls_512", Some(CALLS)),
];
/// What carries snapshots and blobs, and what carries the streams of services.
const STREAMS: [(&str, &str); 2] =
    [("bulk lane of a link", "lane_bytes"), ("stream of a service over a link", "conversation_bytes")];

/// Measures what is wanted: the median of so many runs, each with one in `share` of the work.
///
/// # Errors
/// If the program is not built, or prints something else.
pub async fn measure(selection: &Selection, runs: usize, share: u32) -> anyhow::Result<Vec<Figure>> {
    let wanted = |name: &str| selection.wants(name);
    if !RATES.iter().any(|row| wanted(row.0)) && !STREAMS.iter().any(|row| wanted(row.0)) {
        return Ok(Vec::new());
    }
    eprint!("==> two nodes:");
    let mut told = Vec::new();
    for _ in 0..runs {
        told.push(run(share).await?);
        eprint!("  {}", told[told.len() - 1]);
    }
    eprintln!();
    let of = |member: &str| {
        let values =
            told.iter().map(|told| told[member].as_f64().with_context(|| format!("{member} in {told}")));
        Ok::<_, anyhow::Error>(median(&values.collect::<anyhow::Result<Vec<_>>>()?))
    };
    let mut figures = Vec::new();
    for (name, member, least) in RATES.into_iter().filter(|row| wanted(row.0)) {
        figures.push(Figure::plain(name, of(member)?, "/s", least.map(Bar::AtLeast)));
    }
    for (name, member) in STREAMS.into_iter().filter(|row| wanted(row.0)) {
        let (ours, quinn) = (of(member)?, of("quinn_bytes")?);
        figures.push(Figure::plain(name, ours / 1e6, "MB/s", None));
        let share = format!("{name}, of plain quinn");
        figures.push(Figure::plain(&share, ours / quinn, "", Some(Bar::AtLeast(OF_QUINN))));
    }
    Ok(figures)
}

async fn run(share: u32) -> anyhow::Result<Value> {
    let mut command = Command::new(program("links")?);
    let output = command.arg(share.to_string()).kill_on_drop(true).output().await.context("links")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}
