//! A page of the records of a table: which are asked for, and how they are shown.

use super::{
    Moment,
    failure::Failure,
    item::{Detail, RecordItem, listing},
    output::Output,
    selection::Selection,
    shape::{ListShape, Shapes},
    unit,
};
use clap::{Args, ValueEnum};
use micro_sdk::client::{self, Page, Store};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// The flags that say which records are asked for. With one of them, more than one is.
pub(super) const PICKS: [&str; 8] = ["prefix", "from", "to", "suffix", "after", "limit", "offset", "order"];

/// Which records are asked for.
#[derive(Debug, Args)]
pub(super) struct Listing {
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

    #[command(flatten)]
    pub(super) moment: Moment,
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

const LIST: ListShape<RecordItem<'static>, ListSummary<'static>> =
    ListShape::new("store-list", &["store list", "store read --prefix"]);

pub(super) const SHAPES: Shapes = &[&LIST];

impl Listing {
    /// The page of these records in `store`.
    pub(super) fn asked(&self, store: &Store) -> client::List {
        let order = match self.order {
            Order::Asc => client::Order::Ascending,
            Order::Desc => client::Order::Descending,
        };
        let mut list = self.selection.list(store).suffix(&self.suffix).after(&self.after).order(order);
        list = list.limit(self.limit).offset(self.offset);
        if let Some(revision) = self.moment.at {
            list = list.at(revision);
        }
        if self.moment.stale { list.stale() } else { list }
    }

    /// What to say if there is nothing to list. Where only a part of the table was asked for, there may be others.
    fn hint(&self) -> &'static str {
        let asked_for_all =
            self.selection.is_all() && self.suffix.is_empty() && self.after.is_empty() && self.offset == 0;
        match (self.moment.at, asked_for_all) {
            (Some(_), true) => "no records at that revision",
            (Some(_), false) => "no such records at that revision",
            (None, true) => "no records: micro-node store write KEY VALUE makes one",
            (None, false) => "no such records: micro-node store list shows all of the table",
        }
    }

    /// Shows a page as a table, or as JSON.
    pub(super) fn show(&self, page: &Page, detail: Detail, output: &Output) -> Result<(), Failure> {
        if output.json() {
            let items: Vec<RecordItem> = page.records.iter().map(RecordItem::from).collect();
            let summary = ListSummary {
                count: items.len(),
                more: page.more,
                after: last(page),
                revision: page.revision,
                age_ms: page.age.map(unit::whole_milliseconds),
            };
            return output.items(&LIST, &items, &summary);
        }
        output.table(&listing(&page.records, detail), self.hint())?;
        self.remark(page, output);
        Ok(())
    }

    /// Prints the values of a page as they are, each on a line of its own.
    pub(super) fn print(&self, page: &Page, output: &Output) -> Result<(), Failure> {
        if page.records.is_empty() {
            output.remark(self.hint());
        }
        for record in &page.records {
            output.bytes(&record.value)?;
            if !record.value.ends_with(b"\n") {
                output.bytes(b"\n")?;
            }
        }
        self.remark(page, output);
        Ok(())
    }

    /// Says how old a stale page is, and how the next one is had.
    fn remark(&self, page: &Page, output: &Output) {
        self.remark_age(page.age, output);
        if let Some(last) = last(page) {
            output.remark(&format!("there are more: add --after {last:?}"));
        }
    }

    /// Says how old what was read may be, if that was asked for.
    pub(super) fn remark_age(&self, age: Option<Duration>, output: &Output) {
        if self.moment.stale {
            output.remark(&unit::age(age));
        }
    }
}

/// The key that the next page comes after, if there is one.
fn last(page: &Page) -> Option<&str> {
    page.records.last().map(|record| record.key.as_str()).filter(|_| page.more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        listing: Listing,
    }

    #[test]
    fn who_asked_for_a_part_is_not_told_to_write_the_first_record() {
        for (flags, hint) in [
            (&[][..], "no records: micro-node store write"),
            (&["--stale"], "no records: micro-node store write"),
            (&["--prefix", "a"], "no such records: micro-node store list"),
            (&["--suffix", "a"], "no such records: micro-node store list"),
            (&["--offset", "1"], "no such records: micro-node store list"),
            (&["--at", "7"], "no records at that revision"),
            (&["--at", "7", "--to", "a"], "no such records at that revision"),
        ] {
            let line = Line::try_parse_from(std::iter::once(&"list").chain(flags)).expect("it is right");
            assert!(line.listing.hint().starts_with(hint), "{flags:?}: {}", line.listing.hint());
        }
    }
}
