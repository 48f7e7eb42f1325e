//! `micro-node store export`.

use super::{
    Place,
    failure::Failure,
    globals::Globals,
    line::Line,
    output::Output,
    selection::Selection,
    session,
    shape::{Shape, Shapes},
};
use clap::Args;
use futures::{StreamExt, pin_mut};

/// How many records there are between two words of progress.
const PROGRESS_EVERY: u64 = 10_000;

/// Print the records of a table as JSON lines, as of one moment
///
/// Records that end with a lease are left out: they belong to who holds it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store export --table users > users.jsonl
  micro-node store export --table users --prefix id --at 42 | jq .key
  micro-node store export --table users | micro-node store import --table copy")]
pub(super) struct Export {
    #[command(flatten)]
    selection: Selection,

    /// As they were at this revision
    #[arg(long, value_name = "REVISION")]
    at: Option<u64>,
}

const EXPORT: Shape<Line> = Shape::new("store-export", &["store export"]);

pub(super) const SHAPES: Shapes = &[&EXPORT];

impl Export {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let (mut exported, mut left_out) = (0, 0);
        session::run(globals, async |node| {
            let list = self.selection.list(&place.store(&node));
            let records = match self.at {
                Some(revision) => list.at(revision),
                None => list,
            };
            let records = records.scan();
            pin_mut!(records);
            while let Some(record) = records.next().await {
                let record = record?;
                if record.lease.is_some() {
                    left_out += 1;
                    continue;
                }
                output.json_line(&EXPORT, &Line::from(record))?;
                exported += 1;
                if exported % PROGRESS_EVERY == 0 {
                    output.remark(&format!("{exported} records so far"));
                }
            }
            Ok(())
        })?;
        output.remark(&format!("{exported} records exported"));
        if left_out > 0 {
            output.remark(&format!("{left_out} were left out, since they end with leases"));
        }
        Ok(())
    }
}
