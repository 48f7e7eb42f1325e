//! `micro-node config canaries`, `promote` and `abort`: changes that some instances have and others have not yet.

use super::{
    failure::Failure,
    globals::Globals,
    item::{EditItem, edit_items, excerpt, or_nothing, rfc3339, show_changed},
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::Table,
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// List the staged changes, and which instances have them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config canaries
  micro-node config canaries -o json | jq '.items[].instances'")]
pub(super) struct Canaries {}

/// Make a staged change everybody's
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node config promote 12 --reason 'no complaints'")]
pub(super) struct Promote {
    #[command(flatten)]
    end: End,
}

/// Take a staged change back
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node config abort 12 --reason 'the basket was slow'")]
pub(super) struct Abort {
    #[command(flatten)]
    end: End,
}

/// Reads the number of a staged change: it is easily taken for a name.
fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a staged change has a number: micro-node config canaries shows it".to_owned())
}

/// Which staged change ends, and why.
#[derive(Debug, Args)]
struct End {
    /// Its number, as micro-node config canaries shows it
    #[arg(value_parser = number)]
    canary: u64,

    /// Why, for the history
    #[arg(long, short = 'm', value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
}

/// A staged change.
#[derive(Serialize, JsonSchema)]
struct CanaryItem<'a> {
    /// Its number.
    canary: u64,
    /// RFC 3339.
    time: String,
    /// Who staged it.
    by: &'a str,
    /// Why, if they said so.
    reason: &'a str,
    /// Which share of the instances has it.
    percent: u32,
    /// The instances that have it.
    instances: &'a [String],
    /// What it changes.
    edits: Vec<EditItem<'a>>,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct CanariesSummary {
    /// How many are listed.
    count: usize,
}

const CANARIES: ListShape<CanaryItem<'static>, CanariesSummary> =
    ListShape::new("config-canaries", &["config canaries"]);

pub(super) const SHAPES: Shapes = &[&CANARIES];

impl Canaries {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let canaries = session::run(globals, async |node| Ok(node.config().canaries().await?))?;
        if output.json() {
            let items: Vec<CanaryItem> = canaries
                .iter()
                .map(|canary| CanaryItem {
                    canary: canary.canary,
                    time: rfc3339(canary.time),
                    by: &canary.who,
                    reason: &canary.reason,
                    percent: canary.percent,
                    instances: &canary.instances,
                    edits: edit_items(&canary.edits),
                })
                .collect();
            let summary = CanariesSummary { count: items.len() };
            return output.items(&CANARIES, &items, &summary);
        }
        let mut table =
            Table::new(["CANARY", "SHARE", "INSTANCES", "PATH", "BEFORE", "AFTER", "BY", "REASON"]);
        for canary in &canaries {
            for edit in &canary.edits {
                table.row([
                    canary.canary.to_string(),
                    format!("{}%", canary.percent),
                    or_nothing(&canary.instances.join(",")),
                    edit.path.clone(),
                    excerpt(edit.before.as_ref()),
                    excerpt(edit.after.as_ref()),
                    canary.who.clone(),
                    or_nothing(&canary.reason),
                ]);
            }
        }
        output
            .table(&table, "nothing is staged: micro-node config set PATH VALUE --canary 10% stages a change")
    }
}

impl Promote {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let End { canary, reason } = self.end;
        let changed =
            session::run(globals, async |node| Ok(node.config().promote(canary).reason(reason).await?))?;
        show_changed(&changed, false, output)
    }
}

impl Abort {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let End { canary, reason } = self.end;
        let changed =
            session::run(globals, async |node| Ok(node.config().abort(canary).reason(reason).await?))?;
        show_changed(&changed, false, output)
    }
}
