//! The README's commands, run as they stand there.

use crate::tidy::tree;
use anyhow::{Context, bail};
use micro_tests::{Ready, program, until};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::process::{Child, Command};

/// For a command that follows one in the background: as long as a person would wait before reading on.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command of the README and what is shown below it.
struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands in ```console blocks: lines that start with `$ `, each with what is shown below.
fn steps(markdown: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in markdown.lines() {
        match line.strip_prefix("```") {
            Some("console") => inside = true,
            Some(_) => inside = false,
            None if !inside => (),
            None => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
                (None, Some(step)) => step.shown.push(line.to_owned()),
                (None, None) => (),
            },
        }
    }
    steps
}

/// Whether `line` is what `pattern` shows; `…` stands for anything, and runs of blanks are alike.
fn matches(pattern: &str, line: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (pattern, line) = (squeeze(pattern), squeeze(line));
    let mut parts = pattern.split('…');
    let Some(rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let mut rest = rest;
    let mut last = "";
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = part;
    }
    rest.is_empty()
        || (pattern.contains('…') && last.is_empty())
        || line.ends_with(last) && pattern.contains('…')
}

struct Shell<'a> {
    home: &'a Path,
    ready: Option<Ready>,
    background: Vec<Child>,
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        for child in &self.background {
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                kill_process_group(pid, Signal::KILL).ok();
            }
        }
    }
}

impl Shell<'_> {
    fn command(&self, line: &str) -> anyhow::Result<Command> {
        let programs = program("micro-node")?.parent().expect("a program lies in a folder").to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.home).kill_on_drop(true).stdin(Stdio::null());
        command
            .env("PATH", path)
            .env("HOME", self.home)
            .env("XDG_RUNTIME_DIR", self.home)
            .env("NO_COLOR", "1");
        command.env("MICRO_NODE_READY_FILE", self.home.join("ready.json"));
        // Root's default folder is one for the whole host: an earlier run must not be found in it.
        command.env("MICRO_NODE_DATA_DIR", self.home.join("data"));
        // Nor the settings that this host has for a node of its own.
        command.env("MICRO_NODE_CONFIG", "/dev/null");
        for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"] {
            command.env_remove(variable);
        }
        // The README's ports may be taken on this machine, so the node picks free ones and the text is adapted.
        for listener in ["MICRO_NODE_API", "MICRO_NODE_PROXY", "MICRO_NODE_DNS", "MICRO_NODE_MESH_LISTEN"] {
            command.env(listener, "127.0.0.1:0");
        }
        Ok(command)
    }

    async fn start(&mut self, line: &str) -> anyhow::Result<()> {
        let log = File::create(self.log(self.background.len()))?;
        let mut command = self.command(&format!("exec {line}"))?;
        // A group of its own, so that what a script has started ends with it.
        command.process_group(0).stdout(log.try_clone()?).stderr(log);
        self.background.push(command.spawn()?);
        if line.starts_with("micro-node start") && self.ready.is_none() {
            let file = self.home.join("ready.json");
            let read = async || Ok(serde_json::from_slice(&fs::read(&file)?)?);
            self.ready = Some(until("micro-node start", PATIENCE, read).await?);
        }
        Ok(())
    }

    /// Where a background program's output goes.
    fn log(&self, number: usize) -> PathBuf {
        self.home.join(format!("background-{number}.log"))
    }

    /// What the background programs have said.
    fn logs(&self) -> String {
        let logs = (0..self.background.len()).map(|number| fs::read_to_string(self.log(number)));
        logs.map(Result::unwrap_or_default).collect::<Vec<_>>().join("\n")
    }

    async fn run(&self, line: &str) -> anyhow::Result<String> {
        let mut line = line.to_owned();
        if let Some(ready) = &self.ready {
            line = line.replace("127.0.0.1:8080", &ready.api.to_string());
        }
        let output = self.command(&line)?.output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{line}: {}\n{said}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(said)
    }
}

#[tokio::test]
async fn the_readmes_commands_do_what_it_shows() -> anyhow::Result<()> {
    let steps = steps(&tree::text(&tree::root().join("README.md")));
    // ./dev has tests of its own; the path is set here anyway.
    let own = |step: &&Step| !step.command.starts_with("./dev") && !step.command.starts_with("export PATH");
    let steps: Vec<&Step> = steps.iter().filter(own).collect();
    assert!(steps.len() >= 8, "the README shows too little");
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let mut shell = Shell { home: home.path(), ready: None, background: Vec::new() };
    let walked = walk(&mut shell, &steps).await;
    walked.with_context(|| format!("the programs in the background said:\n{}", shell.logs()))
}

/// Runs each step, and compares what it says with what is shown.
async fn walk(shell: &mut Shell<'_>, steps: &[&Step]) -> anyhow::Result<()> {
    let mut after_background = false;
    for step in steps {
        println!("$ {}", step.command);
        if let Some(line) = step.command.strip_suffix('&') {
            shell.start(line.trim()).await?;
            after_background = true;
            continue;
        }
        let check = async || {
            let said = shell.run(&step.command).await?;
            let said: Vec<&str> = said.trim_end().lines().collect();
            compare(&step.shown, &said).with_context(|| format!("{}\n{}", step.command, said.join("\n")))
        };
        // People are slower than this, so that what was started in the background knows all of the mesh by then.
        if after_background { until(&step.command, PATIENCE, check).await? } else { check().await? }
    }
    Ok(())
}

/// Compares line by line; a line of `…` alone stands for any number of lines.
fn compare(shown: &[String], said: &[&str]) -> anyhow::Result<()> {
    let (mut shown, mut said) = (shown.iter().peekable(), said.iter().peekable());
    while let Some(pattern) = shown.next() {
        if pattern.trim() == "…" {
            match shown.peek() {
                None => return Ok(()),
                Some(next) => while said.next_if(|line| !matches(next, line)).is_some() {},
            }
            continue;
        }
        match said.next() {
            Some(line) if matches(pattern, line) => (),
            line => bail!("it shows {pattern:?}, and the program said {line:?}"),
        }
    }
    match said.next() {
        None => Ok(()),
        Some(line) => bail!("the program said more: {line:?}"),
    }
}

#[test]
fn what_is_shown_is_compared_with_room_for_what_changes() {
    assert!(matches("alpha  ready …", "alpha     ready   voter"));
    assert!(matches("{\"msg\":\"Hello Jane\"}", "{\"msg\":\"Hello Jane\"}"));
    assert!(!matches("alpha ready", "alpha ready voter"));
    assert!(!matches("alpha …", "bravo ready"));
    assert!(matches("… ready in … ms", "✔ ready in 180 ms"));
    let shown = ["a".to_owned(), "…".to_owned(), "z".to_owned()];
    assert!(compare(&shown, &["a", "b", "c", "z"]).is_ok());
    assert!(compare(&shown, &["a", "b"]).is_err());
}
