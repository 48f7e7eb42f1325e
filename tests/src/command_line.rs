//! `micro-node COMMAND` as a person types it.

use crate::{
    program,
    shapes::{Shapes, has_documents},
};
use anyhow::{Context, bail, ensure};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

/// Longer than the command line's own deadline, so that this one never speaks first.
const LIMIT: Duration = Duration::from_secs(60);

/// The command line, aimed at one node.
#[derive(Clone, Debug)]
pub struct CommandLine {
    program: PathBuf,
    address: Option<String>,
    home: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code; 128 and the signal's number if a signal ended it.
    pub code: i32,
    /// What it printed as data.
    pub stdout: String,
    /// What it said to the person.
    pub stderr: String,
}

impl CommandLine {
    /// A command line that talks to `address` (`unix:PATH` or `HOST:PORT`), or to where it would by itself. It finds no
    /// settings of the person who runs it: its home is `home`.
    ///
    /// # Errors
    /// If `micro-node` is not built.
    pub fn new(address: Option<String>, home: &Path) -> anyhow::Result<Self> {
        Ok(CommandLine { program: program("micro-node")?, address, home: home.to_owned() })
    }

    /// Runs a command to its end. Each document that it prints has to be of the shape that it names.
    ///
    /// # Errors
    /// If it cannot be run, does not end within a minute, or prints a document of another shape. An exit code other
    /// than 0 is an [`Outcome`].
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<Outcome> {
        self.run_with_input(arguments, "").await
    }

    /// The same with this on stdin.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> anyhow::Result<Outcome> {
        let mut command = Command::new(&self.program);
        isolate(&mut command, &self.home);
        if let Some(address) = &self.address {
            command.args(["--address", address]);
        }
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.args(arguments).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let spoken = || format!("micro-node {}", arguments.join(" "));
        let mut process = command.spawn().with_context(spoken)?;
        let stdin = process.stdin.take();
        let told = async {
            if let Some(mut stdin) = stdin {
                // It may have ended before it read all.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let Ok((output, ())) = timeout(LIMIT, async { tokio::join!(process.wait_with_output(), told) }).await
        else {
            bail!("{} did not end within {LIMIT:?}", spoken());
        };
        let output = output.with_context(spoken)?;
        let outcome = Outcome {
            code: exit_code(output.status),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if has_documents(&outcome) {
            Shapes::told().await?.check(&outcome).with_context(spoken)?;
        }
        Ok(outcome)
    }

    /// Runs a command that must succeed, and returns what it printed, without the last line's end.
    ///
    /// # Errors
    /// If its exit code is not 0: then with what it said.
    pub async fn ok(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let outcome = self.run(arguments).await?;
        ensure!(
            outcome.code == 0,
            "micro-node {} ended with {}: {}",
            arguments.join(" "),
            outcome.code,
            outcome.stderr.trim()
        );
        Ok(outcome.stdout.trim_end().to_owned())
    }

    /// Runs a command that must succeed and print JSON.
    ///
    /// # Errors
    /// If its exit code is not 0, or what it prints is not JSON.
    pub async fn json(&self, arguments: &[&str]) -> anyhow::Result<serde_json::Value> {
        let text = self.ok(arguments).await?;
        serde_json::from_str(&text).with_context(|| format!("{} printed: {text}", arguments.join(" ")))
    }
}

/// Takes away what the person at this terminal, and this host, have set for micro-node.
pub(crate) fn isolate(command: &mut Command, home: &Path) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MICRO_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", home).env("NO_COLOR", "1").env_remove("COLUMNS");
    // A host that has a node has its file too.
    command.env("MICRO_NODE_CONFIG", "/dev/null");
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
}

/// The code a shell would show.
pub(crate) fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
