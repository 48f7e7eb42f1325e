//! Clients that watch tables, through one node and another, from where they were, from further back, and from now on,
//! while the history is given up behind them.

use super::{Client, Journal, Kind, Outcome, Table};
use crate::machine::{Phase, Shared};
use micro_actors::store::{ChangeKind, Watch, WatchChange, WatchEvent};
use micro_sdk::wire::Code;
use rand::Rng;
use std::{cell::RefCell, rc::Rc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The longest pause between two watches.
const THINK_MS_MAX: u64 = 300;
/// The longest that one watch goes on.
const WATCH_MS_MAX: u64 = 4_000;
/// How far back in revisions a watch begins at most.
const BACK_MAX: u64 = 300;
/// How many of the last revisions stay when the history is given up.
const KEPT_MIN: u64 = 60;
/// Watches until the history is given up once, on average.
const COMPACT_EVERY: u32 = 8;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchAsked {
    /// A watch of a table from a revision on, or from now on.
    Begin(Table, Option<u64>),
    /// To give up the history up to a revision.
    Compact(u64),
}

/// Everything about beginnings. What was then told is in [`Streams`].
pub type WatchJournal = Journal<WatchAsked, ()>;

/// One change, as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The key.
    pub key: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// What was written.
    pub value: Vec<u8>,
    /// The lease of what was written, 0 for none.
    pub lease: u64,
    /// When what was written ends, in milliseconds since 1970; 0 for never.
    pub expires_ms: u64,
}

/// What one revision changed, with its time in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The revision.
    pub revision: u64,
    /// Its time.
    pub time_ms: u64,
    /// Its changes.
    pub changes: Vec<Told>,
}

/// All that one watcher was told by one watch.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Who watched.
    pub client: String,
    /// What.
    pub table: Table,
    /// From this revision on.
    pub from: u64,
    /// Everything up to here was told, as it was told.
    pub covered: u64,
    /// What was told of each revision. A mark is a revision without changes.
    pub told: Vec<Revision>,
}

/// All that was watched. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Streams(Rc<RefCell<Vec<Stream>>>);

impl Streams {
    /// All so far.
    pub fn all(&self) -> Vec<Stream> {
        self.0.borrow().clone()
    }

    /// Adds one that begins. Returns its place.
    pub fn begin(&self, client: &str, table: Table, from: u64) -> usize {
        let mut streams = self.0.borrow_mut();
        let told = Vec::new();
        streams.push(Stream {
            client: client.to_owned(),
            table,
            from,
            covered: from.saturating_sub(1),
            told,
        });
        streams.len() - 1
    }

    /// Adds what was told.
    pub fn tell(&self, place: usize, revision: Revision) {
        let stream = &mut self.0.borrow_mut()[place];
        stream.covered = stream.covered.max(revision.revision);
        stream.told.push(revision);
    }

    /// How far somebody has seen a table: another each time.
    fn somewhere(&self, client: &mut Client, table: Table) -> Option<u64> {
        let streams = self.0.borrow();
        let mine: Vec<u64> = streams
            .iter()
            .rev()
            .filter(|stream| stream.table == table)
            .take(12)
            .map(|stream| stream.covered)
            .collect();
        (!mine.is_empty()).then(|| mine[client.rng.random_range(0..mine.len())])
    }

    fn newest(&self) -> u64 {
        self.0.borrow().iter().map(|stream| stream.covered).max().unwrap_or(0)
    }
}

/// Watches a table until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>, table: Table) {
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        if client.rng.random_ratio(1, COMPACT_EVERY) {
            let through = shared.journals.streams.newest().saturating_sub(KEPT_MIN);
            let compact = client.door.compact(through);
            client.attempt(&shared.journals.watch, WatchAsked::Compact(through), compact).await;
        }
        let from = match client.rng.random_range(0..10) {
            0..7 => shared.journals.streams.somewhere(&mut client, table).map(|seen| seen + 1),
            7..9 => {
                let back = client.rng.random_range(0..BACK_MAX);
                Some(shared.journals.streams.newest().saturating_sub(back).max(1))
            }
            _ => None,
        };
        let end = Instant::now() + Duration::from_millis(client.rng.random_range(1..=WATCH_MS_MAX));
        follow(&client, &shared, table, from, end, u64::MAX).await;
    }
}

/// Watches the last revisions once more, when nothing is changed any more, until all of them were told.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let newest = shared.journals.streams.newest();
    let end = Instant::now() + Duration::from_millis(WATCH_MS_MAX);
    for table in tables(shared) {
        // What was given up can't be watched, and nobody has asked to give up the last ones.
        let from = newest.saturating_sub(KEPT_MIN) + 1;
        if !follow(client, shared, table, Some(from), end, newest).await {
            return false;
        }
    }
    true
}

/// The tables that are watched in a run.
fn tables(shared: &Shared) -> Vec<Table> {
    let kinds = Kind::of(&shared.options);
    let (locks, mortals) = (super::lock::LOCKS, super::expiry::MORTALS);
    let watched = [(Kind::Watch, Table::REGISTERS), (Kind::Lock, locks), (Kind::Expiry, mortals)];
    watched.into_iter().filter(|(kind, _)| kinds.contains(kind)).map(|(_, table)| table).collect()
}

/// Watches until `end`, or until everything up to `through` was told. Tells whether it was.
async fn follow(
    client: &Client,
    shared: &Shared,
    table: Table,
    from: Option<u64>,
    end: Instant,
    through: u64,
) -> bool {
    let (journals, mut begun) = (&shared.journals, None);
    let begin = async {
        begun = Some(client.door.watch(table, from).await?);
        Ok(())
    };
    let outcome = client.attempt(&journals.watch, WatchAsked::Begin(table, from), begin).await;
    let (Some(mut watch), Outcome::Done(())) = (begun, outcome) else { return false };
    let place = journals.streams.begin(&client.name, table, from.unwrap_or(watch.next_revision()));
    let mut covered = 0;
    while covered < through {
        match timeout_at(end, next(&mut watch)).await {
            Ok(Some(revision)) => {
                covered = revision.revision;
                journals.streams.tell(place, revision);
            }
            Ok(None) | Err(_) => return false,
        }
    }
    true
}

/// What comes next; none when the watch has ended.
async fn next(watch: &mut Watch) -> Option<Revision> {
    match watch.next().await? {
        Ok(WatchEvent::Changes { revision, time_ms, changes }) => {
            Some(Revision { revision, time_ms, changes: changes.into_iter().map(told).collect() })
        }
        Ok(WatchEvent::Mark { revision }) => Some(Revision { revision, time_ms: 0, changes: Vec::new() }),
        Err(fault) => {
            // A node that finds its state damaged says so, and ends.
            let damaged = fault.code == Code::Failed && fault.message.contains("is corrupt");
            debug_assert!(damaged || matches!(fault.code, Code::Compacted | Code::Unavailable), "{fault}");
            None
        }
    }
}

fn told(change: WatchChange) -> Told {
    let (lease, expires_ms) =
        change.record.as_ref().map_or((0, 0), |record| (record.lease, record.expires_ms));
    let value = change.record.map_or(Vec::new(), |record| record.value.0.to_vec());
    Told { key: change.key, kind: change.kind, value, lease, expires_ms }
}
