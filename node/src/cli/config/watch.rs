//! `micro-node config watch`.

use super::{
    contact, document,
    failure::Failure,
    globals::Globals,
    item::{EditItem, excerpt},
    output::Output,
    session,
    shape::{Shape, Shapes},
    table::{NOTHING, clean},
};
use clap::Args;
use micro_sdk::client::{ConfigEdit, ConfigUpdate};
use schemars::JsonSchema;
use serde::Serialize;

/// Tell each change of what is at a path, as it happens
///
/// It goes on by itself when connections are lost or leaders change, and ends with Ctrl-C, or when no node has answered
/// for a minute.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node config watch
  micro-node config watch shop -o jsonl | jq .after
  micro-node config watch shop.limits --whole           all that is there, now and after each change
  micro-node config watch shop --limit 1                ends after the next change")]
pub(super) struct Watch {
    /// Where [default: the whole tree]
    #[arg(default_value = "", hide_default_value = true)]
    path: String,

    /// Print all that is there as JSON, now and after each change; null if that is nothing
    #[arg(long)]
    whole: bool,

    /// With secrets as they are; only with --whole
    #[arg(long, requires = "whole")]
    show_secrets: bool,

    /// With the staged changes that this instance of a service has
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    instance: String,

    /// End after this many changes
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// A change of one value, as it happens.
#[derive(Serialize, JsonSchema)]
struct WatchItem<'a> {
    /// The version of the tree after it.
    version: u64,
    /// Who made the change, or the last of several that are told as one; none if that is not known, as where a staged
    /// change goes over to the instance because another one went.
    by: Option<&'a str>,
    #[serde(flatten)]
    edit: EditItem<'a>,
}

const WATCH: Shape<WatchItem<'static>> = Shape::new("config-watch", &["config watch"]);

pub(super) const SHAPES: Shapes = &[&WATCH];

/// What a person sees of a change: columns of fixed width, since what is to come is not known.
fn line(update: &ConfigUpdate, edit: &ConfigEdit) -> String {
    let (before, after) = (excerpt(edit.before.as_deref()), excerpt(edit.after.as_deref()));
    let (version, who) = (update.reading.version, clean(update.who.as_deref().unwrap_or(NOTHING)));
    format!("{version:<8}  {who:<16}  {}  {before} → {after}", clean(&edit.path))
}

impl Watch {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        session::run(globals, async |node| {
            let asked =
                node.config().watch(&self.path).instance(&self.instance).on_contact(contact::remarks(output));
            let mut watch = if self.show_secrets { asked.show_secrets() } else { asked }.await?;
            let mut left = self.limit.unwrap_or(u64::MAX);
            let mut first = true;
            while let Some(update) = watch.next().await {
                let update = update?;
                if first {
                    output.detail(&format!("watching from version {}", update.reading.version));
                }
                if self.whole {
                    let text = update.reading.text.as_deref().unwrap_or("null");
                    let text = if output.json() { text.to_owned().into() } else { document::bare(text) };
                    output.bytes(text.as_bytes())?;
                    output.bytes(b"\n")?;
                    left -= u64::from(!first);
                } else {
                    left = left.saturating_sub(show(&update, left, output)?);
                }
                first = false;
                if left == 0 {
                    break;
                }
            }
            Ok(())
        })
    }
}

/// Shows at most `limit` changes; tells how many it were.
fn show(update: &ConfigUpdate, limit: u64, output: &Output) -> Result<u64, Failure> {
    let mut shown = 0;
    for edit in update.edits.iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        shown += 1;
        if output.json() {
            let (version, by) = (update.reading.version, update.who.as_deref());
            output.line(&WATCH, &WatchItem { version, by, edit: EditItem::try_from(edit)? })?;
        } else {
            output.text(&line(update, edit))?;
        }
    }
    Ok(shown)
}
