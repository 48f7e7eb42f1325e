//! A text that is read line by line, each with its number.

use std::io::{self, BufRead, Read};

/// The longest line: a value of the largest size, in which JSON escapes every byte, and its metadata.
const LINE_BYTES_MAX: u64 = 8 << 20;

/// Lines with their numbers.
pub(super) struct Lines {
    source: Box<dyn BufRead>,
    /// What to call the source in a message.
    pub(super) name: String,
    /// The number of the line that was read last, from 1 on.
    pub(super) number: u64,
    /// How many bytes were read.
    pub(super) bytes: u64,
}

/// Why there is no next line.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// The source can't be read on.
    Source(io::Error),
    /// The line is none that a record can be in.
    Line(&'static str),
}

impl Lines {
    pub(super) fn new(source: Box<dyn BufRead>, name: String) -> Lines {
        Lines { source, name, number: 0, bytes: 0 }
    }

    /// The next line, with its end if it has one.
    ///
    /// # Errors
    /// If there is none that can be read.
    pub(super) fn next(&mut self) -> Result<Option<String>, Unreadable> {
        let mut line = Vec::new();
        let read = (&mut self.source).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let read = read.map_err(Unreadable::Source)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read;
        if read == LINE_BYTES_MAX {
            return Err(Unreadable::Line("it is longer than a record can be"));
        }
        String::from_utf8(line).map(Some).map_err(|_| Unreadable::Line("it is no text"))
    }
}
