//! `micro-node store list`.

use super::{
    Place,
    failure::Failure,
    globals::Globals,
    item::Detail,
    listing::Listing,
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    unit,
};
use clap::Args;
use micro_sdk::client::{self, Counted, Store};
use schemars::JsonSchema;
use serde::Serialize;

/// List records by key, with the start of each value
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  micro-node store list --table users --prefix id
  micro-node store list --from a --to b --suffix .json --order desc
  micro-node store list --count --prefix session-
  micro-node store list --limit 100 --after id100       the next page
  micro-node store list --at 42 -o wide                 what there was at revision 42"
)]
pub(super) struct List {
    #[command(flatten)]
    listing: Listing,

    /// Without values
    #[arg(long)]
    keys_only: bool,

    /// Only how many there are, beyond any limit
    #[arg(long, conflicts_with = "keys_only")]
    count: bool,
}

/// How many records there are.
#[derive(Serialize, JsonSchema)]
struct CountItem {
    /// How many.
    count: u64,
    /// The moment that they were counted.
    revision: u64,
    /// Of a `--stale` reading: how many milliseconds ago this replica was known to be current, if that can be said.
    age_ms: Option<u64>,
}

const COUNT: ItemShape<CountItem> = ItemShape::new("store-count", &["store list --count"]);

pub(super) const SHAPES: Shapes = &[&COUNT];

impl List {
    fn asked(&self, store: &Store) -> client::List {
        let list = self.listing.asked(store);
        if self.keys_only { list.keys_only() } else { list }
    }

    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if self.count {
            let Counted { count, revision, age } =
                session::run(globals, async |node| Ok(self.asked(&place.store(&node)).counted().await?))?;
            self.listing.remark_age(age, output);
            let age_ms = age.map(unit::whole_milliseconds);
            return match output.json() {
                true => output.item(&COUNT, &CountItem { count, revision, age_ms }),
                false => output.text(&count.to_string()),
            };
        }
        let page = session::run(globals, async |node| Ok(self.asked(&place.store(&node)).await?))?;
        let detail = match (self.keys_only, output.wide(), output.verbosity()) {
            (true, _, _) => Detail::Key,
            (false, true, _) => Detail::All,
            (false, false, ..1) => Detail::Value,
            (false, false, 1..) => Detail::Expiry,
        };
        self.listing.show(&page, detail, output)
    }
}
