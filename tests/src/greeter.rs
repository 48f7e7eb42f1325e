//! The example service as a process, attached to one node.

use crate::{Member, command_line::isolate, program};
use anyhow::Context;
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Child;

/// A running `helloworld`.
pub struct Greeter {
    process: Child,
    log: PathBuf,
}

impl Greeter {
    /// Starts `helloworld` on the host of `member`; what it says goes to a file below `root`. It may outlive this
    /// program when `detached`.
    ///
    /// # Errors
    /// If it is not built or cannot be started.
    pub fn start(root: &Path, member: &Member, detached: bool) -> anyhow::Result<Self> {
        let file = root.join("helloworld.log");
        let log = File::options().create(true).append(true).open(&file)?;
        let mut command = member.command(&program("helloworld")?);
        isolate(&mut command, root);
        command.env("MICRO_NODE_ADDRESS", member.address());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(!detached);
        if detached {
            command.process_group(0);
        }
        Ok(Greeter { process: command.spawn().context("helloworld")?, log: file })
    }

    /// Where it takes calls itself, once it has said so.
    ///
    /// # Errors
    /// If it has not.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let said = fs::read_to_string(&self.log)?;
        let address = said.lines().rev().find_map(|line| line.split_once("listens on http://"));
        Ok(address.with_context(|| format!("helloworld only said: {said}"))?.1.trim().parse()?)
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// If it has ended before.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("SIGKILL for helloworld")
    }
}
