//! The end of the log, where entries are added: the one place that writes its files.

use super::{
    digest::Digest,
    entry::Entry,
    segments::{self, lines},
};
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditBounds {
    /// A file that has so many bytes is the last but one from then on.
    pub file_bytes: u64,
    /// How many files there are at most; two at least.
    pub files: usize,
}

impl Default for AuditBounds {
    /// 64 MiB: a month of a busy mesh's changes, or some hundred thousand refusals.
    fn default() -> Self {
        AuditBounds { file_bytes: 8 << 20, files: 8 }
    }
}

/// The number and the hash of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub seq: u64,
    pub digest: Digest,
}

impl Mark {
    /// Before the first entry.
    pub const BEGINNING: Mark = Mark { seq: 0, digest: Digest::NONE };

    /// As it is kept among the small files.
    pub fn text(self) -> String {
        format!("{} {}\n", self.seq, self.digest)
    }

    /// Reads it; none if it is garbled, as if it were not there: the files themselves are what counts.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (seq, digest) = std::str::from_utf8(text).ok()?.trim_end().split_once(' ')?;
        Some(Mark { seq: seq.parse().ok()?, digest: digest.parse().ok()? })
    }
}

/// What was found at the end of the log when it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many bytes of a line were there without its end: a process was killed as it wrote them.
    pub torn: usize,
    /// The entries that were there once, from and through, and are not.
    pub missing: Option<(u64, u64)>,
}

/// The end of the log.
pub(super) struct Chain {
    directory: PathBuf,
    bounds: AuditBounds,
    /// The files that there are, by their first entries.
    files: Vec<u64>,
    current: File,
    length: u64,
    last: Mark,
}

impl Chain {
    /// Opens the log in `directory`, and makes it first if there is none. `kept` is the last entry that is known to
    /// have been there.
    ///
    /// # Errors
    /// If the disk or its rights are in the way.
    pub fn open(directory: &Path, bounds: AuditBounds, kept: Option<Mark>) -> io::Result<(Self, Found)> {
        segments::make(directory)?;
        let mut files = segments::segments(directory)?;
        let (mut last, torn) = end(directory, &files)?;
        let mut found = Found { torn, missing: None };
        if let Some(kept) = kept.filter(|kept| kept.seq > last.seq) {
            found.missing = Some((last.seq + 1, kept.seq));
            // No two entries ever had the same number.
            last.seq = kept.seq;
        }
        // What follows a gap begins a file, since that is called by its first entry.
        let fresh = files.is_empty() || found.missing.is_some();
        if fresh && files.last() != Some(&(last.seq + 1)) {
            files.push(last.seq + 1);
        }
        let first = *files.last().expect("there is one, or it was just added");
        let current = segments::open(directory, first)?;
        if fresh {
            segments::sync(directory)?;
        }
        let length = current.metadata()?.len() - if fresh { 0 } else { torn as u64 };
        current.set_len(length)?;
        let directory = directory.to_owned();
        Ok((Chain { directory, bounds, files, current, length, last }, found))
    }

    /// The last entry.
    pub fn last(&self) -> Mark {
        self.last
    }

    /// Adds entries. Returns how many of them could not be written, and why.
    ///
    /// # Errors
    /// If the disk does not take them.
    pub fn append(&mut self, entries: Vec<Entry>, now: SystemTime) -> Result<(), (usize, io::Error)> {
        let mut left = entries.len();
        let mut staged = Staged::behind(self.last);
        for entry in entries {
            if self.length + staged.bytes.len() as u64 >= self.bounds.file_bytes {
                let written = staged.entries;
                self.write(staged).map_err(|error| (left, error))?;
                left -= written;
                self.rotate(now).map_err(|error| (left, error))?;
                staged = Staged::behind(self.last);
            }
            staged.add(entry);
        }
        self.write(staged).map_err(|error| (left, error))
    }

    /// Makes all that was added durable.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.current.sync_data()
    }

    /// Whether the file that is written still has its name: else somebody has removed it.
    pub fn is_there(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let named = self.files.last().map(|first| fs::metadata(segments::path(&self.directory, *first)));
        let same = |named: &fs::Metadata| {
            self.current.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (named.dev(), named.ino()))
        };
        matches!(&named, Some(Ok(named)) if same(named))
    }

    /// Goes on in a new file, and gives up the oldest if there are too many.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn rotate(&mut self, now: SystemTime) -> io::Result<()> {
        self.current.sync_data()?;
        let first = self.last.seq + 1;
        if self.files.last() != Some(&first) {
            self.files.push(first);
        }
        self.current = segments::open(&self.directory, first)?;
        self.length = self.current.metadata()?.len();
        segments::sync(&self.directory)?;
        let surplus = self.files.len().saturating_sub(self.bounds.files.max(2));
        if surplus == 0 {
            return Ok(());
        }
        // Said and synced before it is done: a file that is gone without a word was taken away.
        let mut staged = Staged::behind(self.last);
        staged.add(self.retirement(self.files[surplus], now));
        self.write(staged)?;
        self.current.sync_data()?;
        for first in self.files.drain(..surplus) {
            match fs::remove_file(segments::path(&self.directory, first)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        segments::sync(&self.directory)
    }

    /// Says that what is before the file that begins with `first` is given up.
    fn retirement(&self, first: u64, now: SystemTime) -> Entry {
        let bytes = fs::read(segments::path(&self.directory, first)).unwrap_or_default();
        let prev = lines(&bytes).0.next().and_then(Entry::parse).map(|(entry, _)| entry.prev);
        Entry { through: Some(first - 1), head: prev, ..Entry::of_log("retired", now) }
    }

    fn write(&mut self, staged: Staged) -> io::Result<()> {
        if staged.bytes.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.current.write_all(&staged.bytes) {
            // A part of it may be there, and what comes next must not stand behind half a line.
            self.current.set_len(self.length)?;
            return Err(error);
        }
        self.length += staged.bytes.len() as u64;
        self.last = staged.last;
        Ok(())
    }
}

/// Lines that are written together.
struct Staged {
    bytes: Vec<u8>,
    entries: usize,
    last: Mark,
}

impl Staged {
    fn behind(last: Mark) -> Self {
        Staged { bytes: Vec::new(), entries: 0, last }
    }

    fn add(&mut self, entry: Entry) {
        let seq = self.last.seq + 1;
        let line = entry.line(seq, self.last.digest);
        self.last = Mark { seq, digest: Digest::of(&line) };
        self.bytes.extend_from_slice(&line);
        self.bytes.push(b'\n');
        self.entries += 1;
    }
}

/// The last entry in these files, and how many bytes without an end of line are behind the last one. A line that can't
/// be read has a number all the same: the one after the one before it.
fn end(directory: &Path, files: &[u64]) -> io::Result<(Mark, usize)> {
    let mut torn_last = None;
    for first in files.iter().rev() {
        let bytes = fs::read(segments::path(directory, *first))?;
        let (lines, torn) = lines(&bytes);
        torn_last.get_or_insert(torn);
        let mut seq = first - 1;
        let mut last = None;
        for line in lines {
            seq = Entry::parse(line).map_or(seq + 1, |(entry, _)| entry.seq);
            last = Some(line);
        }
        if let Some(line) = last {
            return Ok((Mark { seq, digest: Digest::of(line) }, torn_last.unwrap_or(0)));
        }
    }
    Ok((Mark::BEGINNING, torn_last.unwrap_or(0)))
}
