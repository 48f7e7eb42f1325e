//! `micro-node config history` and `micro-node config diff`.

use super::{
    failure::Failure,
    globals::Globals,
    item::{EditItem, edit_items, edit_table, or_nothing, rfc3339},
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::Table,
};
use clap::Args;
use micro_sdk::{client::ConfigChange, wire::Fault};
use schemars::JsonSchema;
use serde::Serialize;

/// List the changes of the tree, latest first
#[derive(Debug, Args)]
#[command(
    visible_alias = "log",
    after_help = "\
Examples:
  micro-node config history
  micro-node config history shop.limits --limit 5
  micro-node config history -o json | jq '.items[].edits'"
)]
pub(super) struct History {
    /// Only changes at or under this path
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    /// Only changes before this version
    #[arg(long, value_name = "VERSION", default_value_t = 0, hide_default_value = true)]
    before: u64,

    /// At most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
}

/// Show what is different between two versions of the tree
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config diff 7                              from version 7 to now
  micro-node config diff 7 9 --path shop")]
pub(super) struct Diff {
    /// The one version
    from: u64,

    /// The other [default: now]
    to: Option<u64>,

    /// Only what is at or under this path
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    path: String,
}

/// A change of the tree.
#[derive(Serialize, JsonSchema)]
struct ChangeItem<'a> {
    /// The version of the tree after it.
    version: u64,
    /// RFC 3339.
    time: String,
    /// Who made it.
    by: &'a str,
    /// `set`, `delete`, `rollback`, `stage`, `promote`, `abort` or `rotate`.
    action: &'a str,
    /// The staged change that it made or ended, if any.
    canary: Option<u64>,
    /// Why, if they said so.
    reason: &'a str,
    /// What changed.
    edits: Vec<EditItem<'a>>,
}

/// What there is to say of the list.
#[derive(Serialize, JsonSchema)]
struct HistorySummary {
    /// How many are listed.
    count: usize,
    /// Whether there are older ones.
    more: bool,
}

/// What was compared.
#[derive(Serialize, JsonSchema)]
struct DiffSummary {
    /// The one version of the tree.
    from: u64,
    /// The other; none is now.
    to: Option<u64>,
    /// How many values differ.
    count: usize,
}

const HISTORY: ListShape<ChangeItem<'static>, HistorySummary> =
    ListShape::new("config-history", &["config history"]);
const DIFF: ListShape<EditItem<'static>, DiffSummary> = ListShape::new("config-diff", &["config diff"]);

pub(super) const SHAPES: Shapes = &[&HISTORY, &DIFF];

impl<'a> TryFrom<&'a ConfigChange> for ChangeItem<'a> {
    type Error = Fault;

    fn try_from(change: &'a ConfigChange) -> Result<Self, Fault> {
        Ok(ChangeItem {
            version: change.version,
            time: rfc3339(change.time),
            by: &change.who,
            action: &change.action,
            canary: change.canary,
            reason: &change.reason,
            edits: edit_items(&change.edits)?,
        })
    }
}

/// What a change touched, in a few words.
fn touched(change: &ConfigChange) -> String {
    match &change.edits[..] {
        [] => String::new(),
        [edit] => edit.path.clone(),
        [first, rest @ ..] => format!("{} and {} more", first.path, rest.len()),
    }
}

impl History {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let history = session::run(globals, async |node| {
            Ok(node.config().history(&self.path).before(self.before).limit(self.limit).await?)
        })?;
        if output.json() {
            let items = history.changes.iter().map(ChangeItem::try_from).collect::<Result<Vec<_>, _>>()?;
            let summary = HistorySummary { count: items.len(), more: history.more };
            return output.items(&HISTORY, &items, &summary);
        }
        let mut table = Table::new(["VERSION", "TIME", "BY", "ACTION", "WHAT", "REASON"]);
        for change in &history.changes {
            table.row([
                change.version.to_string(),
                rfc3339(change.time),
                change.who.clone(),
                change.action.clone(),
                or_nothing(&touched(change)),
                or_nothing(&change.reason),
            ]);
        }
        output.table(&table, "nothing has changed there, as far as is known")?;
        if let Some(last) = history.changes.last().filter(|_| history.more) {
            output.remark(&format!("older ones: --before {}", last.version));
        }
        Ok(())
    }
}

impl Diff {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let edits = session::run(globals, async |node| {
            Ok(node.config().diff(&self.path, self.from, self.to).await?)
        })?;
        if output.json() {
            let summary = DiffSummary { from: self.from, to: self.to, count: edits.len() };
            return output.items(&DIFF, &edit_items(&edits)?, &summary);
        }
        output.table(&edit_table(&edits), "there is no difference")
    }
}
