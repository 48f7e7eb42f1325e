//! What one node takes: time from exec to ready, and memory when idle.

use crate::load::Figure;
use anyhow::Context;
use micro_tests::Cluster;
use std::{
    fs,
    time::{Duration, Instant},
};

/// A node that does nothing should fit any host.
const MEMORY_MB_BAR: f64 = 60.0;
/// A start should be shorter than what people notice.
const START_MS_BAR: f64 = 500.0;
/// How long a node idles before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

/// Measures a node in a new directory and the same one restarted.
///
/// # Errors
/// If it does not start.
pub async fn measure(runs: usize) -> anyhow::Result<Vec<Figure>> {
    let (mut fresh, mut again, mut memory) = (Vec::new(), Vec::new(), 0.0);
    for run in 0..runs {
        let begun = Instant::now();
        let mut cluster = Cluster::of(1).await?;
        fresh.push(begun.elapsed().as_secs_f64() * 1e3);
        if run + 1 == runs {
            tokio::time::sleep(IDLE).await;
            memory = resident_mb(cluster.members[0].at().pid)?;
        }
        cluster.members[0].stop().await?;
        let begun = Instant::now();
        cluster.members[0].start(&[]).await?;
        again.push(begun.elapsed().as_secs_f64() * 1e3);
        cluster.stop().await?;
    }
    Ok(vec![
        figure("exec to ready, new directory", median(fresh), "ms", START_MS_BAR),
        figure("exec to ready, restart", median(again), "ms", START_MS_BAR),
        figure("memory of an idle node", memory, "MB", MEMORY_MB_BAR),
    ])
}

fn figure(name: &str, value: f64, unit: &'static str, bar: f64) -> Figure {
    let met = Some(value <= bar);
    Figure { name: name.to_owned(), value, unit, bar: Some(bar), met, ..Figure::default() }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The resident memory of a process (proc(5), `VmRSS`).
fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
    let kb: f64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kb / 1e3)
}
