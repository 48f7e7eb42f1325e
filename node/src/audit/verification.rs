//! Reads the log through: whether each entry is as it was written, and none is missing.

use super::{
    chain::Mark,
    digest::Digest,
    entry::Entry,
    segments::{self, lines},
};
use std::{fs, io, path::Path};

/// How many breaks are told: whoever sees so many has seen enough.
const BREAKS_MAX: usize = 100;

/// What came of reading the log through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// How many files there are.
    pub files: usize,
    /// How many entries there are.
    pub entries: u64,
    /// The number of the first and of the last one.
    pub numbers: (u64, u64),
    /// The hash of the last one. Whoever keeps it elsewhere knows later that all up to here is as it was.
    pub head: Digest,
    /// What is wrong, in the order of the files.
    pub breaks: Vec<Break>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The file.
    pub file: String,
    /// The line, from 1 on.
    pub line: u64,
    /// What.
    pub why: String,
}

/// A reading as far as it has come.
struct Reading {
    found: Verification,
    kept: Option<Mark>,
    /// Not seen yet.
    wanted: Option<Digest>,
    /// The first file, the number before its first entry, and what that one says was before it.
    beginning: Option<(u64, u64, Digest)>,
    /// What entries say was given up.
    retired: Vec<(u64, Option<Digest>)>,
}

impl Verification {
    /// Reads the log in `directory`. `kept` is the last entry that is known to have been there, and `wanted` the hash
    /// of one that a person has kept.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(super) fn of(directory: &Path, kept: Option<Mark>, wanted: Option<Digest>) -> io::Result<Self> {
        let nothing =
            Verification { files: 0, entries: 0, numbers: (0, 0), head: Digest::NONE, breaks: Vec::new() };
        let mut reading = Reading { found: nothing, kept, wanted, beginning: None, retired: Vec::new() };
        let files = segments::segments(directory)?;
        let last = files.last().copied();
        for first in files {
            let bytes = match fs::read(segments::path(directory, first)) {
                Ok(bytes) => bytes,
                // Given up since the names were read. The one after it begins then, and says so.
                Err(error) if error.kind() == io::ErrorKind::NotFound && reading.found.files == 0 => continue,
                Err(error) => return Err(error),
            };
            reading.file(first, &bytes, last == Some(first));
        }
        Ok(reading.end(last.unwrap_or(1)))
    }

    fn broken(&mut self, file: u64, line: u64, why: String) {
        if self.breaks.len() < BREAKS_MAX {
            self.breaks.push(Break { file: segments::name(file), line, why });
        }
    }
}

impl Reading {
    fn file(&mut self, first: u64, bytes: &[u8], last: bool) {
        self.found.files += 1;
        let (lines, torn) = lines(bytes);
        let mut number = 0;
        for line in lines {
            number += 1;
            self.line(first, number, line);
        }
        // At the end of the last file it is the trace of a kill, or an entry that is just being written.
        if torn > 0 && !last {
            self.found.broken(first, number + 1, format!("{torn} bytes are no whole line"));
        }
    }

    fn line(&mut self, file: u64, number: u64, line: &[u8]) {
        let before = self.found.numbers.1;
        let digest = Digest::of(line);
        let seq = match Entry::parse(line) {
            None => {
                self.found.broken(file, number, "the line is no entry".to_owned());
                // As if it were: its place says which it was.
                if number == 1 { file } else { before + 1 }
            }
            Some((entry, prev)) => {
                self.links(file, number, &entry, prev);
                if entry.event == "retired" {
                    let head = entry.head.as_deref().and_then(|head| head.parse().ok());
                    self.retired.extend(entry.through.map(|through| (through, head)));
                }
                entry.seq
            }
        };
        if number == 1 && seq != file {
            let why = format!("the file begins with entry {seq}, and not with the one that it is called by");
            self.found.broken(file, number, why);
        }
        if let Some(kept) = self.kept.filter(|kept| kept.seq == seq && kept.digest != digest) {
            self.found.broken(file, number, format!("entry {} is not the one that was written", kept.seq));
        }
        self.wanted = self.wanted.filter(|wanted| *wanted != digest);
        if self.found.entries == 0 {
            self.found.numbers.0 = seq;
        }
        self.found.entries += 1;
        (self.found.numbers.1, self.found.head) = (seq, digest);
    }

    /// Whether an entry follows the one before it.
    fn links(&mut self, file: u64, number: u64, entry: &Entry, prev: Digest) {
        let (before, head) = (self.found.numbers.1, self.found.head);
        if self.found.entries == 0 {
            self.beginning = Some((file, entry.seq.saturating_sub(1), prev));
        } else if entry.seq > before + 1 {
            let why = match entry.seq - before {
                2 => format!("entry {} is missing before this one", before + 1),
                _ => format!("entries {} to {} are missing before this one", before + 1, entry.seq - 1),
            };
            self.found.broken(file, number, why);
        } else if entry.seq <= before {
            self.found.broken(
                file,
                number,
                format!("entry {} is there twice, or not in its place", entry.seq),
            );
        } else if prev != head {
            let why = format!("entry {before}, before this one, is not the one that was written");
            self.found.broken(file, number, why);
        }
    }

    /// What is known once all is read.
    fn end(mut self, last: u64) -> Verification {
        let beginning = self.beginning.filter(|(_, before, prev)| (*before, *prev) != (0, Digest::NONE));
        if let Some((file, before, prev)) = beginning {
            let covers = |(through, head): &(u64, Option<Digest>)| {
                *through > before || (*through == before && head.is_none_or(|head| head == prev))
            };
            if !self.retired.iter().any(covers) {
                let why = format!(
                    "the entries up to {before} are missing, and no entry says that they were given up"
                );
                let earlier = std::mem::take(&mut self.found.breaks);
                self.found.broken(file, 1, why);
                self.found.breaks.extend(earlier);
            }
        }
        let there = self.found.numbers.1;
        let line = (there + 2).saturating_sub(last);
        if let Some(kept) = self.kept.filter(|kept| kept.seq > there) {
            let why = format!("the entries from {} to {} are missing at the end", there + 1, kept.seq);
            self.found.broken(last, line, why);
        }
        if let Some(wanted) = self.wanted {
            let why = format!(
                "no entry has the hash {wanted}: it was removed, or given up as too old, or all was made anew"
            );
            self.found.broken(last, line, why);
        }
        self.found
    }
}
