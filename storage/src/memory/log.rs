//! The Raft log: operations wait for a sync that takes its time, and are lost with the power until it ends.

use super::{
    PlantedBug,
    disk::{Disk, Handle},
};
use crate::{Completion, LogMark, LogOp, LogRecord, LogStore, StorageError, log_extent::LogExtent, sealed};
use bytes::Bytes;
use micro_sdk::wire::Timer;
use rand::{Rng, rngs::SmallRng};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    ops::Range,
    sync::Arc,
    time::Duration,
};

/// The most operations that wait: far more than openraft keeps under way.
const UNSYNCED_COUNT_MAX: usize = 1 << 16;

/// The log on the disk.
#[derive(Default)]
pub(super) struct LogPlatter {
    extent: LogExtent,
    /// Sealed, as an engine on files stores them.
    records: BTreeMap<u64, Vec<u8>>,
    marks: BTreeMap<LogMark, Bytes>,
    /// A vote that only pretends to be durable ([`PlantedBug::VoteNotPersisted`]).
    vote_pretended: Option<Bytes>,
    /// What was submitted and is not durable, oldest first.
    unsynced: VecDeque<Unsynced>,
    /// How many of them the sync under way will make durable.
    syncing_count: usize,
    /// Whether a sync is under way or its completions are being called.
    busy: bool,
    /// Why no more writes are taken.
    dead: Option<StorageError>,
}

struct Unsynced {
    /// What to do, or why nothing is to be done: refusals keep their turn too.
    op: Result<LogOp, StorageError>,
    /// None once it was called.
    done: Option<Completion>,
}

/// Completions with their results, in the order in which they are to be called.
type Calls = Vec<(Completion, Result<(), StorageError>)>;

impl LogPlatter {
    pub fn unsynced_count(&self) -> usize {
        self.unsynced.len()
    }

    /// Makes the first `kept` unsynced operations durable and forgets the others. Returns the completions that will not
    /// be called any more.
    pub fn restart(&mut self, kept: usize, bugs: &BTreeSet<PlantedBug>) -> Vec<Completion> {
        let mut owed = Vec::new();
        for (position, unsynced) in std::mem::take(&mut self.unsynced).into_iter().enumerate() {
            if let Ok(op) = unsynced.op
                && position < kept
            {
                // A refusal has nobody left to hear it.
                let _ = self.apply(op, bugs);
            }
            owed.extend(unsynced.done);
        }
        self.vote_pretended = None;
        (self.syncing_count, self.busy, self.dead) = (0, false, None);
        owed
    }

    pub fn flip_bit(&mut self, rng: &mut SmallRng) -> Option<u64> {
        if self.records.is_empty() {
            return None;
        }
        let position = rng.random_range(0..self.records.len());
        let (index, bytes) = self.records.iter_mut().nth(position)?;
        let bit = rng.random_range(0..bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        Some(*index)
    }

    /// Fails for the first damaged record.
    pub fn check(&mut self, bugs: &BTreeSet<PlantedBug>) -> Result<(), StorageError> {
        let broken =
            |(index, stored): (&u64, &Vec<u8>)| Some((*index, sealed::unseal_record(*index, stored).err()?));
        match self.records.iter().find_map(broken) {
            Some((index, _)) if bugs.contains(&PlantedBug::DamagedLogCut) => {
                self.apply(LogOp::TruncateFrom(index), bugs)
            }
            Some((_, error)) => Err(error),
            None => Ok(()),
        }
    }

    fn apply(&mut self, op: LogOp, bugs: &BTreeSet<PlantedBug>) -> Result<(), StorageError> {
        match op {
            LogOp::Append(records) => {
                self.extent.append(&records)?;
                for record in records {
                    let mut bytes = Vec::new();
                    sealed::seal_record(&record, &mut bytes);
                    self.records.insert(record.index, bytes);
                }
            }
            LogOp::TruncateFrom(index) => {
                let dropped = self.extent.truncate_from(index);
                self.records.split_off(&dropped.start);
            }
            LogOp::Purge { through, mark } => {
                if self.extent.purge(through) {
                    self.records = self.records.split_off(&self.extent.first);
                    self.marks.insert(LogMark::Purged, mark);
                }
            }
            LogOp::Mark(LogMark::Purged, _) => {
                return Err(StorageError::refused("the mark of what is purged is set by a purge".to_owned()));
            }
            LogOp::Mark(LogMark::Vote, vote) if bugs.contains(&PlantedBug::VoteNotPersisted) => {
                self.vote_pretended = Some(vote);
            }
            LogOp::Mark(mark, value) => {
                self.marks.insert(mark, value);
            }
        }
        Ok(())
    }

    /// Starts a sync of all that waits.
    fn begin_sync(&mut self) -> bool {
        self.syncing_count = self.unsynced.len();
        self.busy = self.syncing_count > 0;
        self.busy
    }

    fn die(&mut self, cause: StorageError) -> Calls {
        // The operations stay: a crash decides whether some of their bytes reached the disk all the same.
        let owed = self.unsynced.iter_mut().filter_map(|unsynced| unsynced.done.take());
        let calls = owed.map(|done| (done, Err(cause.again()))).collect();
        self.dead = Some(cause);
        calls
    }
}

impl Disk {
    /// The sync is through. Returns what is to be called.
    fn end_sync(&mut self) -> Calls {
        if let Err(error) = self.faults.check_room() {
            return self.log.die(error);
        }
        if std::mem::take(&mut self.faults.sync_fails_next) {
            return self.log.die(io::Error::other("the simulated disk failed to sync").into());
        }
        let mut calls = Vec::new();
        for _ in 0..self.log.syncing_count {
            let Some(unsynced) = self.log.unsynced.pop_front() else { break };
            let result = unsynced.op.and_then(|op| self.log.apply(op, &self.bugs));
            calls.extend(unsynced.done.map(|done| (done, result)));
        }
        calls
    }
}

/// [`LogStore`] on a simulated disk.
#[derive(Clone)]
pub(super) struct MemoryLog {
    handle: Handle,
    timer: Arc<dyn Timer>,
}

impl MemoryLog {
    pub fn new(handle: Handle, timer: Arc<dyn Timer>) -> Self {
        MemoryLog { handle, timer }
    }

    fn sync_after(&self, latency: Duration) {
        let log = self.clone();
        self.timer.after(latency, Box::new(move || log.synced()));
    }

    /// Runs when a sync is through: its completions first, then the next sync, so that completions never overtake one
    /// another even if a completion submits more.
    fn synced(&self) {
        let Ok(mut disk) = self.handle.lock() else { return };
        let calls = disk.end_sync();
        drop(disk);
        for (done, result) in calls {
            done(result);
        }
        let Ok(mut disk) = self.handle.lock() else { return };
        let more = disk.log.dead.is_none() && disk.log.begin_sync();
        disk.log.busy = more;
        let latency = disk.faults.sync_latency;
        drop(disk);
        if more {
            self.sync_after(latency);
        }
    }

    /// Calls `done` on the timer's next turn: never from within `submit`, whose caller may hold locks.
    fn complete_soon(&self, done: Completion, result: Result<(), StorageError>) {
        let handle = self.handle.clone();
        let call = move || {
            let alive = handle.lock().is_ok();
            if alive {
                done(result);
            }
        };
        self.timer.after(Duration::ZERO, Box::new(call));
    }
}

impl LogStore for MemoryLog {
    fn submit(&self, op: LogOp, done: Completion) {
        let Ok(mut disk) = self.handle.lock() else { return };
        if let Some(cause) = &disk.log.dead {
            let result = Err(cause.again());
            drop(disk);
            return self.complete_soon(done, result);
        }
        let (op, mut done) = if disk.log.unsynced.len() < UNSYNCED_COUNT_MAX {
            (Ok(op), Some(done))
        } else {
            let why =
                io::Error::new(io::ErrorKind::WouldBlock, "too much waits for the simulated disk already");
            (Err(why.into()), Some(done))
        };
        let early = match op.is_ok() && disk.bugs.contains(&PlantedBug::AckBeforeSync) {
            true => done.take(),
            false => None,
        };
        disk.log.unsynced.push_back(Unsynced { op, done });
        let begun = !disk.log.busy && disk.log.begin_sync();
        let latency = disk.faults.sync_latency;
        drop(disk);
        if let Some(done) = early {
            self.complete_soon(done, Ok(()));
        }
        if begun {
            self.sync_after(latency);
        }
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<LogRecord>, StorageError> {
        let disk = self.handle.lock()?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for index in disk.log.extent.meet(&range) {
            let stored = disk.log.records.get(&index).ok_or_else(|| {
                StorageError::corrupt(format!("record {index} of the log"), "it is missing")
            })?;
            bytes += stored.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(sealed::unseal_record(index, stored)?);
        }
        Ok(records)
    }

    fn range(&self) -> Result<Range<u64>, StorageError> {
        Ok(self.handle.lock()?.log.extent.range())
    }

    fn tail(&self, bytes: u64) -> Result<u64, StorageError> {
        let disk = self.handle.lock()?;
        let mut left = bytes;
        let fits = |(_, stored): &(&u64, &Vec<u8>)| {
            let rest = left.checked_sub(stored.len() as u64);
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let fitting = disk.log.records.iter().rev().take_while(fits).count() as u64;
        Ok(disk.log.extent.end - fitting)
    }

    fn mark(&self, mark: LogMark) -> Result<Option<Bytes>, StorageError> {
        let disk = self.handle.lock()?;
        let pretended = disk.log.vote_pretended.as_ref().filter(|_| mark == LogMark::Vote);
        Ok(pretended.or_else(|| disk.log.marks.get(&mark)).cloned())
    }
}
