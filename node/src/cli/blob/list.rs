//! `micro-node blob list`.

use super::{
    failure::Failure,
    globals::Globals,
    item::BlobItem,
    output::Output,
    session,
    shape::{ListShape, Shapes},
    table::{NOTHING, Table},
    unit::{self, bytes, rfc3339},
};
use clap::Args;
use micro_sdk::client::Blob;
use schemars::JsonSchema;
use serde::Serialize;

/// List blobs by name
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  micro-node blob list
  micro-node blob list images/ -o wide
  micro-node blob list --limit 100 --after images/m     the next page"
)]
pub(super) struct List {
    /// Only those whose names begin with this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,

    /// Only those behind this name: the last of the page before
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    after: String,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Take what the node itself knows, also without a quorum
    #[arg(long)]
    stale: bool,
}

/// What there is to say of the page.
#[derive(Serialize, JsonSchema)]
struct ListSummary<'a> {
    /// How many are listed.
    count: usize,
    /// What to pass as `--after` for the next page; none if there is none.
    after: Option<&'a str>,
    /// Of a `--stale` listing: how many milliseconds ago this replica was known to be current, if that can be said.
    age_ms: Option<u64>,
}

const LIST: ListShape<BlobItem<'static>, ListSummary<'static>> = ListShape::new("blob-list", &["blob list"]);

pub(super) const SHAPES: Shapes = &[&LIST];

impl List {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let page = session::run(globals, async |node| {
            let list = node.blobs().list(&self.prefix).page(&self.after).limit(self.limit);
            Ok(if self.stale { list.stale() } else { list }.await?)
        })?;
        let next = page.next.as_deref();
        if output.json() {
            let items: Vec<BlobItem> = page.blobs.iter().map(BlobItem::from).collect();
            let age_ms = page.age.map(unit::whole_milliseconds);
            let summary = ListSummary { count: items.len(), after: next, age_ms };
            return output.items(&LIST, &items, &summary);
        }
        let hint = "no blobs: micro-node blob put NAME FILE makes one";
        output.table(&listing(&page.blobs, output.wide()), hint)?;
        if self.stale {
            output.remark(&unit::age(page.age));
        }
        if let Some(next) = next {
            output.remark(&format!("there are more: add --after {next:?}"));
        }
        Ok(())
    }
}

/// Blobs as a table, with all that is known of them if it is to be `wide`.
pub(super) fn listing(blobs: &[Blob], wide: bool) -> Table {
    let narrow = ["NAME", "SIZE", "TYPE", "COPIES", "MODIFIED"];
    let more: &[&'static str] = if wide { &["VERSION", "PUBLIC", "BY", "NODES", "SHA256"] } else { &[] };
    let mut table = Table::new(narrow.into_iter().chain(more.iter().copied()));
    for blob in blobs {
        let kind = if blob.content_type.is_empty() { NOTHING.to_owned() } else { blob.content_type.clone() };
        let copies = format!("{}/{}", blob.holders.len(), blob.copies_wanted);
        let mut row = vec![blob.name.clone(), bytes(blob.size), kind, copies, rfc3339(blob.modified)];
        if wide {
            let public = if blob.public { "yes" } else { "no" };
            let nodes = blob.holders.join(",");
            row.extend([
                blob.version.to_string(),
                public.to_owned(),
                blob.who.clone(),
                nodes,
                blob.hash.to_string(),
            ]);
        }
        table.row(row);
    }
    table
}
