//! `micro-node store import`.

use super::{
    Place,
    database::Placed,
    failure::Failure,
    globals::Globals,
    line::Line,
    lines::{Lines, Unreadable},
    output::Output,
    session,
    shape::{ItemShape, Shapes},
    writer::{Change, Unwritten, Writer},
};
use clap::Args;
use micro_sdk::{
    client::Record,
    wire::{Code, Fault},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader},
};

/// Write records from JSON lines, as an export prints them
///
/// Up to 1,024 lines are one entry of the log: written as a whole, or not at all. After an error, the same import goes
/// on with the line that the error names, --from-line N; what is written twice is as if written once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  micro-node store import --table users @users.jsonl
  micro-node store import --table users @users.jsonl --from-line 2049
  echo '{\"key\":\"id1\",\"value\":\"Jane\"}' | micro-node store import --table users

A line has a \"key\", a \"value\" (text) or \"value_base64\", and maybe \"expires\" (RFC 3339) and \"metadata\". \
Records that have expired meanwhile are left out.")]
pub(super) struct Import {
    /// The lines: @FILE, or - for stdin
    #[arg(default_value = "-")]
    source: String,

    /// Leave out the lines before this one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
}

/// What an import did.
#[derive(Serialize, JsonSchema)]
struct ImportItem {
    /// How many records were written.
    records: u64,
    /// How many had expired.
    expired: u64,
    /// How many lines were read.
    lines: u64,
}

const IMPORT: ItemShape<ImportItem> = ItemShape::new("store-import", &["store import"]);

pub(super) const SHAPES: Shapes = &[&IMPORT];

struct Importer<'a> {
    lines: Lines,
    table: &'a str,
    writer: Writer<'a, u64>,
    /// The line before which all is written.
    reached: &'a Cell<u64>,
}

/// The lines that an argument stands for.
fn open(argument: &str) -> Result<Lines, Failure> {
    let (source, name): (Box<dyn BufRead>, _) = match (argument, argument.strip_prefix('@')) {
        ("-", _) => (Box::new(BufReader::new(io::stdin())), "stdin".to_owned()),
        (_, Some(path)) => {
            let file = File::open(path)
                .map_err(|error| Fault::new(Code::Usage, format!("cannot read {path}: {error}")))?;
            (Box::new(BufReader::new(file)), path.to_owned())
        }
        _ => {
            let message = format!("{argument:?} is neither @FILE nor -");
            return Err(Fault::new(Code::Usage, message)
                .help(format!("a file is given as @{argument}"))
                .into());
        }
    };
    Ok(Lines::new(source, name))
}

impl Importer<'_> {
    async fn run(&mut self, from_line: u64) -> Result<(), Fault> {
        loop {
            let record = match self.next(from_line) {
                Ok(Some(record)) => record,
                Ok(None) => break,
                // What came before it was read, and maybe not written.
                Err(fault) => {
                    self.writer.flush().await.map_err(|unwritten| self.unwritten(unwritten))?;
                    let number = self.lines.number;
                    return Err(
                        fault.help(format!("all before it is written: mend it and add --from-line {number}"))
                    );
                }
            };
            let placed = Placed { table: self.table.to_owned(), record };
            let pushed = self.writer.push(self.lines.number, Change::Put { placed, replaced: 0 }).await;
            pushed.map_err(|unwritten| self.unwritten(unwritten))?;
            if self.writer.is_flushed() {
                self.reached.set(self.lines.number + 1);
            }
        }
        self.writer.flush().await.map_err(|unwritten| self.unwritten(unwritten))
    }

    /// The next record from this line on.
    fn next(&mut self, from_line: u64) -> Result<Option<Record>, Fault> {
        loop {
            let line = self.lines.next().map_err(|unreadable| match unreadable {
                Unreadable::Source(error) => {
                    Fault::new(Code::Failed, format!("cannot read on in {}: {error}", self.lines.name))
                }
                Unreadable::Line(what) => self.wrong(what),
            })?;
            let Some(line) = line else { return Ok(None) };
            if line.trim().is_empty() || self.lines.number < from_line {
                continue;
            }
            return record(&line).map(Some).map_err(|what| self.wrong(what));
        }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Fault {
        let message = format!("line {} of {} is no record: {what}", self.lines.number, self.lines.name);
        Fault::new(Code::Usage, message).help("micro-node store import --help says what a line has")
    }

    fn unwritten(&self, Unwritten { first, last, fault }: Unwritten<u64>) -> Fault {
        let message = format!("lines {first} to {last} of {}: {}", self.lines.name, fault.message);
        Fault { message, ..fault }.help(format!("all before them is written: go on with --from-line {first}"))
    }
}

/// The record that a line asks for.
fn record(line: &str) -> Result<Record, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if line.table.is_some() {
        return Err("it names a table, as a snapshot does: micro-node store restore takes those".to_owned());
    }
    line.record()
}

impl Import {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let lines = open(&self.source)?;
        let reached = Cell::new(self.from_line);
        let done = session::run(globals, async |node| {
            let writer = Writer::new(place.store(&node), output);
            let mut importer = Importer { lines, table: place.table(), writer, reached: &reached };
            importer.run(self.from_line).await?;
            let Importer { lines, writer, .. } = importer;
            Ok(ImportItem { records: writer.written, expired: writer.expired, lines: lines.number })
        });
        if let Err(Failure::Signalled(_)) = done {
            let line = reached.get();
            output.remark(&format!("all before line {line} is written: go on with --from-line {line}"));
        }
        let done = done?;
        if output.json() {
            return output.item(&IMPORT, &done);
        }
        output.remark(&format!("{} records imported", done.records));
        if done.lines < self.from_line && self.from_line > 1 {
            let (lines, from) = (done.lines, self.from_line);
            output.remark(&format!("there are {lines} lines, and --from-line {from} leaves out all of them"));
        }
        if done.expired > 0 {
            output.remark(&format!("{} had expired", done.expired));
        }
        Ok(())
    }
}
