//! How fast simulated time passes, as the simulation itself says.

use crate::{figure::Figure, selection::Selection};
use anyhow::{Context, ensure};
use std::path::Path;
use tokio::process::Command;

/// The seed. Any would do; one alone makes figures of different days comparable.
const SEED: u64 = 7;

/// Runs the simulation with three and with five nodes.
///
/// # Errors
/// If it is not built beside this program, or says nothing of its speed.
pub async fn measure(selection: &Selection, minutes: f64) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for nodes in [3, 5] {
        let name = format!("simulated seconds a second, {nodes} nodes");
        if selection.wants(&name) {
            eprint!("==> {name}:");
            let speed = speed(nodes, minutes).await?;
            eprintln!("  {speed}");
            figures.push(Figure::plain(&name, speed, "s/s", None));
        }
    }
    Ok(figures)
}

async fn speed(nodes: u32, minutes: f64) -> anyhow::Result<f64> {
    // The one that `./dev sim` runs, which is not built as the nodes are.
    let here = std::env::current_exe()?;
    let target = here.parent().and_then(Path::parent).context("the folder of this program")?;
    let program = target.join("debug/micro-simulation");
    ensure!(program.exists(), "{} is not built", program.display());
    let mut command = Command::new(program);
    command.args(["--seed", &SEED.to_string(), "--nodes", &nodes.to_string()]);
    command.args(["--minutes", &minutes.to_string()]);
    let output = command.kill_on_drop(true).output().await.context("micro-simulation")?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        eprintln!("\nthe simulated run was not a good one:\n{said}");
    }
    // "  time        95.2 s simulated in 11.9 s, 8.0 times as fast"
    let speed = said.lines().find_map(|line| line.strip_suffix(" times as fast")?.rsplit(' ').next());
    let speed = speed.with_context(|| format!("the simulation did not say how fast it was: {said}"))?;
    speed.parse().with_context(|| format!("the simulation's speed {speed}"))
}
