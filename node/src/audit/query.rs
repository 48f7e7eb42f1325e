//! Which entries are asked for, and the last of them.

use super::{
    digest::Digest,
    entry::{Entry, written},
    segments::{self, lines},
};
use micro_sdk::wire::TraceId;
use std::{collections::VecDeque, fs, io, path::Path, time::SystemTime};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Not those from before.
    pub since: Option<SystemTime>,
    /// Those of this account only, as NAMESPACE/NAME.
    pub account: Option<String>,
    /// What was denied only.
    pub denied: bool,
    /// What was asked in this trace only.
    pub trace: Option<TraceId>,
}

impl Query {
    /// Whether an entry is asked for.
    pub(super) fn wants(&self, entry: &Entry) -> bool {
        let of_account = self.account.as_ref().is_none_or(|name| entry.account.as_ref() == Some(name));
        let of_trace = self.trace.is_none_or(|trace| entry.trace.as_ref() == Some(&trace.to_string()));
        of_account && of_trace && (!self.denied || entry.verdict == "denied") && self.is_recent(&entry.time)
    }

    fn is_recent(&self, time: &str) -> bool {
        // Times are in the order of their texts.
        self.since.is_none_or(|since| time >= written(since).as_str())
    }

    /// The last `limit` entries that are asked for, oldest first, each with its hash. Lines that can't be read are left
    /// out: to find them is for who verifies.
    ///
    /// # Errors
    /// If a file can't be read.
    pub(super) fn last(&self, directory: &Path, limit: usize) -> io::Result<Vec<(Entry, Digest)>> {
        let mut found = VecDeque::new();
        for first in segments::segments(directory)?.into_iter().rev() {
            let bytes = match fs::read(segments::path(directory, first)) {
                Ok(bytes) => bytes,
                // It has just been given up, and so have those before it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(error),
            };
            let (mut any, mut recent) = (false, false);
            let mut here: VecDeque<_> = VecDeque::new();
            for line in lines(&bytes).0 {
                let Some((entry, _)) = Entry::parse(line) else { continue };
                any = true;
                recent |= self.is_recent(&entry.time);
                if self.wants(&entry) {
                    here.push_back((entry, Digest::of(line)));
                }
            }
            while let Some(entry) = here.pop_back().filter(|_| found.len() < limit) {
                found.push_front(entry);
            }
            // What is before a file that is too old is older still.
            if found.len() == limit || any && !recent {
                break;
            }
        }
        Ok(found.into())
    }
}
