//! `micro-node store import`.

use super::{Place, export::Line, failure::Failure, globals::Globals, item::left, output::Output, session};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use micro_sdk::{
    client::{Put, Store, TRANSACTION_OPS_MAX},
    wire::{Code, Fault},
};
use serde::Serialize;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    time::SystemTime,
};

/// The bytes that are read before they are sent: an entry or two.
const CHUNK_BYTES: usize = 2 << 20;
/// The longest line: a value of the largest size, in which JSON escapes every byte, and its metadata.
const LINE_BYTES_MAX: u64 = 8 << 20;
/// How many records there are between two words of progress.
const PROGRESS_EVERY: u64 = 10_000;

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

A line has a \"key\", a \"value\" (text) or \"value_base64\", and maybe \"expires\" (RFC 3339) and \"metadata\".
Records that have expired meanwhile are left out.")]
pub(super) struct Import {
    /// The lines: @FILE, or - for stdin
    #[arg(default_value = "-")]
    source: String,

    /// Leave out the lines before this one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
}

#[derive(Serialize)]
struct ImportItem {
    /// How many records were written.
    records: u64,
    /// How many had expired.
    expired: u64,
    /// How many lines were read.
    lines: u64,
}

/// Lines with their numbers.
struct Lines {
    source: Box<dyn BufRead>,
    name: String,
    number: u64,
}

impl Lines {
    fn open(argument: &str) -> Result<Lines, Failure> {
        let (source, name): (Box<dyn BufRead>, _) = match (argument, argument.strip_prefix('@')) {
            ("-", _) => (Box::new(BufReader::new(io::stdin())), "stdin".to_owned()),
            (_, Some(path)) => {
                let file = File::open(path)
                    .map_err(|error| Fault::new(Code::Usage, format!("cannot read {path}: {error}")))?;
                (Box::new(BufReader::new(file)), path.to_owned())
            }
            _ => return Err(Failure::usage(format!("{argument:?} is neither @FILE nor -"))),
        };
        Ok(Lines { source, name, number: 0 })
    }

    /// The next line that is not empty, without its end.
    fn next(&mut self) -> Result<Option<String>, Fault> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.source).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            let read = read.map_err(|error| {
                Fault::new(Code::Failed, format!("cannot read on in {}: {error}", self.name))
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if read as u64 == LINE_BYTES_MAX {
                return Err(self.wrong("it is longer than a record can be"));
            }
            let line = String::from_utf8(line).map_err(|_| self.wrong("it is no text"))?;
            if !line.trim().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Fault {
        let message = format!("line {} of {} is no record: {what}", self.number, self.name);
        Fault::new(Code::Usage, message).help("micro-node store import --help says what a line has")
    }
}

/// What is about to be written, and where it comes from.
#[derive(Default)]
struct Chunk {
    puts: Vec<Put>,
    /// The line of each.
    lines: Vec<u64>,
    bytes: usize,
    /// Whether nothing comes after it.
    last: bool,
}

struct Importer<'a> {
    lines: Lines,
    store: Store,
    output: &'a Output,
    done: ImportItem,
}

impl Importer<'_> {
    async fn run(&mut self, from_line: u64) -> Result<(), Fault> {
        loop {
            let chunk = match self.chunk(from_line) {
                Ok(chunk) => chunk,
                // What came before it was read, and not written.
                Err((chunk, fault)) => {
                    self.write(chunk).await?;
                    let number = self.lines.number;
                    return Err(
                        fault.help(format!("all before it is written: mend it and add --from-line {number}"))
                    );
                }
            };
            let last = chunk.last;
            self.write(chunk).await?;
            if last {
                return Ok(());
            }
        }
    }

    /// Reads on for as much as is written at once.
    fn chunk(&mut self, from_line: u64) -> Result<Chunk, (Chunk, Fault)> {
        let mut chunk = Chunk::default();
        while chunk.lines.len() < TRANSACTION_OPS_MAX && chunk.bytes < CHUNK_BYTES {
            let line = match self.lines.next() {
                Ok(Some(line)) => line,
                Ok(None) => {
                    chunk.last = true;
                    break;
                }
                Err(fault) => return Err((chunk, fault)),
            };
            if self.lines.number < from_line {
                continue;
            }
            chunk.bytes += line.len();
            match put(&self.store, &line) {
                Ok(Some(put)) => {
                    chunk.puts.push(put);
                    chunk.lines.push(self.lines.number);
                }
                Ok(None) => self.done.expired += 1,
                Err(what) => return Err((chunk, self.lines.wrong(what))),
            }
        }
        Ok(chunk)
    }

    async fn write(&mut self, chunk: Chunk) -> Result<(), Fault> {
        let mut batch = self.store.batch();
        for put in chunk.puts {
            batch.push(put);
        }
        let before = self.done.records;
        let done = batch.await.map_err(|error| {
            let first = chunk.lines.get(error.done.changes).copied().unwrap_or(self.lines.number);
            let last = chunk.lines.get(error.done.changes + error.failed - 1).copied().unwrap_or(first);
            let message = format!("lines {first} to {last} of {}: {}", self.lines.name, error.fault.message);
            let fault = Fault { message, ..error.fault };
            fault.help(format!("all before them is written: go on with --from-line {first}"))
        })?;
        self.done.records += done.changes as u64;
        if before / PROGRESS_EVERY != self.done.records / PROGRESS_EVERY {
            self.output.remark(&format!("{} records so far", self.done.records));
        }
        Ok(())
    }
}

/// The write that a line asks for; none if the record has expired.
fn put(store: &Store, line: &str) -> Result<Option<Put>, String> {
    let Line { key, value, value_base64, expires, metadata, .. } =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let value = match (value, value_base64) {
        (Some(text), None) => Bytes::from(text),
        (None, Some(base64)) => {
            STANDARD.decode(base64).map_err(|error| format!("value_base64: {error}"))?.into()
        }
        _ => return Err("it has to have one of value and value_base64".to_owned()),
    };
    let mut put = store.put(key, value);
    if let Some(expires) = expires {
        let expires: Timestamp = expires.parse().map_err(|error| format!("expires: {error}"))?;
        let left = left(SystemTime::from(expires));
        if left.is_zero() {
            return Ok(None);
        }
        put = put.ttl(left);
    }
    Ok(Some(metadata.into_iter().fold(put, |put, (name, text)| put.metadata(name, text))))
}

impl Import {
    pub(super) fn run(self, place: &Place, globals: &Globals, output: &Output) -> Result<(), Failure> {
        let lines = Lines::open(&self.source)?;
        let done = session::run(globals, async |node| {
            let done = ImportItem { records: 0, expired: 0, lines: 0 };
            let mut importer = Importer { lines, store: place.store(&node), output, done };
            importer.run(self.from_line).await?;
            Ok(ImportItem { lines: importer.lines.number, ..importer.done })
        })?;
        if output.json() {
            return output.item("micro-node/store-import/v1", &done);
        }
        output.remark(&format!("{} records imported", done.records));
        if done.expired > 0 {
            output.remark(&format!("{} had expired", done.expired));
        }
        Ok(())
    }
}
