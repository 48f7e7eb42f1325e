//! `micro-node store read`.

use super::{
    Place,
    failure::Failure,
    globals::Globals,
    item::{Detail, RecordItem, left},
    listing::{Listing, PICKS},
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::wire::{Code, Fault};
use schemars::JsonSchema;
use serde::Serialize;

/// Read a record, or several, and print their values as they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store read greeting
  micro-node store read --stale greeting                this node's own replica, also without a quorum
  micro-node store read --at 42 greeting                as it was at revision 42
  micro-node store read --table users id1 | jq .name
  micro-node store read --table users --prefix id       the values of several, a line each
  micro-node store read --table users --prefix id -v    with keys, versions, and when they end")]
pub(super) struct Read {
    /// The key; or say with flags which keys
    #[arg(required_unless_present_any = PICKS, conflicts_with_all = PICKS)]
    key: Option<String>,

    #[command(flatten)]
    listing: Listing,
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
        let Some(key) = &self.key else { return self.read_several(place, globals, output) };
        let moment = &self.listing.moment;
        let found = session::run(globals, async |node| {
            let mut get = place.store(&node).get(key);
            if moment.stale {
                get = get.stale();
            }
            if let Some(revision) = moment.at {
                get = get.at(revision);
            }
            Ok(get.found().await?)
        })?;
        if moment.stale {
            output.remark(&unit::age(found.age));
        }
        let Some(record) = found.record else {
            let (database, table) = (place.database(), place.table());
            let message = format!("no record {key:?} in table {table:?} of database {database:?}");
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
    fn read_several(&self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let page = session::run(globals, async |node| Ok(self.listing.asked(&place.store(&node)).await?))?;
        match (output.json() || output.wide(), output.verbosity()) {
            (false, ..1) => self.listing.print(&page, output),
            (false, 1..) => self.listing.show(&page, Detail::Expiry, output),
            (true, _) => self.listing.show(&page, Detail::All, output),
        }
    }
}
