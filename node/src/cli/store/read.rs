//! `micro-node store read`.

use super::{
    Moment, Place,
    failure::Failure,
    globals::Globals,
    item::{RecordItem, left},
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::wire::{Code, Fault};
use schemars::JsonSchema;
use serde::Serialize;

/// Read a record and print its value as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store read greeting
  micro-node store read --stale greeting                this node's own replica, also without a quorum
  micro-node store read --at 42 greeting                as it was at revision 42
  micro-node store read --table users id1 | jq .name")]
pub(super) struct Read {
    /// The key
    key: String,

    #[command(flatten)]
    moment: Moment,
}

/// A record, and of which moment it is.
#[derive(Serialize, JsonSchema)]
struct ReadItem<'a> {
    #[serde(flatten)]
    record: RecordItem<'a>,
    /// Of a `--stale` reading: how many milliseconds ago this replica was known to be current, if that can be said.
    age_ms: Option<u64>,
}

const READ: ItemShape<ReadItem<'static>> = ItemShape::new("store-read", &["store read"]);

pub(super) const SHAPES: Shapes = &[&READ];

impl Read {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let found = session::run(globals, async |node| {
            let mut get = place.store(&node).get(&self.key);
            if self.moment.stale {
                get = get.stale();
            }
            if let Some(revision) = self.moment.at {
                get = get.at(revision);
            }
            Ok(get.found().await?)
        })?;
        if self.moment.stale {
            output.remark(&unit::age(found.age));
        }
        let Some(record) = found.record else {
            let (database, table) = (place.database(), place.table());
            let message = format!("no record {:?} in table {table:?} of database {database:?}", self.key);
            return Err(Fault::new(Code::NotFound, message)
                .help(format!(
                    "micro-node store list --database {database} --table {table} shows what there is"
                ))
                .into());
        };
        if output.json() {
            let age_ms = found.age.map(unit::whole_milliseconds);
            return output.item(&READ, &ReadItem { record: RecordItem::from(&record), age_ms });
        }
        output.detail(&format!("version {}, made at {}", record.version, record.created));
        if let Some(expires) = record.expires {
            output.detail(&format!("ends in {}", unit::span(left(expires).as_secs())));
        }
        for (name, text) in &record.metadata {
            output.detail(&format!("{name}={text}"));
        }
        output.bytes(&record.value)?;
        // A pipe gets the value to the byte; on a terminal the prompt belongs on a line of its own.
        if output.for_terminal() && !record.value.ends_with(b"\n") {
            output.bytes(b"\n")?;
        }
        Ok(())
    }
}
