//! `micro-node store history` and `micro-node store compact`.

use super::{
    failure::Failure,
    globals::Globals,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    table::Table,
    unit,
};
use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

/// Show how much of the store's past is kept, or set it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store history
  micro-node store history --keep-revisions 1000000 --keep-bytes 4294967296

SIZE is what is on the disks. What was given up can't be read any more from then on, and goes from \
the disks along with later writes, in pieces of up to 1024 revisions or 1 MiB.")]
pub(super) struct History {
    /// Keep this many revisions from now on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keep_revisions: Option<u64>,

    /// Keep this many bytes of history from now on
    #[arg(long, value_name = "BYTES")]
    keep_bytes: Option<u64>,
}

/// Give up the history up to a revision: it can't be read or watched any more
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  micro-node store compact 42

It goes from the disks along with later writes, in pieces of up to 1024 revisions or 1 MiB: until \
then micro-node store history shows the size that it had.")]
pub(super) struct Compact {
    /// The last revision whose changes are given up; what was there at it can still be read
    revision: u64,
}

/// How much of the store's past is kept.
#[derive(Serialize, JsonSchema)]
struct HistoryItem {
    /// The revision of the moment.
    revision: u64,
    /// The last revision that was given up.
    compacted: u64,
    /// How many bytes the history takes on a disk, with what was given up and is still to go from there: it goes along
    /// with later writes, in pieces.
    bytes: u64,
    /// How many revisions are kept.
    revisions_max: u64,
    /// How many bytes of history are kept.
    bytes_max: u64,
}

/// History that was given up.
#[derive(Serialize, JsonSchema)]
struct CompactItem {
    /// The last revision that was given up.
    compacted: u64,
}

const HISTORY: ItemShape<HistoryItem> = ItemShape::new("store-history", &["store history"]);
const COMPACT: ItemShape<CompactItem> = ItemShape::new("store-compact", &["store compact"]);

pub(super) const SHAPES: Shapes = &[&HISTORY, &COMPACT];

impl History {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let history = session::run(globals, async |node| {
            let store = node.store();
            let history = store.history().await?;
            if self.keep_revisions.is_none() && self.keep_bytes.is_none() {
                return Ok(history);
            }
            let revisions = self.keep_revisions.unwrap_or(history.revisions_max);
            store.retain(revisions, self.keep_bytes.unwrap_or(history.bytes_max)).await?;
            Ok(store.history().await?)
        })?;
        let micro_sdk::client::History { revision, compacted, bytes, revisions_max, bytes_max } = history;
        if output.json() {
            let item = HistoryItem { revision, compacted, bytes, revisions_max, bytes_max };
            return output.item(&HISTORY, &item);
        }
        let mut table = Table::new(["REVISION", "KEPT FROM", "SIZE", "REVISIONS MAX", "SIZE MAX"]);
        let first = (compacted + 1).to_string();
        let size = unit::bytes(bytes);
        table.row([revision.to_string(), first, size, revisions_max.to_string(), unit::bytes(bytes_max)]);
        output.table(&table, "")
    }
}

impl Compact {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let compacted = session::run(globals, async |node| Ok(node.store().compact(self.revision).await?))?;
        if output.json() {
            return output.item(&COMPACT, &CompactItem { compacted });
        }
        output.remark(&format!(
            "history begins after revision {compacted}; what it takes of the disks goes along with later writes"
        ));
        Ok(())
    }
}
