//! The form of a snapshot: a head, a line for each record in the order of tables and keys, and an end with their number
//! and the hash of all bytes before it. What has no such end is not whole.

use super::super::{
    database::Placed,
    line::Line,
    lines::{Lines, Unreadable},
    shape::Shape,
};
use micro_sdk::wire::{Code, Fault};
use ring::digest::{Context, SHA256};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, BufReader, Seek, Write},
    path::Path,
};

/// What the form is called: another form gets another name.
pub(in super::super) const SCHEMA: &str = "micro-node/store-snapshot/v1";

/// What a snapshot is of: its first line.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Head {
    /// The shape of this document.
    pub(in super::super) schema: String,
    /// The namespace of the database.
    pub(in super::super) namespace: String,
    /// The database.
    pub(in super::super) database: String,
    /// The records are as of this revision.
    pub(in super::super) revision: u64,
    /// When it was taken: RFC 3339.
    pub(in super::super) time: String,
}

pub(super) const SNAPSHOT: Shape<Head> = Shape::new("store-snapshot", &["store snapshot -"]);

/// The last line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// How many records there are.
    records: u64,
    /// Of all bytes before this line, as `sha256sum` shows it.
    sha256: String,
}

/// A snapshot that is being written.
pub(super) struct Composer<W> {
    to: W,
    digest: Context,
    pub(super) records: u64,
}

impl<W: Write> Composer<W> {
    pub(super) fn begin(to: W, head: &Head) -> io::Result<Composer<W>> {
        let mut composer = Composer { to, digest: Context::new(&SHA256), records: 0 };
        composer.line(head)?;
        Ok(composer)
    }

    pub(super) fn record(&mut self, placed: Placed) -> io::Result<()> {
        self.line(&Line::from(placed.record).of(placed.table))?;
        self.records += 1;
        Ok(())
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        let end = End { records: self.records, sha256: hex(&self.digest) };
        self.line(&end)?;
        self.to.flush()
    }

    fn line(&mut self, item: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(item).expect("our items have text as keys");
        line.push(b'\n');
        self.digest.update(&line);
        self.to.write_all(&line)
    }
}

/// The hash of what was seen so far.
fn hex(digest: &Context) -> String {
    digest.clone().finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A snapshot that is being read: its records, then nothing more if it was whole, else a fault.
pub(in super::super) struct Reader {
    lines: Lines,
    /// The line that comes next. It is the end if none follows it.
    ahead: Option<String>,
    /// Of all lines before it.
    digest: Context,
    records: u64,
    /// Where the last record was.
    last: Option<(String, String)>,
    head: Head,
}

impl Reader {
    /// Reads the head of `file`, which is called `path`, from its beginning.
    ///
    /// # Errors
    /// `Usage` if it is no snapshot; `Failed` if it is damaged or can't be read.
    pub(in super::super) fn open(mut file: &File, path: &Path) -> Result<Reader, Fault> {
        let name = path.display().to_string();
        let unreadable = |error| unreadable(&name, &error);
        file.rewind().map_err(unreadable)?;
        let file = file.try_clone().map_err(unreadable)?;
        let mut lines = Lines::new(Box::new(BufReader::new(file)), name.clone());
        let first = match lines.next() {
            Ok(first) => first.unwrap_or_default(),
            Err(Unreadable::Source(error)) => return Err(unreadable(error)),
            Err(Unreadable::Line(_)) => String::new(),
        };
        let head = head(&first, &name)?;
        let mut digest = Context::new(&SHA256);
        digest.update(first.as_bytes());
        let mut reader = Reader { lines, ahead: None, digest, records: 0, last: None, head };
        reader.ahead = reader.line()?;
        match reader.ahead {
            Some(_) => Ok(reader),
            None => Err(reader.damaged("it is cut short behind its head")),
        }
    }

    /// What the snapshot is of.
    pub(in super::super) fn head(&self) -> &Head {
        &self.head
    }

    /// How many bytes were read.
    pub(in super::super) fn bytes(&self) -> u64 {
        self.lines.bytes
    }

    fn line(&mut self) -> Result<Option<String>, Fault> {
        self.lines.next().map_err(|error| match error {
            Unreadable::Source(error) => unreadable(&self.lines.name, &error),
            Unreadable::Line(what) => self.damaged(&format!("line {}: {what}", self.lines.number)),
        })
    }

    fn damaged(&self, what: &str) -> Fault {
        Fault::new(Code::Failed, format!("snapshot {} is damaged: {what}", self.lines.name))
            .help("use another copy of it, or an earlier snapshot")
    }

    /// The record of `line`, behind which another one follows.
    fn record(&mut self, line: &str) -> Result<Placed, Fault> {
        self.digest.update(line.as_bytes());
        // The line behind this one is read already.
        let number = self.lines.number - 1;
        let line: Result<Line, _> = serde_json::from_str(line);
        let record = line.map_err(|error| error.to_string()).and_then(|line| {
            let table = line.table.clone().ok_or("it names no table")?;
            Ok(Placed { table, record: line.record()? })
        });
        let placed = record.map_err(|what| self.damaged(&format!("line {number} is no record: {what}")))?;
        let place = (placed.table.clone(), placed.record.key.clone());
        if self.last.as_ref().is_some_and(|last| *last >= place) {
            return Err(self.damaged(&format!("line {number} is out of order")));
        }
        self.last = Some(place);
        self.records += 1;
        Ok(placed)
    }

    /// Compares what was read with `line`, the last one.
    fn check(&self, line: &str) -> Result<(), Fault> {
        let end = line.strip_suffix('\n').and_then(|line| serde_json::from_str::<End>(line).ok());
        let Some(end) = end else {
            return Err(self.damaged("it is cut short: its last line is not that of a snapshot"));
        };
        if end.records != self.records {
            let what = format!("it has {} records, and should have {}", self.records, end.records);
            return Err(self.damaged(&what));
        }
        if end.sha256 != hex(&self.digest) {
            return Err(self.damaged("its hash is another than the one in its last line"));
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<Placed, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.ahead.take()?;
        self.ahead = match self.line() {
            Ok(ahead) => ahead,
            Err(fault) => return Some(Err(fault)),
        };
        match self.ahead {
            Some(_) => Some(self.record(&line)),
            None => self.check(&line).err().map(Err),
        }
    }
}

/// The head in the first line.
fn head(line: &str, name: &str) -> Result<Head, Fault> {
    let document: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let schema = document["schema"].as_str().unwrap_or_default().to_owned();
    if schema != SCHEMA {
        let message = match schema.strip_prefix("micro-node/store-snapshot/") {
            Some(form) => format!("{name} is a snapshot of a form that this program does not know: {form:?}"),
            None => format!("{name} is no snapshot of a database"),
        };
        return Err(Fault::new(Code::Usage, message).help("micro-node store snapshot FILE makes one"));
    }
    serde_json::from_value(document).map_err(|error| {
        Fault::new(Code::Failed, format!("snapshot {name} is damaged: its head: {error}"))
            .help("use another copy of it, or an earlier snapshot")
    })
}

fn unreadable(name: &str, error: &io::Error) -> Fault {
    Fault::new(Code::Failed, format!("cannot read {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use micro_sdk::client::Record;

    fn composed(records: &[(&str, &str)]) -> Vec<u8> {
        let head = Head {
            schema: SCHEMA.to_owned(),
            namespace: "default".to_owned(),
            database: "crm".to_owned(),
            revision: 7,
            time: "2026-11-26T09:00:00Z".to_owned(),
        };
        let mut to = Vec::new();
        let mut composer = Composer::begin(&mut to, &head).expect("memory takes it");
        for placed in placed(records) {
            composer.record(placed).expect("memory takes it");
        }
        composer.end().expect("memory takes it");
        to
    }

    fn placed(records: &[(&str, &str)]) -> Vec<Placed> {
        let record = |key: &str| Record { key: key.to_owned(), value: "x".into(), ..Record::default() };
        let placed = |(table, key): &(&str, &str)| Placed { table: (*table).to_owned(), record: record(key) };
        records.iter().map(placed).collect()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Placed>, Fault> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(bytes).expect("room for it");
        let reader = Reader::open(file.as_file(), file.path())?;
        let head = reader.head().clone();
        let placed: Result<Vec<_>, _> = reader.collect();
        assert!(placed.is_err() || head.database == "crm", "{head:?}");
        placed
    }

    const RECORDS: [(&str, &str); 3] = [("t", "a"), ("t", "b"), ("u", "a")];

    #[test]
    fn a_snapshot_is_read_as_it_was_written() {
        assert_eq!(read(&composed(&RECORDS)), Ok(placed(&RECORDS)));
        assert_eq!(read(&composed(&[])), Ok(vec![]));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let good = composed(&RECORDS);
        for cut in 0..good.len() {
            let fault = read(&good[..cut]).expect_err("it is cut short");
            assert!(fault.message.contains("snapshot"), "{cut}: {fault}");
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                assert!(read(&bytes).is_err(), "byte {at}, bit {bit}");
            }
        }
        let mut more = good.clone();
        more.extend_from_slice(b"{}\n");
        assert!(read(&more).is_err(), "what follows the end is not part of it");
        let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        let fault = read(&[&lines[..2], &lines[3..]].concat().concat()).expect_err("a record is missing");
        assert!(fault.message.contains("has 2 records, and should have 3"), "{fault}");
    }

    #[test]
    fn records_out_of_order_and_other_files_are_refused() {
        let fault = read(&composed(&[("t", "b"), ("t", "a")])).expect_err("they are out of order");
        assert!(fault.message.contains("line 3 is out of order"), "{fault}");
        for other in [&b""[..], b"{}\n", b"PK\x03\x04", b"{\"key\":\"a\",\"value\":\"x\"}\n"] {
            let fault = read(other).expect_err("it is another file");
            assert_eq!(fault.code, Code::Usage, "{fault}");
        }
        let later =
            String::from_utf8(composed(&[])).expect("it is text").replace("snapshot/v1", "snapshot/v2");
        let fault = read(later.as_bytes()).expect_err("it is of a later form");
        assert!(fault.message.contains("\"v2\""), "{fault}");
    }
}
