//! `micro-node audit verify`.

use super::{
    data_dir,
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::{NOTHING, Table, Tone},
};
use crate::audit::{Break, Digest, Trail};
use clap::Args;
use micro_sdk::client::{AuditBreak, AuditVerification, NodeAudit};
use schemars::JsonSchema;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The exit code where something is wrong, or a node told nothing.
const BROKEN: u8 = 1;

/// Have each node read its log through: whether each entry is as it was written, and none is missing
///
/// The exit code is 1 if not, and node, file and line are named; so are nodes that do not answer, with the same code.
/// It prints the hash of the last entry of each log: keep it elsewhere, and `--head` tells later that all up to there
/// is what it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node audit verify
  micro-node audit verify --node alpha -o json | jq -r .items[].head > head.kept
  micro-node audit verify --node alpha --head $(cat head.kept)
  micro-node audit verify --data-dir ./alpha         without a node")]
pub(super) struct Verify {
    /// The node whose log is read, by its name or id [default: each reads its own]
    #[arg(long, value_name = "NODE", conflicts_with = "data_dir")]
    node: Option<String>,

    /// The hash of an entry that has to be there, as it was printed once; of the node that is asked, unless --node
    /// names another
    #[arg(long, value_name = "HASH")]
    head: Option<Digest>,

    /// Read the files in this data directory instead of asking a node
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// What a node found in its log.
#[derive(Serialize, JsonSchema)]
struct LogItem<'a> {
    /// The name of the node; that of the directory, where no node was asked.
    name: &'a str,
    /// The id of the node; none where no node was asked.
    id: Option<&'a str>,
    /// `sound`, `broken`, or `unknown` if the log was not read.
    verdict: &'static str,
    /// How many files there are.
    files: Option<u64>,
    /// How many entries there are, each on a line.
    entries: Option<u64>,
    /// The number of the first.
    first: Option<u64>,
    /// The number of the last.
    last: Option<u64>,
    /// The hash of the last.
    head: Option<&'a str>,
    /// What is wrong.
    breaks: &'a [AuditBreak],
    /// Why the log was not read.
    problem: Option<&'a str>,
}

/// What there is to say of all logs.
#[derive(Serialize, JsonSchema)]
struct LogsSummary {
    /// How many were to be read.
    nodes: usize,
    /// How many are as they were written.
    sound: usize,
}

const LOGS: ListShape<LogItem<'static>, LogsSummary> = ListShape::new("audit-logs", &["audit verify"]);

pub(super) const SHAPES: Shapes = &[&LOGS];

impl Verify {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let found = match &self.data_dir {
            Some(given) => vec![read(&data_dir::choose(Some(given))?, self.head)?],
            None => {
                let (node, head) = (self.node, self.head.map(|head| head.to_string()));
                session::run(globals, async |asked| {
                    Ok(asked.verify_audit(node.as_deref(), head.as_deref()).await?)
                })?
            }
        };
        let summary =
            LogsSummary { nodes: found.len(), sound: found.iter().filter(|audit| audit.is_sound()).count() };
        let all_sound = summary.sound == summary.nodes;
        show(&found, &summary, output)?;
        if all_sound { Ok(()) } else { Err(Failure::Answered(BROKEN)) }
    }
}

fn show(found: &[NodeAudit], summary: &LogsSummary, output: &Output) -> Result<(), Failure> {
    let items: Vec<LogItem<'_>> = found.iter().map(item).collect();
    if output.json() {
        return output.items(&LOGS, &items, summary);
    }
    for LogItem { name, breaks, problem, .. } in &items {
        for AuditBreak { file, line, why } in *breaks {
            output.error(&format!("{name}: {file}:{line}: {why}"));
        }
        if let Some(problem) = problem {
            output.error(&format!("{name}: its log was not read: {problem}"));
        }
    }
    let mut table = Table::new(["NODE", "VERDICT", "FILES", "LINES", "FIRST", "LAST", "HEAD"]);
    for item in &items {
        let number = |number: Option<u64>| number.map_or(NOTHING.to_owned(), |number| number.to_string());
        let cells = [
            item.name.to_owned(),
            item.verdict.to_owned(),
            number(item.files),
            number(item.entries),
            number(item.first),
            number(item.last),
            item.head.unwrap_or(NOTHING).to_owned(),
        ];
        if item.verdict == "sound" { table.row(cells) } else { table.row_in(Tone::Warning, cells) }
    }
    output.table(&table, "")
}

fn item(audit: &NodeAudit) -> LogItem<'_> {
    let found = audit.found.as_ref();
    LogItem {
        name: &audit.name,
        id: Some(audit.id.as_str()).filter(|id| !id.is_empty()),
        verdict: match found {
            None => "unknown",
            Some(_) if audit.is_sound() => "sound",
            Some(_) => "broken",
        },
        files: found.map(|found| found.files),
        entries: found.map(|found| found.entries),
        first: found.map(|found| found.first),
        last: found.map(|found| found.last),
        head: found.map(|found| found.head.as_str()),
        breaks: found.map_or(&[], |found| &found.breaks),
        problem: audit.problem.as_deref(),
    }
}

fn read(data_dir: &Path, head: Option<Digest>) -> Result<NodeAudit, Failure> {
    let found = Trail::verify_in(data_dir, head)?;
    let wrong = |Break { file, line, why }| AuditBreak { file, line, why };
    let found = AuditVerification {
        files: found.files as u64,
        entries: found.entries,
        first: found.numbers.0,
        last: found.numbers.1,
        head: found.head.to_string(),
        breaks: found.breaks.into_iter().map(wrong).collect(),
    };
    let name = data_dir.display().to_string();
    Ok(NodeAudit { id: String::new(), name, problem: None, found: Some(found) })
}
