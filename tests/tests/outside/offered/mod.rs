//! What `micro-node service` answers for itself: the files of a folder, and programs that are run once a call.

mod files;
mod mounts;
mod runs;
pub(crate) mod strangers;

use anyhow::{Context, ensure};
use micro_tests::{Cluster, program, until};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

const SOON: Duration = Duration::from_secs(20);

/// A command that offers something.
struct Offered {
    command: Child,
    log: PathBuf,
}

impl Offered {
    /// Runs `micro-node service` at the node with this index, and waits until all nodes know of it.
    async fn start(cluster: &Cluster, index: usize, name: &str, words: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new(program("micro-node")?);
        command.env("HOME", cluster.root()).env("MICRO_NODE_CONFIG", "/dev/null");
        command.args(["--address", &cluster.members[index].address(), "service", "--name", name]);
        let log = cluster.root().join(format!("{name}.log"));
        let file = fs::File::create(&log)?;
        command.args(words).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let command = command.kill_on_drop(true).spawn()?;
        let offered = Offered { command, log };
        until(&format!("{name} is known"), SOON, async || {
            for index in 0..cluster.members.len() {
                let known = cluster.client(index).await?.service(name).await;
                ensure!(known.is_ok(), "{known:?} {}", offered.told());
            }
            Ok(())
        })
        .await?;
        Ok(offered)
    }

    /// What it has said.
    fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The port that it has opened.
    fn port(&self) -> anyhow::Result<SocketAddr> {
        let told = self.told();
        let found = told.lines().find_map(|line| {
            let (_, address) = line.split_once("the program at ").or(line.split_once("listens on http://"))?;
            address.trim().parse().ok()
        });
        found.with_context(|| format!("no port in {told:?}"))
    }

    /// Waits for its end.
    async fn code(&mut self) -> anyhow::Result<Option<i32>> {
        Ok(tokio::time::timeout(SOON, self.command.wait()).await.context("it does not end")??.code())
    }

    fn pid(&self) -> anyhow::Result<rustix::process::Pid> {
        let pid = self.command.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        pid.context("it runs")
    }
}

/// A script that can be run.
fn script(folder: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let file = folder.join(name);
    fs::write(&file, format!("#!/bin/sh\n{text}\n"))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(format!("exec://{}", file.display()))
}
