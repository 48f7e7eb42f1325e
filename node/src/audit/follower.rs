//! Entries as they are written, for whoever watches.

use super::{
    digest::Digest,
    entry::Entry,
    query::Query,
    segments::{self, lines},
};
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

/// How much is read at a time.
const PIECE_BYTES: u64 = 1 << 20;

/// Where somebody is who reads along.
#[derive(Clone, Debug)]
pub struct Follower {
    directory: PathBuf,
    query: Query,
    /// The file that is read, by its first entry.
    first: u64,
    /// How far it was read.
    offset: u64,
    /// The last entry that was told, or passed over.
    seen: u64,
}

impl Follower {
    /// Reads what comes behind the entry `seen`.
    pub(super) fn behind(directory: PathBuf, query: Query, seen: u64) -> Self {
        Follower { directory, query, first: 0, offset: 0, seen }
    }

    /// The next entries that are asked for; none if there are none now.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(super) fn next(&mut self) -> io::Result<Vec<(Entry, Digest)>> {
        loop {
            let files = segments::segments(&self.directory)?;
            if !files.contains(&self.first) {
                // At the beginning, or given up meanwhile: on with the one that has the next entry.
                let within = files.iter().rev().find(|first| **first <= self.seen + 1);
                let Some(first) = within.or(files.first()) else { return Ok(Vec::new()) };
                (self.first, self.offset) = (*first, 0);
            }
            let mut bytes = Vec::new();
            let mut file = File::open(segments::path(&self.directory, self.first))?;
            file.seek(SeekFrom::Start(self.offset))?;
            file.take(PIECE_BYTES).read_to_end(&mut bytes)?;
            let (lines, torn) = lines(&bytes);
            let mut found = Vec::new();
            for line in lines {
                let Some((entry, _)) = Entry::parse(line) else { continue };
                if entry.seq > self.seen && self.query.wants(&entry) {
                    found.push((entry.clone(), Digest::of(line)));
                }
                self.seen = self.seen.max(entry.seq);
            }
            let read = (bytes.len() - torn) as u64;
            self.offset += read;
            if !found.is_empty() {
                return Ok(found);
            }
            if read == 0 {
                let Some(next) = files.into_iter().find(|first| *first > self.first) else {
                    return Ok(Vec::new());
                };
                (self.first, self.offset) = (next, 0);
            }
        }
    }
}
