//! What a process has in memory.

use anyhow::Context;
use std::fs;

/// The resident memory of a process (proc(5), `VmRSS`), in KiB.
///
/// # Errors
/// If there is no such process.
pub fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has memory")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS")
}
