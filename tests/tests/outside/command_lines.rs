//! Bad command lines as files: `tests/corpus/cli`. Each is run as a person types it; it ends with the code and says
//! what the file says, as text and as JSON, and nothing is written by it but in a folder of its own.
//!
//! A case is a line `$ micro-node …`, as for a shell: `NAME=VALUE` before it are variables, single quotes hold words
//! together, `~` is the folder. Behind it stands the exit code with a part of what is said, and further parts
//! on lines of their own, indented. Lines that begin with `#` are for people.

use anyhow::{Context, ensure};
use futures::{StreamExt, stream};
use micro_tests::{Outcome, Shapes, program};
use std::{collections::BTreeSet, fs, path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// Longer than any of them waits, which is for nobody.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many run at once.
const AT_ONCE: usize = 4;

#[derive(Debug)]
struct Case {
    file: String,
    line: String,
    code: i32,
    parts: Vec<String>,
}

fn read(path: &Path) -> anyhow::Result<Vec<Case>> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut cases: Vec<Case> = Vec::new();
    for text in fs::read_to_string(path)?.lines().filter(|text| !text.is_empty() && !text.starts_with('#')) {
        if let Some(line) = text.strip_prefix("$ ") {
            cases.push(Case { file: file.clone(), line: line.to_owned(), code: -1, parts: Vec::new() });
            continue;
        }
        let case =
            cases.last_mut().with_context(|| format!("{file}: {text:?} stands before a command line"))?;
        match text.strip_prefix("  ") {
            Some(part) => case.parts.push(part.to_owned()),
            None => {
                let (code, part) = text.split_once(' ').with_context(|| format!("{file}: {text:?}"))?;
                case.code = code.parse().with_context(|| format!("{file}: {text:?}"))?;
                case.parts.push(part.to_owned());
            }
        }
    }
    Ok(cases)
}

/// The words of a line, and the variables before them.
pub(crate) fn words(line: &str, home: &Path) -> (Vec<(String, String)>, Vec<String>) {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            '~' if !quoted => word.get_or_insert_default().push_str(&home.to_string_lossy()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    let at = words.iter().position(|word| word == "micro-node").expect("a line runs micro-node");
    let arguments = words.split_off(at + 1);
    let variables = words.iter().filter_map(|word| word.split_once('='));
    (variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(), arguments)
}

/// Runs a line in a folder of its own, where nobody answers.
async fn run(case: &Case, json: bool) -> anyhow::Result<(i32, String, String)> {
    let folder = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let home = folder.path();
    let work = home.join("work");
    fs::create_dir(&work)?;
    fs::write(home.join("secret"), "hunter2\n")?;
    fs::write(home.join("empty"), "")?;
    let (variables, arguments) = words(&case.line, home);
    let mut command = Command::new(program("micro-node")?);
    command.env_clear().current_dir(&work).args(&arguments);
    command.env("PATH", "/usr/bin:/bin").env("HOME", home).env("NO_COLOR", "1");
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        command.env(name, home.join(name.to_ascii_lowercase()));
    }
    command.env("MICRO_NODE_DATA_DIR", home.join("data")).env("MICRO_NODE_SOCKET", home.join("node.sock"));
    command.env("MICRO_NODE_ADDRESS", format!("unix:{}", home.join("nobody.sock").display()));
    for listener in ["MICRO_NODE_API", "MICRO_NODE_PROXY", "MICRO_NODE_MESH_LISTEN"] {
        command.env(listener, "127.0.0.1:0");
    }
    if json {
        command.env("MICRO_NODE_OUTPUT", "json");
    }
    command.envs(variables).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.context("it does not end")??;
    ensure!(!home.join("data").exists(), "it has made a data directory");
    let left: BTreeSet<_> = fs::read_dir(&work)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    ensure!(left.is_empty(), "it has left {left:?} where it was run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr)))
}

async fn check(case: &Case) -> anyhow::Result<()> {
    let (code, stdout, stderr) = run(case, false).await?;
    ensure!(code == case.code, "it ends with {code}: {stderr}");
    ensure!(stdout.is_empty(), "a failure is data: {stdout}");
    ensure!(!stderr.contains("panicked"), "{stderr}");
    for part in &case.parts {
        ensure!(stderr.contains(part), "it does not say {part:?}: {stderr}");
    }
    // A format of its own is what such a line is about.
    if ["-o", "--output", "MICRO_NODE_OUTPUT"].iter().any(|flag| case.line.contains(flag)) {
        return Ok(());
    }
    ensure!(stderr.starts_with("error: "), "it begins otherwise: {stderr}");
    let (code, stdout, stderr) = run(case, true).await?;
    ensure!(code == case.code && stdout.is_empty(), "for programs it ends with {code}: {stdout}{stderr}");
    let document: serde_json::Value =
        serde_json::from_str(stderr.trim()).with_context(|| format!("no JSON: {stderr}"))?;
    ensure!(document["error"]["exit_code"] == case.code, "{document}");
    Shapes::told().await?.check(&Outcome { code, stdout, stderr })
}

#[tokio::test]
async fn bad_command_lines_are_refused_with_what_was_wrong() -> anyhow::Result<()> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/cli"))? {
        cases.extend(read(&entry?.path())?);
    }
    ensure!(cases.len() >= 150, "the corpus has shrunk to {}", cases.len());
    let lines: BTreeSet<&str> = cases.iter().map(|case| case.line.as_str()).collect();
    ensure!(lines.len() == cases.len(), "a line is there twice");
    let checks = stream::iter(&cases).map(|case| async move { (case, check(case).await) });
    let outcomes: Vec<_> = checks.buffer_unordered(AT_ONCE).collect().await;
    let findings: Vec<String> = outcomes
        .into_iter()
        .filter_map(|(case, outcome)| Some(format!("{}: {}\n  {:#}", case.file, case.line, outcome.err()?)))
        .collect();
    ensure!(findings.is_empty(), "{} of {}:\n{}", findings.len(), cases.len(), findings.join("\n"));
    Ok(())
}
