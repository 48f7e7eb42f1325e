//! Bad configuration as files: `tests/corpus/config`. Each line is run against a node; it ends with a code and says
//! what the file says, repeats no secret, and the node goes on with the tree that it had.
//!
//! A case is a line `$ micro-node …`, as for a shell: single quotes hold words together, and `$(text*N)` is the text
//! N times. Behind it stand the codes that are right, parted by `|`, and a part of what is said. A line `@ NAME` makes
//! a file of the lines that follow and begin with `|`, or with `|x` if they are bytes in hexadecimal; NAME and `@NAME`
//! in later lines mean it. Cases of one file run in order. Lines that begin with `#` are for people.

use crate::command_lines::words;
use anyhow::{Context, ensure};
use futures::future::join_all;
use micro_tests::{Cluster, CommandLine, repeated, resident_kib};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What stands for a secret in all files.
const SECRET: &str = "hunter2";
/// The schema of the part `fixed`, which has values that fit it.
const SCHEMA: &str = r#"{
    "type": "object", "additionalProperties": false, "required": ["key"],
    "properties": {
        "key": {"type": "string", "minLength": 7}, "open": {"type": "boolean"},
        "limits": {"type": "object", "properties": {"items": {"type": "integer", "minimum": 0}}}
    }
}"#;
/// What a node may have in memory behind all of it, in KiB.
const RESIDENT_MAX_KIB: u64 = 512 << 10;

#[derive(Debug, Default)]
struct Case {
    line: String,
    codes: Vec<i32>,
    part: String,
}

/// The cases of a file, and the files in it by name, written below `folder`.
fn read(path: &Path, folder: &Path) -> anyhow::Result<(Vec<Case>, BTreeMap<String, PathBuf>)> {
    let (mut cases, mut files): (Vec<Case>, BTreeMap<String, Vec<u8>>) = Default::default();
    let mut open = String::new();
    for line in fs::read_to_string(path)?.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let context = || format!("{}: {line:.80}", path.display());
        if let Some(text) = line.strip_prefix("$ ") {
            cases.push(Case { line: repeated(text).with_context(context)?, ..Case::default() });
        } else if let Some(name) = line.strip_prefix("@ ") {
            name.clone_into(&mut open);
            files.insert(open.clone(), Vec::new());
        } else if let Some(text) = line.strip_prefix('|') {
            let file = files.get_mut(&open).with_context(context)?;
            match text.strip_prefix("x ") {
                Some(digits) => file.extend(bytes(digits).with_context(context)?),
                None => file.extend((repeated(text.strip_prefix(' ').unwrap_or(text))? + "\n").bytes()),
            }
        } else {
            let (codes, part) = line.split_once(' ').unwrap_or((line, ""));
            let case = cases.last_mut().with_context(context)?;
            case.codes = codes.split('|').map(str::parse).collect::<Result<_, _>>().with_context(context)?;
            part.clone_into(&mut case.part);
        }
    }
    let mut written = BTreeMap::new();
    for (name, bytes) in files {
        let path = folder.join(&name);
        fs::write(&path, bytes)?;
        written.insert(name, path);
    }
    Ok((cases, written))
}

fn bytes(digits: &str) -> anyhow::Result<Vec<u8>> {
    let pairs =
        digits.as_bytes().chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?));
    pairs.collect()
}

async fn check(
    (cli, home): (&CommandLine, &Path),
    case: &Case,
    files: &BTreeMap<String, PathBuf>,
) -> anyhow::Result<()> {
    let (_, words) = words(&case.line, Path::new("~"));
    let meant =
        |word: String| match (files.get(&word), word.strip_prefix('@').and_then(|name| files.get(name))) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(path)) => format!("@{}", path.display()),
            (None, None) => word,
        };
    let words: Vec<String> = words.into_iter().map(meant).collect();
    // What starts a node is told of none.
    let apart = CommandLine::new(None, home)?;
    let cli = if words.first().is_some_and(|word| word == "start") { &apart } else { cli };
    let outcome = cli.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(case.codes.contains(&outcome.code), "it ends with {}: {said:.500}", outcome.code);
    ensure!(said.contains(&case.part), "it does not say {:?}: {said:.500}", case.part);
    ensure!(!said.contains("panicked"), "{said:.500}");
    ensure!(outcome.code == 0 || outcome.stdout.is_empty(), "a failure is data: {said:.500}");
    ensure!(!said.contains(SECRET) || case.line.contains(SECRET), "it tells a secret: {said:.500}");
    Ok(())
}

#[tokio::test]
async fn bad_configuration_is_refused_with_what_was_wrong_and_changes_nothing() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let secret = cluster.root().join("secret");
    fs::write(&secret, SECRET)?;
    let secret = format!("@{}", secret.display());
    cli.ok(&["config", "set", "fixed.key", &secret, "--secret"]).await?;
    cli.ok(&["config", "set", "fixed.open", "true"]).await?;
    cli.ok(&["config", "schema", "fixed", SCHEMA]).await?;
    let mut corpus = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/config"))? {
        let path = entry?.path();
        let folder = cluster.root().join(path.file_stem().context("it has a name")?);
        fs::create_dir(&folder)?;
        corpus.push((path.clone(), read(&path, &folder)?));
    }
    let count: usize = corpus.iter().map(|(_, (cases, _))| cases.len()).sum();
    ensure!(count >= 120, "the corpus has shrunk to {count}");
    let (cli, cluster_cli) = ((&cli, cluster.root()), cluster.cli(0)?);
    let checks = corpus.iter().map(|(path, (cases, files))| async move {
        let mut findings = Vec::new();
        for case in cases {
            if let Err(error) = check(cli, case, files).await {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                findings.push(format!("{file}: {:.120}\n  {error:#}", case.line));
            }
        }
        findings
    });
    let findings = join_all(checks).await.concat();
    ensure!(findings.is_empty(), "{} of {count}:\n{}", findings.len(), findings.join("\n"));

    ensure!(cluster.members[0].is_running(), "{}", cluster.members[0].last_words());
    assert_eq!(cluster_cli.ok(&["config", "get", "fixed.key", "--show-secrets"]).await?, SECRET);
    assert_eq!(cluster_cli.ok(&["config", "get", "fixed.open"]).await?, "true");
    let resident = resident_kib(cluster.members[0].at().pid)?;
    ensure!(resident < RESIDENT_MAX_KIB, "it has {resident} KiB in memory");
    let log = fs::read_to_string(cluster.members[0].log())?;
    ensure!(!log.contains("panicked") && !log.contains(SECRET), "{}", cluster.members[0].last_words());
    Ok(())
}
