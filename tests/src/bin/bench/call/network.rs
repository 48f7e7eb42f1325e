//! A network of one's own, in which two addresses can't reach each other.

use anyhow::{Context, ensure};
use std::{env, net::Ipv4Addr, os::unix::process::CommandExt, process::Command};

/// Says that this program runs in that network.
const ENTERED: &str = "MICRO_NODE_BENCH_NETWORK";

/// The address of the first, second or third node.
pub fn address(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, u8::try_from(index + 2).expect("there are three nodes"))
}

/// Runs this program again in a network namespace of its own, where the first and the third address are cut off from
/// each other; returns if it is there already.
///
/// # Errors
/// If this user may not make a namespace, or `unshare` or `ip` is not there.
pub fn enter() -> anyhow::Result<()> {
    if env::var_os(ENTERED).is_some() {
        return Ok(());
    }
    let (first, third) = (address(0), address(2));
    // The rules of the host's own addresses come first by default, and would decide before ours.
    let script = format!(
        "ip link set lo up && ip rule add pref 100 lookup local && ip rule del pref 0 \
         && ip rule add pref 10 from {first} to {third} blackhole \
         && ip rule add pref 10 from {third} to {first} blackhole && exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script, "sh"]).arg(env::current_exe().context("this program")?);
    let error = command.args(env::args_os().skip(1)).env(ENTERED, "yes").exec();
    ensure!(
        error.raw_os_error().is_none(),
        "unshare, of the package util-linux, is needed, and root: {error}"
    );
    Ok(())
}
