//! What a call pays for being decided on: measured in a process of its own, by the code that decides.

use crate::{
    figure::{Bar, Figure},
    selection::Selection,
};
use anyhow::{Context, ensure};
use micro_tests::program;
use serde_json::Value;
use tokio::process::Command;

/// The check of a token that was verified before may take so long, in nanoseconds: a tenth of what a call costs the
/// door otherwise.
const TOKEN_NS: f64 = 3_000.0;
/// A decision by a thousand rules may take so long.
const RULES_NS: f64 = 1_000.0;
/// The rows, each with its member of what the program prints, and its bar.
const ROWS: [(&str, &str, f64); 2] = [
    ("check of a token that is remembered", "verify_ns", TOKEN_NS),
    ("decision by 1,000 rules", "authorize_ns", RULES_NS),
];

/// Measures what is wanted; the median of `runs` times as many runs as fit into the time of one row of calls.
///
/// # Errors
/// If the program is not built, or prints something else.
pub async fn measure(selection: &Selection, runs: usize) -> anyhow::Result<Vec<Figure>> {
    if !ROWS.iter().any(|(name, ..)| selection.wants(name)) {
        return Ok(Vec::new());
    }
    eprint!("==> decisions:");
    let mut command = Command::new(program("decisions")?);
    let output =
        command.arg((runs * 15).to_string()).kill_on_drop(true).output().await.context("decisions")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let mut figures = Vec::new();
    for (name, member, most) in ROWS {
        let value = told[member].as_f64().with_context(|| format!("{member} in {told}"))?;
        eprint!("  {value:.0} ns");
        if selection.wants(name) {
            figures.push(Figure::plain(name, value, "ns", Some(Bar::AtMost(most))));
        }
    }
    eprintln!();
    Ok(figures)
}
