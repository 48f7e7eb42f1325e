//! Where the built programs are.

use anyhow::{Context, ensure};
use std::path::PathBuf;

/// The folder to take programs from, for a tool that drives those of another profile.
const PROGRAMS: &str = "MICRO_NODE_PROGRAMS";

/// The path of a program of this workspace: in the folder that `MICRO_NODE_PROGRAMS` names, else built in the same
/// profile as the one that asks.
///
/// # Errors
/// If it has not been built: tests and tools drive programs, and do not build them.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        let path = PathBuf::from(folder).join(name);
        ensure!(path.exists(), "{} is not there: {PROGRAMS} names another folder", path.display());
        return Ok(path);
    }
    let mut folder = std::env::current_exe().context("the path of this program")?;
    folder.pop();
    // Tests lie one folder deeper than programs.
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    ensure!(path.exists(), "{} is not built: run ./dev test, which builds it first", path.display());
    Ok(path)
}
