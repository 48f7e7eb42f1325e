//! A watch: every change of a range from a revision on, in order, without gap and without repetition, the same on every
//! node.
//!
//! ```text
//!   reading the disk ──(nothing more there)──► joined ──(read once more)──► live ──(too slow, compacted)──► ended
//!                                                            ▲               │
//!                                                            └───────────────┘
//!                                          a snapshot came in, or a batch was under way
//! ```
//!
//! A watcher that is behind reads the disk at its own pace, and nothing is gathered for it. One that is live has a
//! queue; if it lets that run full, it ends, and may watch again from where it was.

use crate::store::{
    ChangeKind, Record, RecordRange, StoreService,
    history::EntryRow,
    ledger::Ledger,
    past::Past,
    row::Row,
    view::{Replica, broken, compacted, entries, garbled},
    watchers::{Fed, Feed, Revision, Watchers},
};
use bytes::Bytes;
use futures::{Stream, stream};
use micro_sdk::wire::{Code, Fault};
use micro_storage::StateView;
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long a watcher hears nothing before it is told how far it is: well below the patience of whatever is between.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// The entries read from the disk in one go. Half of them are told: what they wrote shows in those that follow.
const LOOK_ENTRIES: usize = 512;
/// The bytes of these entries, and those of the records that wait for a watcher that reads the disk, or not much more.
const LOOK_BYTES: usize = 4 << 20;

/// What to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchRequest {
    /// Which records.
    pub range: RecordRange,
    /// Changes from this revision on, also those that are not there yet; none for changes from now on.
    pub from_revision: Option<u64>,
    /// Begin with this node's replica as it is.
    pub stale: bool,
}

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// All changes of one revision that lie in the range.
    Changes {
        /// The revision: an entry of the log.
        revision: u64,
        /// Its time, in milliseconds since 1970.
        time_ms: u64,
        /// One for each record, in the order in which the entry made them.
        changes: Vec<WatchChange>,
    },
    /// Everything in the range up to this revision was told: watching again from behind it misses nothing.
    Mark {
        /// The revision.
        revision: u64,
    },
}

/// The change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchChange {
    /// The key of the record.
    pub key: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// The record as it was written; none if it is gone.
    pub record: Option<Record>,
}

/// A watch that was begun. Dropping it ends it.
pub struct Watch {
    replica: Replica,
    watchers: Arc<Watchers>,
    request: RecordRange,
    keys: Range<Bytes>,
    /// The first revision that was not looked at yet.
    next: u64,
    /// Everything up to here has been looked at on the disk.
    covered: u64,
    waiting: VecDeque<WatchEvent>,
    feed: Option<Feed>,
    /// Whether the disk is to be read before the queue.
    behind: bool,
    /// Whether what comes is in the queue, so that the disk need not be looked at.
    live: bool,
    ended: bool,
}

impl StoreService {
    /// Watches records.
    ///
    /// # Errors
    /// [`Code::Compacted`] if the revision is; [`Code::Usage`] if it is to come; why the beginning can't be made
    /// linearizable, unless it is asked for as it is.
    pub async fn watch(&self, request: WatchRequest, deadline: Instant) -> Result<Watch, Fault> {
        if !request.stale {
            self.consensus.barrier(deadline).await?;
        }
        let applied = self.consensus.applied_index().0;
        let next = request.from_revision.unwrap_or(applied + 1);
        // Whoever waits for a revision to come would never hear of those before it. A replica that is asked as it is
        // may only be behind whoever told of that revision.
        if !request.stale && next > applied + 1 {
            let message = format!("revision {next} is not there yet: the last one is {applied}");
            return Err(Fault::new(Code::Usage, message)
                .help(format!(
                    "watch from {} on, which is the next, or from now on if nothing is said",
                    applied + 1
                ))
                .help(
                    "if it was told by this mesh, that was before it was restored from a backup: read anew",
                ));
        }
        self.replica.look(|view| check(view, next))?;
        Ok(Watch::new(self.replica.clone(), self.watchers.clone(), request.range, next, applied))
    }
}

/// Refuses a beginning that was given up.
fn check(view: &dyn StateView, from: u64) -> Result<(), Fault> {
    let ledger = Ledger::at(view).map_err(broken)?;
    if from <= ledger.compacted { Err(compacted(from, ledger.compacted)) } else { Ok(()) }
}

impl Watch {
    /// A watch from revision `next` on, on a node that has applied everything up to `applied`.
    pub(super) fn new(
        replica: Replica,
        watchers: Arc<Watchers>,
        range: RecordRange,
        next: u64,
        applied: u64,
    ) -> Self {
        Watch {
            replica,
            watchers,
            keys: range.state_range(),
            request: range,
            next,
            covered: next.saturating_sub(1).min(applied),
            waiting: VecDeque::new(),
            feed: None,
            behind: true,
            live: false,
            ended: false,
        }
    }

    /// The first revision that was not told yet: where to go on with another watch.
    pub fn next_revision(&self) -> u64 {
        match self.waiting.front() {
            Some(WatchEvent::Changes { revision, .. }) => *revision,
            _ => self.next,
        }
    }

    /// What comes next; none after the fault that ended it: [`Code::Compacted`] if what comes next is
    /// meanwhile, [`Code::Unavailable`] if the watcher was too slow or the node stops. Nothing is lost if it is dropped
    /// while it waits.
    pub async fn next(&mut self) -> Option<Result<WatchEvent, Fault>> {
        if self.ended {
            return None;
        }
        let next = self.advance().await;
        self.ended = next.is_err();
        Some(next)
    }

    /// The same as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<WatchEvent, Fault>> + Send {
        stream::unfold(self, |mut watch| async move { watch.next().await.map(|next| (next, watch)) })
    }

    async fn advance(&mut self) -> Result<WatchEvent, Fault> {
        let mark_at = Instant::now() + MARK_EVERY;
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            if self.behind {
                self.read_disk().await?;
                continue;
            }
            let Some(feed) = &mut self.feed else {
                // The disk shows nothing more. Between that look and now something may have come: it is looked at
                // again, with the queue in place.
                self.feed = Some(self.watchers.join(self.keys.clone()));
                self.behind = true;
                continue;
            };
            match timeout_at(mark_at, feed.next()).await {
                Ok(Some(fed)) => self.take(fed)?,
                Ok(None) => return Err(self.cut_off()),
                Err(_) => match feed.ready() {
                    Some(Ok(fed)) => self.take(fed)?,
                    Some(Err(published)) => return Ok(self.mark(published)),
                    None => return Err(self.cut_off()),
                },
            }
        }
    }

    fn mark(&mut self, published: u64) -> WatchEvent {
        if self.live {
            self.covered = self.covered.max(published);
            self.next = self.next.max(self.covered + 1);
        }
        // Of what comes before its beginning the watcher has said itself that it was told.
        WatchEvent::Mark { revision: self.covered.max(self.next.saturating_sub(1)) }
    }

    /// Why the queue has ended.
    fn cut_off(&self) -> Fault {
        if self.watchers.is_closed() {
            return Fault::new(Code::Unavailable, "the node is shutting down")
                .help(format!("watch on another node from revision {}", self.next));
        }
        let message =
            format!("the watcher was too slow: too much was waiting for it at revision {}", self.next);
        Fault::new(Code::Unavailable, message).help(format!("watch again from revision {}", self.next))
    }

    /// Takes what was in the queue.
    fn take(&mut self, fed: Fed) -> Result<(), Fault> {
        match fed {
            Fed::Disk => (self.behind, self.live) = (true, true),
            // The disk may have shown it before.
            Fed::Revision(revision) if revision.revision < self.next => {}
            Fed::Revision(revision) => {
                self.next = revision.revision + 1;
                self.covered = self.covered.max(revision.revision);
                self.waiting.push_back(self.live_event(&revision)?);
            }
        }
        Ok(())
    }

    fn live_event(&self, revision: &Revision) -> Result<WatchEvent, Fault> {
        let within = revision.changes.iter().filter(|change| self.keys.contains(&change.key));
        let changes = within.map(|change| {
            let row = change.row.clone().map(Row::read).transpose().map_err(broken)?;
            change_of(&self.request, &change.key, change.kind, row)
        });
        Ok(WatchEvent::Changes {
            revision: revision.revision,
            time_ms: revision.time_ms,
            changes: changes.collect::<Result<_, Fault>>()?,
        })
    }

    /// Reads what the disk has from the next revision on.
    async fn read_disk(&mut self) -> Result<(), Fault> {
        // Asked before the look, which then shows at least this.
        let published = self.watchers.published();
        let (from, keys, range) = (self.next, self.keys.clone(), self.request.clone());
        let portion = self.replica.look_aside(move |view| read_portion(view, from, &keys, &range)).await?;
        if portion.next > from {
            // A node that has just started has published nothing yet of what its disk shows.
            self.covered = self.covered.max(portion.next - 1);
        }
        self.next = portion.next;
        self.waiting.extend(portion.events);
        if portion.last {
            self.behind = false;
            self.covered = self.covered.max(published);
        }
        Ok(())
    }
}

/// What one look at the disk gave.
struct Portion {
    events: Vec<WatchEvent>,
    /// The first revision that was not looked at.
    next: u64,
    /// Whether there is nothing more.
    last: bool,
}

fn read_portion(
    view: &dyn StateView,
    from: u64,
    keys: &Range<Bytes>,
    range: &RecordRange,
) -> Result<Portion, Fault> {
    check(view, from)?;
    let mut found = entries(view, from, LOOK_ENTRIES, LOOK_BYTES)?;
    found.iter_mut().for_each(|(_, entry)| entry.changes.retain(|change| keys.contains(&change.key)));
    fill_in(&mut found);
    // The second half was read for the sake of the first; if there is nothing behind it, it is told too.
    let more = entries(view, found.last().map_or(from, |(last, _)| last + 1), 1, 1)?;
    found.truncate(if more.is_empty() { found.len() } else { found.len().div_ceil(2) });
    let mut portion = Portion { events: Vec::new(), next: from, last: found.is_empty() };
    let mut bytes = 0;
    for (revision, entry) in found {
        if bytes >= LOOK_BYTES {
            break;
        }
        let mut changes = Vec::new();
        for change in entry.changes {
            let row = match (change.kind, change.row) {
                (ChangeKind::Put, Some(row)) => Some(Row::read(row).map_err(broken)?),
                (ChangeKind::Put, None) => {
                    let row = Past::new(view, revision, None).get(&change.key)?;
                    Some(row.ok_or_else(|| garbled("the history"))?)
                }
                (ChangeKind::Delete | ChangeKind::Expire, _) => None,
            };
            bytes += change.key.len() + row.as_ref().map_or(0, |row| row.bytes.len());
            changes.push(change_of(range, &change.key, change.kind, row)?);
        }
        if !changes.is_empty() {
            portion.events.push(WatchEvent::Changes { revision, time_ms: entry.time_ms, changes });
        }
        portion.next = revision + 1;
    }
    Ok(portion)
}

/// Fills in what entries wrote, as far as they show it: it is what the next change of the same record replaced. So a
/// record that changes often is not walked back to for each of its changes.
fn fill_in(entries: &mut [(u64, EntryRow)]) {
    let mut replaced_next: HashMap<Bytes, Option<Bytes>> = HashMap::new();
    for (_, entry) in entries.iter_mut().rev() {
        for change in &mut entry.changes {
            change.row = replaced_next.insert(change.key.clone(), change.before.take()).flatten();
        }
    }
}

fn change_of(
    range: &RecordRange,
    state_key: &[u8],
    kind: ChangeKind,
    row: Option<Row>,
) -> Result<WatchChange, Fault> {
    let key = range.table.key_of(state_key)?;
    let record = row.map(|row| Record::of(key.clone(), row)).transpose()?;
    Ok(WatchChange { key, kind, record })
}
