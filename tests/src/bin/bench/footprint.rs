//! What one node takes: time from exec to ready, and memory when idle.

use crate::{
    figure::{Bar, Figure, median},
    selection::Selection,
};
use anyhow::ensure;
use micro_tests::{Member, resident_kib};
use std::time::{Duration, Instant};

/// A start should be shorter than what people notice.
const START: Bar = Bar::AtMost(500.0);
/// A node that does nothing should fit any host.
pub const MEMORY: Bar = Bar::AtMost(60.0);

/// How long a node idles before its memory is read: what its start needed has been given back by then.
pub const IDLE: Duration = Duration::from_secs(10);

/// Longer than any start that is worth a figure.
const START_LIMIT: Duration = Duration::from_secs(60);

const FRESH: &str = "exec to ready, new directory";
const AGAIN: &str = "exec to ready, restart";
const IDLE_MEMORY: &str = "idle memory, one node";

/// Starts a node in a new directory and again on the same data, `runs` times.
///
/// # Errors
/// If it does not start or stop.
pub async fn measure(selection: &Selection, runs: usize) -> anyhow::Result<Vec<Figure>> {
    if !selection.wants_any(&[FRESH, AGAIN, IDLE_MEMORY]) {
        return Ok(Vec::new());
    }
    eprint!("==> exec to ready, new directory and restart:");
    let (mut fresh, mut again, mut memory) = (Vec::new(), Vec::new(), 0.0);
    for run in 1..=runs {
        let root = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let mut node = Member::new(root.path(), "alone", Vec::new())?;
        fresh.push(exec_to_ready_ms(&mut node).await?);
        if run == runs && selection.wants(IDLE_MEMORY) {
            tokio::time::sleep(IDLE).await;
            memory = resident_mb(node.at().pid)?;
        }
        node.stop().await?;
        again.push(exec_to_ready_ms(&mut node).await?);
        node.stop().await?;
        eprint!("  {:.0} {:.0} ms", fresh[run - 1], again[run - 1]);
    }
    eprintln!();
    let mut figures = vec![
        Figure::plain(FRESH, median(&fresh), "ms", Some(START)),
        Figure::plain(AGAIN, median(&again), "ms", Some(START)),
        Figure::plain(IDLE_MEMORY, memory, "MB", Some(MEMORY)),
    ];
    figures.retain(|figure| selection.wants(&figure.name));
    Ok(figures)
}

/// From before the process is made to the file that says it serves, looked for each millisecond.
async fn exec_to_ready_ms(node: &mut Member) -> anyhow::Result<f64> {
    let began = Instant::now();
    node.spawn(&[])?;
    while !node.ready_file().exists() {
        ensure!(node.is_running(), "the node has ended\n{}", node.last_words());
        ensure!(began.elapsed() < START_LIMIT, "the node is not ready\n{}", node.last_words());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    node.wait_ready().await?;
    Ok(took.as_secs_f64() * 1e3)
}

/// The resident memory of a process, in millions of bytes.
///
/// # Errors
/// If there is no such process.
pub fn resident_mb(pid: u32) -> anyhow::Result<f64> {
    Ok(resident_kib(pid)? as f64 * 1024.0 / 1e6)
}
