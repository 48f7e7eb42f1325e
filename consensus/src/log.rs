//! The Raft log as openraft wants it, over a [`LogStore`].
//!
//! Appended entries are readable at once from a cache and durable later: the store's writer thread owns the disk, and
//! replication of recent entries never touches it.
//!
//! ```text
//!   purged │ in the store only │ in store and cache │ in the cache only (being written)
//!          ^first              ^cache front         ^flushed                          ^last
//! ```

use crate::{
    entry::{LogIdRecord, VoteRecord, decode, from_record, to_record},
    errand::Errands,
    raft::{Entry, Group, LogId, Vote},
};
use futures::{Stream, StreamExt, stream};
use micro_sdk::wire::{Codec, NodeId};
use micro_storage::{LogMark, LogOp, LogRecord, LogStore, StorageError};
use openraft::{
    OptionalSend,
    storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage},
};
use std::{
    collections::VecDeque,
    fmt::Debug,
    io,
    ops::{Bound, Range, RangeBounds},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

/// The bytes of flushed entries kept for replication. A follower that is further behind reads from the store; more
/// memory would buy little, since such a follower is behind by seconds.
const CACHE_BYTES_MAX: usize = 8 << 20;
/// The entries kept at most: bounds the memory of many small ones.
const CACHE_ENTRIES_MAX: usize = 16_384;
/// What an entry costs in memory beside its body.
const ENTRY_BYTES: usize = 96;
/// The bytes read in one go: one append message carries no more, so that heartbeats get through between two.
const READ_BYTES_MAX: usize = 2 << 20;

/// The log of this node. Clones share everything.
#[derive(Clone)]
pub(crate) struct Log {
    node: NodeId,
    store: Arc<dyn LogStore>,
    errands: Errands,
    shared: Arc<Mutex<Shared>>,
    tail: watch::Sender<Tail>,
}

/// The end of the log, as replication looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tail {
    /// One past the last index, whether durable or not yet.
    pub end: u64,
    /// What `end` was a moment ago: the entries below it have waited long enough for others to follow.
    pub rested: u64,
}

/// How long an entry waits for others to follow before its commit is told on its own: longer than a lone client takes
/// from one write to the next on a disk that syncs within a millisecond or two, and far less than a person or a
/// heartbeat.
const REST: Duration = Duration::from_millis(5);

struct Shared {
    vote: Option<Vote>,
    purged: Option<LogId>,
    last: Option<LogId>,
    /// The newest entries, without a gap, up to `last`.
    cache: VecDeque<Entry>,
    cache_bytes: usize,
    /// One past the last index that is durable. Never less than the purged ones.
    flushed: u64,
    /// Counts truncations, so that a flush of entries that were truncated since is not taken for one of those that
    /// took their place.
    truncations: u64,
}

fn cost(entry: &Entry) -> usize {
    let body = match &entry.payload {
        openraft::EntryPayload::Normal(command) => command.bytes().len(),
        _ => 0,
    };
    body + ENTRY_BYTES
}

impl Shared {
    fn evict(&mut self) {
        while self.cache_bytes > CACHE_BYTES_MAX || self.cache.len() > CACHE_ENTRIES_MAX {
            match self.cache.front() {
                Some(front) if front.log_id.index < self.flushed => {
                    self.cache_bytes -= cost(front);
                    self.cache.pop_front();
                }
                _ => return,
            }
        }
    }

    /// The part of `range` that the cache holds, as positions in it.
    fn cached(&self, range: &Range<u64>) -> Option<Range<usize>> {
        let front = self.cache.front()?.log_id.index;
        let (start, end) = (range.start.max(front), range.end.min(front + self.cache.len() as u64));
        (start < end).then(|| (start - front) as usize..(end - front) as usize)
    }
}

impl Log {
    /// Opens the log of `node` in `store`. `errands` tell what the node has with the leader.
    ///
    /// # Errors
    /// If the store fails or holds what can't be.
    pub fn open(node: NodeId, store: Arc<dyn LogStore>, errands: Errands) -> io::Result<Self> {
        let mark = |mark| -> io::Result<_> { Ok(store.mark(mark)?) };
        let vote = mark(LogMark::Vote)?.map(|bytes| decode::<VoteRecord>(&bytes)).transpose()?;
        let purged = mark(LogMark::Purged)?.map(|bytes| decode::<LogIdRecord>(&bytes)).transpose()?;
        let range = store.range()?;
        let last = match range.end.checked_sub(1) {
            Some(index) if !range.is_empty() => {
                let records = store.read(index..range.end, READ_BYTES_MAX)?;
                let record = records.into_iter().next().ok_or_else(|| missing(index))?;
                Some(from_record(record)?.log_id)
            }
            _ => purged.map(LogId::from),
        };
        let shared = Shared {
            vote: vote.map(Vote::from),
            purged: purged.map(LogId::from),
            last,
            cache: VecDeque::new(),
            cache_bytes: 0,
            flushed: range.end,
            truncations: 0,
        };
        let end = next_index(shared.last);
        let tail = watch::Sender::new(Tail { end, rested: end });
        Ok(Log { node, store, errands, shared: Arc::new(Mutex::new(shared)), tail })
    }

    /// Tells when entries are appended, and when they have rested.
    pub fn watch_tail(&self) -> watch::Receiver<Tail> {
        self.tail.subscribe()
    }

    /// Notes which entries have rested, for as long as it is polled. One timer serves all that wait: one for each
    /// append and follower would cost a lone write two system calls more.
    pub async fn rest(self) {
        let mut tail = self.tail.subscribe();
        loop {
            let Ok(Tail { end, .. }) = tail.wait_for(|tail| tail.rested != tail.end).await.map(|tail| *tail)
            else {
                return;
            };
            sleep(REST).await;
            self.tail.send_modify(|tail| tail.rested = end);
        }
    }

    /// The last entry, also of a log whose entries were all purged.
    pub fn last(&self) -> Option<LogId> {
        self.shared().last
    }

    /// The last entry that is not here any more.
    pub fn purged(&self) -> Option<LogId> {
        self.shared().purged
    }

    /// From which index on the durable entries take no more than the last `bytes` of the log.
    ///
    /// # Errors
    /// If the store fails.
    pub fn tail(&self, bytes: u64) -> io::Result<u64> {
        Ok(self.store.tail(bytes)?)
    }

    /// Gives up what can't be, since `committed` is: if another entry is in its place, that one and all behind it were
    /// never committed. What is behind `committed` otherwise stays (Ongaro and Ousterhout, "In search of an
    /// understandable consensus algorithm", 2014, section 7).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn part_with_conflicts(&mut self, committed: LogId) -> io::Result<()> {
        let at = committed.index;
        if self.purged().is_some_and(|purged| purged.index >= at) || next_index(self.last()) <= at {
            return Ok(());
        }
        let found = self.read(at..at + 1, READ_BYTES_MAX)?.into_iter().next().ok_or_else(|| missing(at))?;
        if found.log_id == committed {
            return Ok(());
        }
        tracing::info!(at, "entries of the log were never committed: they are given up");
        let before = match at.checked_sub(1) {
            Some(index) if self.purged().is_none_or(|purged| purged.index < index) => {
                let entries = self.read(index..at, READ_BYTES_MAX)?;
                Some(entries.into_iter().next().ok_or_else(|| missing(index))?.log_id)
            }
            _ => self.purged(),
        };
        self.truncate_after(before).await
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no code panics while it holds the log")
    }

    /// The entries in `range`, as many as fit `bytes_max` but at least one if there is one.
    fn read(&self, range: Range<u64>, bytes_max: usize) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let stored_end = {
            let shared = self.shared();
            let front = shared.cache.front().map_or(u64::MAX, |entry| entry.log_id.index);
            if range.start >= front {
                let Some(positions) = shared.cached(&range) else { return Ok(entries) };
                let mut bytes = 0;
                entries.reserve(positions.len());
                for entry in shared.cache.range(positions) {
                    bytes += cost(entry);
                    if bytes > bytes_max && !entries.is_empty() {
                        break;
                    }
                    entries.push(entry.clone());
                }
                return Ok(entries);
            }
            range.end.min(front).min(next_index(shared.last))
        };
        if range.start >= stored_end {
            return Ok(entries);
        }
        for record in self.store.read(range.start..stored_end, bytes_max)? {
            entries.push(from_record(record)?);
        }
        if entries.is_empty() {
            return Err(missing(range.start));
        }
        Ok(entries)
    }

    /// Submits an operation and waits until it is durable.
    async fn durable(&self, op: LogOp) -> io::Result<()> {
        let (done, waiting) = oneshot::channel();
        self.store.submit(op, Box::new(move |result| drop(done.send(result))));
        let result = waiting.await.map_err(|_| io::Error::other("the log's writer has ended"))?;
        result.map_err(io::Error::from)
    }
}

pub(crate) fn next_index(last: Option<LogId>) -> u64 {
    last.map_or(0, |last| last.index + 1)
}

fn missing(index: u64) -> io::Error {
    let what = format!("log entry {index}");
    StorageError::Corrupt { what, detail: "it is missing".to_owned() }.into()
}

fn bounds(range: &impl RangeBounds<u64>) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Included(index) => *index,
        Bound::Excluded(index) => index + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(index) => index + 1,
        Bound::Excluded(index) => *index,
        Bound::Unbounded => u64::MAX,
    };
    start..end
}

impl RaftLogReader<Group> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let mut range = bounds(&range);
        range.end = range.end.min(next_index(self.shared().last));
        let mut entries = Vec::new();
        while range.start < range.end {
            let more = self.read(range.clone(), READ_BYTES_MAX)?;
            let Some(last) = more.last() else { break };
            range.start = last.log_id.index + 1;
            entries.extend(more);
        }
        Ok(entries)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.shared().vote)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        self.read(start..end, READ_BYTES_MAX)
    }

    /// Piece by piece: after a restart this covers everything since the last applied entry.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let pieces = stream::unfold((self.clone(), bounds(&range)), |(log, mut range)| async move {
            if range.is_empty() {
                return None;
            }
            match log.read(range.clone(), READ_BYTES_MAX) {
                Ok(entries) => {
                    range.start = entries.last()?.log_id.index + 1;
                    Some((stream::iter(entries.into_iter().map(Ok)).left_stream(), (log, range)))
                }
                Err(error) => Some((stream::iter([Err(error)]).right_stream(), (log, 0..0))),
            }
        });
        pieces.flatten().boxed()
    }
}

impl RaftLogStorage<Group> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Group>, io::Error> {
        let shared = self.shared();
        Ok(LogState { last_purged_log_id: shared.purged, last_log_id: shared.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let bytes = Codec::encode(&VoteRecord::from(vote));
        self.durable(LogOp::Mark(LogMark::Vote, bytes.into())).await?;
        self.shared().vote = Some(*vote);
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Group>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut records = Vec::new();
        let (end, truncations) = {
            let mut shared = self.shared();
            for entry in entries {
                let expected = next_index(shared.last);
                assert_eq!(entry.log_id.index, expected, "the log takes entries without a gap");
                records.push(to_record(&entry));
                shared.last = Some(entry.log_id);
                shared.cache_bytes += cost(&entry);
                shared.cache.push_back(entry);
            }
            shared.evict();
            (next_index(shared.last), shared.truncations)
        };
        self.tail.send_modify(|tail| tail.end = end);
        // A leader sends what it appends while its own disk writes. What comes alone from another one leaves a follower
        // nothing to do until it is written, unless the answer to somebody here may come first.
        let is_others = |record: &LogRecord| record.leader != self.node.0 && !self.errands.any();
        let is_alone = matches!(&records[..], [record] if is_others(record));
        let shared = self.shared.clone();
        let done = Box::new(move |result: Result<(), StorageError>| {
            if result.is_ok() {
                let mut shared = shared.lock().expect("no code panics while it holds the log");
                if shared.truncations == truncations {
                    shared.flushed = shared.flushed.max(end);
                }
            }
            callback.io_completed(result.map_err(io::Error::from));
        });
        match is_alone {
            true => self.store.submit_alone(LogOp::Append(records), done),
            false => self.store.submit(LogOp::Append(records), done),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = next_index(last);
        self.tail.send_modify(|tail| tail.end = from);
        {
            let mut shared = self.shared();
            while shared.cache.back().is_some_and(|entry| entry.log_id.index >= from) {
                let bytes = shared.cache.pop_back().as_ref().map_or(0, cost);
                shared.cache_bytes -= bytes;
            }
            shared.last = last;
            shared.flushed = shared.flushed.min(from);
            shared.truncations += 1;
        }
        // Durable before anything is appended in its place: the store reads its own disk for what left the cache.
        self.durable(LogOp::TruncateFrom(from)).await
    }

    async fn purge(&mut self, through: LogId) -> Result<(), io::Error> {
        {
            let mut shared = self.shared();
            while shared.cache.front().is_some_and(|entry| entry.log_id.index <= through.index) {
                let bytes = shared.cache.pop_front().as_ref().map_or(0, cost);
                shared.cache_bytes -= bytes;
            }
            shared.purged = shared.purged.max(Some(through));
            shared.last = shared.last.max(Some(through));
            shared.flushed = shared.flushed.max(through.index + 1);
        }
        let mark = Codec::encode(&LogIdRecord::from(through)).into();
        self.durable(LogOp::Purge { through: through.index, mark }).await
    }
}
