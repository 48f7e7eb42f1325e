//! `micro-node store`: the mesh's consistent store.

use super::{
    failure::Failure,
    globals::Globals,
    input,
    output::Output,
    session,
    table::{NOTHING, Table, clean, cut},
    unit,
};
use clap::{Args, Subcommand};
use micro_sdk::{
    client::{Node, Record, Store},
    wire::{Code, Fault, limits::VALUE_BYTES_MAX},
};
use serde::Serialize;

const EXAMPLES: &str = "\
Examples:
  micro-node store write greeting hello
  micro-node store write --table users id1 @jane.json
  micro-node store write --table users id1 '{\"name\":\"Jane\"}' --if-version 0    only if there is none yet
  micro-node store read greeting
  micro-node store list --table users --prefix id
  micro-node store delete greeting";

/// Read and write records of the mesh's consistent store
#[derive(Debug, Args)]
#[command(visible_alias = "kv", after_help = EXAMPLES)]
pub(super) struct StoreCommand {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

/// Where the records lie.
#[derive(Debug, Args)]
struct Place {
    /// The database
    #[arg(long, global = true, env = "MICRO_NODE_DATABASE", value_name = "NAME", default_value = "default")]
    database: String,

    /// The table
    #[arg(long, global = true, env = "MICRO_NODE_TABLE", value_name = "NAME", default_value = "default")]
    table: String,
}

impl Place {
    fn store(&self, node: &Node) -> Store {
        node.store().database(&self.database).table(&self.table)
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Write(Write),
    Read(Read),
    List(List),
    Delete(Delete),
}

/// Write a record; it is acknowledged once a quorum has it on disk
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store write greeting hello
  micro-node store write --table users id1 @jane.json
  date | micro-node store write last-run -")]
struct Write {
    /// The key
    key: String,

    /// The value: itself, @FILE, or - for stdin; 1 MiB at most
    #[arg(allow_hyphen_values = true)]
    value: String,

    #[command(flatten)]
    condition: Condition,
}

/// Read a record and print its value as it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store read greeting
  micro-node store read --stale greeting                this node's own replica, also without a quorum
  micro-node store read --table users id1 | jq .name")]
struct Read {
    /// The key
    key: String,

    #[command(flatten)]
    staleness: Staleness,
}

/// List records by key, with the start of each value
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "\
Examples:
  micro-node store list --table users --prefix id
  micro-node store list --limit 100 --after id100       the next page"
)]
struct List {
    /// Only keys that start with this
    #[arg(long, value_name = "TEXT", default_value = "")]
    prefix: String,

    /// Only keys after this one: the last of the page before
    #[arg(long, value_name = "KEY", default_value = "")]
    after: String,

    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    #[command(flatten)]
    staleness: Staleness,
}

/// Delete a record; that there is none is not an error
#[derive(Debug, Args)]
#[command(
    visible_alias = "rm",
    after_help = "\
Examples:
  micro-node store delete greeting
  micro-node store delete --table users id1 --if-version 42"
)]
struct Delete {
    /// The key
    key: String,

    #[command(flatten)]
    condition: Condition,
}

/// How fresh a reading has to be.
#[derive(Debug, Args)]
struct Staleness {
    /// Answer from the node's own replica as it is, also without a quorum
    #[arg(long)]
    stale: bool,
}

/// When a change is to be made.
#[derive(Debug, Args)]
struct Condition {
    /// Only if the record has this version; 0: only if there is none
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    /// Makes a repeated change the same change: 1 to 32 hexadecimal digits
    #[arg(long, value_name = "KEY", value_parser = unit::key)]
    idempotency_key: Option<u128>,
}

/// The JSON form of a record. A value that is text stands in `value`, any other in `value_base64`.
#[derive(Serialize)]
struct RecordItem<'a> {
    key: &'a str,
    value: Option<&'a str>,
    value_base64: Option<String>,
    version: u64,
}

impl<'a> From<&'a Record> for RecordItem<'a> {
    fn from(record: &'a Record) -> Self {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let value = std::str::from_utf8(&record.value).ok();
        let value_base64 = value.is_none().then(|| STANDARD.encode(&record.value));
        RecordItem { key: &record.key, value, value_base64, version: record.version }
    }
}

#[derive(Serialize)]
struct ListSummary<'a> {
    count: usize,
    /// Whether there are more after the last.
    more: bool,
    /// What to pass as `--after` for the next page.
    after: Option<&'a str>,
}

#[derive(Serialize)]
struct WriteItem {
    key: String,
    version: u64,
}

#[derive(Serialize)]
struct DeleteItem {
    key: String,
    /// Whether there was one.
    deleted: bool,
}

impl StoreCommand {
    pub(super) fn run(self, globals: &Globals, output: &Output) -> Result<(), Failure> {
        match self.verb {
            Verb::Write(verb) => verb.run(&self.place, globals, output),
            Verb::Read(verb) => verb.run(&self.place, globals, output),
            Verb::List(verb) => verb.run(&self.place, globals, output),
            Verb::Delete(verb) => verb.run(&self.place, globals, output),
        }
    }
}

impl Write {
    fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let value = input::read(&self.value, VALUE_BYTES_MAX)?;
        let version = session::run(globals, async |node| {
            let mut write = place.store(&node).put(&self.key, value);
            if let Some(version) = self.condition.if_version {
                write = write.if_version(version);
            }
            if let Some(key) = self.condition.idempotency_key {
                write = write.idempotency_key(key);
            }
            Ok(write.await?)
        })?;
        if output.json() {
            return output.item("micro-node/store-write/v1", &WriteItem { key: self.key, version });
        }
        output.detail(&format!("{} is at version {version}", self.key));
        Ok(())
    }
}

impl Read {
    fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let record = session::run(globals, async |node| {
            let mut read = place.store(&node).get(&self.key);
            if self.staleness.stale {
                read = read.stale();
            }
            Ok(read.await?)
        })?;
        let Some(record) = record else {
            let Place { database, table } = place;
            let message = format!("no record {:?} in table {table:?} of database {database:?}", self.key);
            return Err(Fault::new(Code::NotFound, message)
                .help("micro-node store list shows what there is")
                .into());
        };
        if output.json() {
            return output.item("micro-node/store-read/v1", &RecordItem::from(&record));
        }
        output.detail(&format!("version {}", record.version));
        output.bytes(&record.value)?;
        // A pipe gets the value to the byte; on a terminal the prompt belongs on a line of its own.
        if output.for_terminal() && !record.value.ends_with(b"\n") {
            output.bytes(b"\n")?;
        }
        Ok(())
    }
}

impl List {
    fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let page = session::run(globals, async |node| {
            let mut list = place.store(&node).list(&self.prefix).after(&self.after).limit(self.limit);
            if self.staleness.stale {
                list = list.stale();
            }
            Ok(list.await?)
        })?;
        let last = page.records.last().map(|record| record.key.as_str()).filter(|_| page.more);
        if output.json() {
            let items: Vec<RecordItem> = page.records.iter().map(RecordItem::from).collect();
            let summary = ListSummary { count: items.len(), more: page.more, after: last };
            return output.items("micro-node/store-list/v1", &items, &summary);
        }
        output.table(&listing(&page.records), "no records: micro-node store write KEY VALUE makes one")?;
        if let Some(last) = last {
            output.remark(&format!("there are more: add --after {last:?}"));
        }
        Ok(())
    }
}

impl Delete {
    fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let deleted = session::run(globals, async |node| {
            let mut delete = place.store(&node).delete(&self.key);
            if let Some(version) = self.condition.if_version {
                delete = delete.if_version(version);
            }
            if let Some(key) = self.condition.idempotency_key {
                delete = delete.idempotency_key(key);
            }
            Ok(delete.await?)
        })?;
        if output.json() {
            return output.item("micro-node/store-delete/v1", &DeleteItem { key: self.key, deleted });
        }
        if !deleted {
            output.remark(&format!("there was no record {:?}", self.key));
        }
        Ok(())
    }
}

/// The longest value in a listing, in characters, also in a pipe: one long value would pad every row to its length.
const VALUE_CHARS_MAX: usize = 64;
/// As many bytes as that many characters can take.
const VALUE_BYTES_SHOWN: usize = 4 * (VALUE_CHARS_MAX + 1);

/// The start of a value, on one line.
fn excerpt(value: &[u8]) -> String {
    let start = &value[..value.len().min(VALUE_BYTES_SHOWN)];
    cut(&clean(&String::from_utf8_lossy(start)), Some(VALUE_CHARS_MAX))
}

fn listing(records: &[Record]) -> Table {
    let mut table = Table::new(["KEY", "VALUE", "VERSION"]);
    for record in records {
        let value = match record.value.is_empty() {
            true => NOTHING.to_owned(),
            false => excerpt(&record.value),
        };
        table.row([record.key.clone(), value, record.version.to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &'static [u8], version: u64) -> Record {
        Record { key: key.to_owned(), value: value.into(), version, ..Record::default() }
    }

    #[test]
    fn a_listing_shows_key_value_and_version() {
        let records = [record("id1", b"{\"name\":\"Jane\"}", 42), record("id2", b"", 43)];
        let text = "\
KEY  VALUE            VERSION
id1  {\"name\":\"Jane\"}  42
id2  –                43";
        assert_eq!(listing(&records).render(true, None), text);
    }

    #[test]
    fn a_listing_shows_the_start_of_a_long_value_on_one_line() {
        assert_eq!(excerpt(b"a\nb"), "a\\nb");
        assert_eq!(excerpt(&[b'x'; 64]), "x".repeat(64));
        for long in ["x".repeat(1 << 20), "日".repeat(65), "\n".repeat(65)] {
            let shown = excerpt(long.as_bytes());
            assert_eq!(shown.chars().count(), VALUE_CHARS_MAX, "{shown}");
            assert!(shown.ends_with('…'), "{shown}");
        }
    }

    #[test]
    fn json_keeps_every_byte_of_a_value() {
        let json = |record: &Record| serde_json::to_string(&RecordItem::from(record)).expect("it is JSON");
        let text = r#"{"key":"a","value":"x","value_base64":null,"version":1}"#;
        assert_eq!(json(&record("a", b"x", 1)), text);
        let bytes = r#"{"key":"a","value":null,"value_base64":"/wA=","version":1}"#;
        assert_eq!(json(&record("a", b"\xff\x00", 1)), bytes);
    }
}
