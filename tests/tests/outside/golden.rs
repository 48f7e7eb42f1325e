//! The help of every command, and what is said of the mistakes that people make, as they were when somebody last looked
//! at them: `tests/golden`. A change of a word is seen in review.
//!
//! `MICRO_NODE_BLESS=1 ./dev test golden` writes them anew.

use anyhow::{Context, ensure};
use micro_tests::{CommandLine, Outcome};
use serde_json::Value;
use std::{collections::BTreeMap, fs, path::PathBuf};
use tempfile::TempDir;

/// Set to have the files written.
const BLESS: &str = "MICRO_NODE_BLESS";
/// Stands before the flags that every command takes.
const GLOBALS: &str = "Global options:";
/// How many commands there are at least: what hides one hides its help too.
const COMMANDS_MIN: usize = 90;

/// The command line, in a folder that has nothing in it and where nobody answers.
fn nowhere() -> anyhow::Result<(TempDir, CommandLine)> {
    let folder = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let address = format!("unix:{}", folder.path().join("nobody.sock").display());
    let cli = CommandLine::new(Some(address), folder.path())?;
    Ok((folder, cli))
}

/// What a run says, without what is of this machine.
fn told(line: &str, outcome: &Outcome, folder: &TempDir) -> String {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    let said =
        said.replace(&folder.path().display().to_string(), "~").replace(env!("CARGO_PKG_VERSION"), "VERSION");
    let lines: Vec<&str> = said.lines().map(str::trim_end).collect();
    format!("$ micro-node {line}\n{}\n[{}]\n\n", lines.join("\n").trim_end(), outcome.code)
}

/// A help without the flags that every command takes, which are in the one of all commands.
fn own(help: &str) -> String {
    let mut shared = false;
    let own = |line: &&str| {
        shared = *line == GLOBALS || shared && (line.is_empty() || line.starts_with(' '));
        !shared
    };
    help.lines().filter(own).map(|line| format!("{line}\n")).collect()
}

/// The names of all commands below `command`, each with the words before it.
fn names(command: &Value, before: &str, found: &mut Vec<String>) {
    for below in command["commands"].as_array().into_iter().flatten() {
        let name = format!("{before}{}", below["name"].as_str().unwrap_or_default());
        names(below, &format!("{name} "), found);
        found.push(name);
    }
}

/// Where a golden file is.
pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(name)
}

/// Whether what the program says now is good, whatever the files say.
pub(crate) fn blesses() -> bool {
    std::env::var_os(BLESS).is_some_and(|value| !value.is_empty())
}

/// Compares texts with the files that have their names, or writes those.
pub(crate) fn compare(texts: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let mut findings = Vec::new();
    for (name, text) in texts {
        let path = path(name);
        if blesses() {
            fs::create_dir_all(path.parent().context("it is in a folder")?)?;
            fs::write(&path, text)?;
            continue;
        }
        let golden = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        if golden != *text {
            let pairs = golden.lines().zip(text.lines());
            let (line, (was, is)) = pairs.enumerate().find(|(_, (was, is))| was != is).unwrap_or((
                golden.lines().count().min(text.lines().count()),
                ("(an end)", "(more or less)"),
            ));
            findings.push(format!("{name}:{}:\n  was: {was}\n  is:  {is}", line + 1));
        }
    }
    ensure!(findings.is_empty(), "{}\nif it should be so, run with {BLESS}=1", findings.join("\n"));
    Ok(())
}

#[tokio::test]
async fn help_says_what_it_said() -> anyhow::Result<()> {
    let (folder, cli) = nowhere()?;
    let commands = cli.json(&["help", "--all", "--json"]).await?;
    let mut found = Vec::new();
    names(&commands["item"], "", &mut found);
    found.sort();
    ensure!(found.len() >= COMMANDS_MIN, "{} commands: {found:?}", found.len());
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let root = cli.run(&["--help"]).await?;
    texts.insert("micro-node.txt".to_owned(), told("--help", &root, &folder));
    for name in &found {
        let words: Vec<&str> = name.split(' ').chain(["--help"]).collect();
        let outcome = cli.run(&words).await?;
        ensure!(outcome.code == 0 && outcome.stderr.is_empty(), "{name}: {outcome:?}");
        let outcome = Outcome { stdout: own(&outcome.stdout), ..outcome };
        // A file holds a command with all below it.
        let file = format!("{}.txt", words[0]);
        *texts.entry(file).or_default() += &told(&words.join(" "), &outcome, &folder);
    }
    compare(&texts)
}

#[tokio::test]
async fn mistakes_are_answered_as_they_were() -> anyhow::Result<()> {
    let (folder, cli) = nowhere()?;
    let alone = CommandLine::new(None, folder.path())?;
    let mut text = String::new();
    for line in [
        "",
        "statsu",
        "store raed k",
        "store",
        "store read",
        "store write k",
        "store write k v --expiry 24",
        "store write k v --if-version x",
        "store list --limit 1001",
        "status",
        "status --nonsense",
        "status --socket ./node.sock",
        "status --adress 127.0.0.1:1",
        "-q",
        "-q store",
        "--timeout 10 status",
        "--address nowhere status",
        "--address 127.0.0.1:1 status",
        "-o nonsense status",
        "-t nobody status",
        "call helloworld call {not",
        "helloworld call --name=Jane",
        "config set a.b {not",
        "config set",
        "blob put",
        "login",
        "auth create rule r --scope",
        "token create --ttl 500ms",
        "start --api 0.0.0.0:8080",
        "start --api nonsense",
        "start --voters 4",
        "--address 127.0.0.1:1 start",
        "start --token @secret",
        "start --join 127.0.0.1:1",
        "start --api-tls-cert x",
        "start --acme-domain shop.example.org",
        "start --acme-domain *.example.org --acme-agree-tos",
        "cluster restore nothing --data-dir x",
        "completion nonsense",
        "env set nobody",
    ] {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        // Those that say where to go themselves are told nothing of it.
        let cli = if line.starts_with('-') { &alone } else { &cli };
        text += &told(line, &cli.run(&words).await?, &folder);
        // For programs the same is a line of JSON.
        if ["statsu", "status", "store read"].contains(&line) {
            let words = [&["-o", "json"], &words[..]].concat();
            text += &told(&words.join(" "), &cli.run(&words).await?, &folder);
        }
    }
    compare(&BTreeMap::from([("mistakes.txt".to_owned(), text)]))
}
