//! `micro-node store list`.

use super::{
    Moment, Place,
    failure::Failure,
    globals::Globals,
    item::{Detail, RecordItem, listing},
    output::Output,
    selection::Selection,
    session,
    shape::{ItemShape, ListShape, Shapes},
    unit,
};
use clap::{Args, ValueEnum};
use micro_sdk::client::{self, Page, Store};
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
    selection: Selection,

    /// Only keys that end with this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    suffix: String,

    /// Only keys behind this one in the order of the list: the last of the page before
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    after: String,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    /// Leave out this many first
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u64,

    /// By key, from the first or from the last
    #[arg(long, value_name = "ORDER", default_value = "asc")]
    order: Order,

    /// Without values
    #[arg(long)]
    keys_only: bool,

    /// Only how many there are, beyond any limit
    #[arg(long, conflicts_with = "keys_only")]
    count: bool,

    #[command(flatten)]
    moment: Moment,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    Asc,
    Desc,
}

/// What there is to say of the page.
#[derive(Serialize, JsonSchema)]
struct ListSummary<'a> {
    /// How many are listed.
    count: usize,
    /// Whether there are more after the last.
    more: bool,
    /// What to pass as `--after` for the next page; none if there is none.
    after: Option<&'a str>,
    /// The moment that the list shows.
    revision: u64,
    /// Of a `--stale` reading: how many milliseconds ago this replica was known to be current, if that can be said.
    age_ms: Option<u64>,
}

/// How many records there are.
#[derive(Serialize, JsonSchema)]
struct CountItem {
    /// How many.
    count: u64,
}

const LIST: ListShape<RecordItem<'static>, ListSummary<'static>> =
    ListShape::new("store-list", &["store list"]);
const COUNT: ItemShape<CountItem> = ItemShape::new("store-count", &["store list --count"]);

pub(super) const SHAPES: Shapes = &[&LIST, &COUNT];

impl List {
    fn asked(&self, store: &Store) -> client::List {
        let order = match self.order {
            Order::Asc => client::Order::Ascending,
            Order::Desc => client::Order::Descending,
        };
        let mut list = self.selection.list(store).suffix(&self.suffix).after(&self.after).order(order);
        list = list.limit(self.limit).offset(self.offset);
        if self.keys_only {
            list = list.keys_only();
        }
        if let Some(revision) = self.moment.at {
            list = list.at(revision);
        }
        if self.moment.stale { list.stale() } else { list }
    }

    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        if self.count {
            let count =
                session::run(globals, async |node| Ok(self.asked(&place.store(&node)).count().await?))?;
            return match output.json() {
                true => output.item(&COUNT, &CountItem { count }),
                false => output.text(&count.to_string()),
            };
        }
        let page = session::run(globals, async |node| Ok(self.asked(&place.store(&node)).await?))?;
        if self.moment.stale {
            output.remark(&unit::age(page.age));
        }
        self.show(&page, output)
    }

    /// What to say if there is nothing to list. Where only a part of the table was asked for, there may be others.
    fn hint(&self) -> &'static str {
        let asked_for_all =
            self.selection.is_all() && self.suffix.is_empty() && self.after.is_empty() && self.offset == 0;
        match (self.moment.at, asked_for_all) {
            (Some(_), true) => "no records at that revision",
            (Some(_), false) => "no such records at that revision",
            (None, true) => "no records: micro-node store write KEY VALUE makes one",
            (None, false) => "no such records: without those flags all of the table are listed",
        }
    }

    fn show(&self, page: &Page, output: &Output) -> Result<(), Failure> {
        let last = page.records.last().map(|record| record.key.as_str()).filter(|_| page.more);
        if output.json() {
            let items: Vec<RecordItem> = page.records.iter().map(RecordItem::from).collect();
            let summary = ListSummary {
                count: items.len(),
                more: page.more,
                after: last,
                revision: page.revision,
                age_ms: page.age.map(unit::whole_milliseconds),
            };
            return output.items(&LIST, &items, &summary);
        }
        let detail = match (self.keys_only, output.wide(), output.verbosity()) {
            (true, _, _) => Detail::Key,
            (false, true, _) => Detail::All,
            (false, false, ..1) => Detail::Value,
            (false, false, 1..) => Detail::Expiry,
        };
        output.table(&listing(&page.records, detail), self.hint())?;
        if let Some(last) = last {
            output.remark(&format!("there are more: add --after {last:?}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        list: List,
    }

    #[test]
    fn who_asked_for_a_part_is_not_told_to_write_the_first_record() {
        for (flags, hint) in [
            (&[][..], "no records: micro-node store write"),
            (&["--stale"], "no records: micro-node store write"),
            (&["--prefix", "a"], "no such records: without"),
            (&["--suffix", "a"], "no such records: without"),
            (&["--offset", "1"], "no such records: without"),
            (&["--at", "7"], "no records at that revision"),
            (&["--at", "7", "--to", "a"], "no such records at that revision"),
        ] {
            let line = Line::try_parse_from(std::iter::once(&"list").chain(flags)).expect("it is right");
            assert!(line.list.hint().starts_with(hint), "{flags:?}: {}", line.list.hint());
        }
    }
}
