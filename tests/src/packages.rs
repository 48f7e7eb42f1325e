//! Packages that others have written: fetched once per machine, beside the built programs, as a list names them.

use crate::program::program;
use anyhow::{Context, ensure};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// What says which packages a folder has. It is written last, so a fetch that broke off is begun again.
const DONE: &str = "fetched";

/// The folder `name` with all packages of `list`. Other tests wait while they are fetched, by the command that `fetch`
/// makes for an empty folder.
///
/// # Errors
/// If the command is not there, or fails: then with what it said.
pub(crate) async fn fetched(
    name: &'static str,
    list: &str,
    fetch: impl FnOnce(&Path) -> anyhow::Result<Command>,
) -> anyhow::Result<PathBuf> {
    let built = program("micro-node")?;
    let beside = built.parent().context("a program is in a folder")?.to_owned();
    let folder = beside.join(name);
    let _held = tokio::task::spawn_blocking(move || hold(&beside.join(format!("{name}.lock")))).await??;
    let done = folder.join(DONE);
    if fs::read_to_string(&done).is_ok_and(|fetched| fetched == list) {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    let mut command = fetch(&folder)?;
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("{:?}, to fetch {name}", command.as_std().get_program()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} could not be fetched: {said}");
    fs::write(done, list)?;
    Ok(folder)
}

/// Waits for the lock of a file.
fn hold(path: &Path) -> anyhow::Result<File> {
    let lock = File::create(path)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Takes away what this machine has set to stand between a client and a node on loopback.
pub(crate) fn without_proxies(command: &mut Command) {
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
}
