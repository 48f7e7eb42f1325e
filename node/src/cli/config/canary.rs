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
use micro_sdk::{
    client::{ConfigCanary, ConfigEdit},
    wire::Fault,
};
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
///
/// It is refused if others have changed since what it would replace: abort it then, and stage again what is still
/// wanted.
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
    /// What others have changed there since it was staged: `before` is what was there then, `after` what is there now.
    /// With any, it can't be promoted.
    overtaken: Vec<EditItem<'a>>,
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
            let items = canaries.iter().map(CanaryItem::try_from).collect::<Result<Vec<_>, _>>()?;
            let summary = CanariesSummary { count: items.len() };
            return output.items(&CANARIES, &items, &summary);
        }
        let mut table =
            Table::new(["CANARY", "SHARE", "INSTANCES", "PATH", "BEFORE", "NOW", "AFTER", "BY", "REASON"]);
        for canary in &canaries {
            for [path, before, now, after] in rows(canary) {
                table.row([
                    canary.canary.to_string(),
                    format!("{}%", canary.percent),
                    or_nothing(&canary.instances.join(",")),
                    path,
                    before,
                    now,
                    after,
                    canary.who.clone(),
                    or_nothing(&canary.reason),
                ]);
            }
        }
        output.table(
            &table,
            "nothing is staged: micro-node config set PATH VALUE --canary 10% stages a change",
        )?;
        let overtaken = canaries.iter().filter(|canary| !canary.overtaken.is_empty());
        for ConfigCanary { canary, .. } in overtaken {
            output.remark(&format!(
                "{canary} can't be promoted: others have changed what it would replace; \
                 micro-node config abort {canary} takes it back"
            ));
        }
        Ok(())
    }
}

impl<'a> TryFrom<&'a ConfigCanary> for CanaryItem<'a> {
    type Error = Fault;

    fn try_from(canary: &'a ConfigCanary) -> Result<Self, Fault> {
        Ok(CanaryItem {
            canary: canary.canary,
            time: rfc3339(canary.time),
            by: &canary.who,
            reason: &canary.reason,
            percent: canary.percent,
            instances: &canary.instances,
            edits: edit_items(&canary.edits)?,
            overtaken: edit_items(&canary.overtaken)?,
        })
    }
}

/// What a staged change touches: the path, what was there when it was staged, what is there now, and what it would set.
fn rows(canary: &ConfigCanary) -> Vec<[String; 4]> {
    let find = |edits: &[ConfigEdit], path: &str| edits.iter().find(|edit| edit.path == path).cloned();
    let row = |edit: &ConfigEdit| {
        // What nobody else has changed is what it was.
        let now = find(&canary.overtaken, &edit.path).map_or_else(|| edit.before.clone(), |edit| edit.after);
        let (before, after) = (edit.before.as_deref(), edit.after.as_deref());
        [edit.path.clone(), excerpt(before), excerpt(now.as_deref()), excerpt(after)]
    };
    let mut rows: Vec<_> = canary.edits.iter().map(row).collect();
    // What has come to stand where it would set something else.
    let others = canary.overtaken.iter().filter(|edit| find(&canary.edits, &edit.path).is_none());
    rows.extend(others.map(|edit| {
        [edit.path.clone(), excerpt(edit.before.as_deref()), excerpt(edit.after.as_deref()), excerpt(None)]
    }));
    rows
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn edit(path: &str, before: Option<&str>, after: Option<&str>) -> ConfigEdit {
        let text = |text: &str| text.to_owned();
        ConfigEdit { path: path.to_owned(), before: before.map(text), after: after.map(text), secret: false }
    }

    #[test]
    fn a_staged_change_is_shown_with_what_is_there_now() {
        let canary = ConfigCanary {
            canary: 7,
            time: SystemTime::UNIX_EPOCH,
            who: "jane".to_owned(),
            reason: String::new(),
            percent: 10,
            edits: vec![edit("a", Some("1"), Some("2")), edit("b", Some("3"), Some("4"))],
            overtaken: vec![edit("a", Some("1"), Some("9")), edit("b.c", None, Some("8"))],
            instances: Vec::new(),
        };
        let expected = [["a", "1", "9", "2"], ["b", "3", "3", "4"], ["b.c", "–", "8", "–"]];
        assert_eq!(rows(&canary), expected.map(|row| row.map(str::to_owned)));
    }
}
