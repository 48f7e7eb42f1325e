//! Locks of the whole mesh.

use super::{
    Fence, Node, Record,
    line::{Holding, Line, TTL_DEFAULT},
    store::LOCKS,
};
use crate::wire::{COORDINATION, Code, Fault};
use bytes::Bytes;
use futures::TryStreamExt;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The table of those who wait for locks.
const LOCK_LINES: &str = "lock-lines";

/// A lock that one caller of the whole mesh holds at a time; the others wait in the order in which they came.
///
/// A lock is kept by a lease: a holder that dies, or can't reach the store for the lock's time to live, has lost it.
/// Since it may not know that yet, what it writes should carry the lock's [fence](LockGuard::fence).
#[derive(Clone, Debug)]
#[must_use = "a lock is held once it is acquired"]
pub struct Lock {
    line: Line,
    ttl: Duration,
    value: Bytes,
}

/// A lock that is held. Dropping it releases it in the background; [`LockGuard::release`] waits until that is done.
#[derive(Debug)]
#[must_use = "a lock is released when its guard is dropped"]
pub struct LockGuard(Holding);

/// A lock that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// Its name.
    pub name: String,
    /// What its holder shows of itself.
    pub value: Bytes,
    /// The fencing token that it is held under.
    pub token: u64,
    /// How many wait for it.
    pub waiting: usize,
}

/// All locks that are held, by name.
pub(super) async fn held(node: &Node) -> Result<Vec<HeldLock>, Fault> {
    let tables = node.store().database(COORDINATION);
    let records: Vec<Record> = tables.clone().table(LOCKS).list("").scan().try_collect().await?;
    let places: Vec<Record> = tables.table(LOCK_LINES).list("").keys_only().scan().try_collect().await?;
    let mut lines = BTreeMap::new();
    for place in &places {
        // Whoever holds it has a place too.
        let (name, _) = place.key.rsplit_once('/').unwrap_or_default();
        *lines.entry(name).or_insert(0_usize) += 1;
    }
    let held = records.into_iter().map(|Record { key, value, created, .. }| {
        let waiting = lines.get(key.as_str()).map_or(0, |count| count.saturating_sub(1));
        HeldLock { name: key, value, token: created, waiting }
    });
    Ok(held.collect())
}

impl Lock {
    pub(super) fn new(node: Node, name: String) -> Lock {
        Lock { line: Line::new(node, LOCKS, LOCK_LINES, name), ttl: TTL_DEFAULT, value: Bytes::new() }
    }

    /// How long others wait for it after its holder has died; 15 s by default, 1 s at least. A holder that can't reach
    /// the store for this long has lost it.
    pub fn ttl(mut self, ttl: Duration) -> Lock {
        self.ttl = ttl;
        self
    }

    /// What others see who look at who holds it.
    pub fn value(mut self, value: impl Into<Bytes>) -> Lock {
        self.value = value.into();
        self
    }

    /// Waits until the lock is this caller's, however long that takes. Should the store stand still for its time to
    /// live, its place in line is lost, and it waits on at the end of the line.
    ///
    /// # Errors
    /// `Usage` if its time to live is too short; `Unavailable` without quorum, for a minute if there was one before;
    /// `Conflict` if somebody deleted its place; else those of a write.
    pub async fn acquire(self) -> Result<LockGuard, Fault> {
        let place = self.line.enter(self.ttl).await?;
        self.line.wait(place, self.value).await.map(LockGuard)
    }

    /// The same for no longer than `patience`. Its place in line is given up then.
    ///
    /// # Errors
    /// `Timeout` if it is still held by another; else as for [`acquire`](Self::acquire).
    pub async fn acquire_within(self, patience: Duration) -> Result<LockGuard, Fault> {
        let Lock { line, ttl, value } = self;
        let deadline = Instant::now() + patience;
        let Ok(place) = timeout_at(deadline, line.enter(ttl)).await else {
            let message =
                format!("no place in line for the lock {:?} was given within {patience:?}", line.name);
            return Err(Fault::new(Code::Unavailable, message)
                .help("see whether there is a quorum: micro-node status"));
        };
        let Ok(held) = timeout_at(deadline, line.wait(place?, value)).await else {
            let message = format!("the lock {:?} was not free within {patience:?}", line.name);
            return Err(Fault::new(Code::Timeout, message)
                .help("wait longer, or look who holds it: micro-node store list --database coordination --table locks"));
        };
        held.map(LockGuard)
    }
}

impl LockGuard {
    /// The fencing token: the revision that gave the lock to this holder. It grows each time that the lock is given.
    pub fn token(&self) -> u64 {
        self.0.fence.token()
    }

    /// What writes carry that are to be done only while the lock is held.
    pub fn fence(&self) -> Fence {
        self.0.fence.clone()
    }

    /// Whether the lock can't be counted on any more.
    pub fn is_lost(&self) -> bool {
        self.0.lease.is_lost()
    }

    /// Waits until the lock can't be counted on any more, and tells why.
    pub async fn lost(&self) -> Fault {
        self.0.lease.lost().await
    }

    /// Releases the lock: the next in line has it.
    ///
    /// # Errors
    /// `NotFound` if it was lost before; else those of a write.
    pub async fn release(self) -> Result<(), Fault> {
        self.0.lease.revoke().await.map(drop)
    }
}
