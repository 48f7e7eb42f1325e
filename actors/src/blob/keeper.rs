//! Keeps copies where the records say they are, and nowhere else. Each node looks after its own disk; the leader's also
//! finds new nodes for copies that were lost. Gossip alone removes nothing: what seems to be unnamed is compared with a
//! linearizable reading first.

use super::{
    BlobService,
    fetch::FetchRequest,
    limits::{COMMIT, GRACE, LOST_AFTER, fetch_time},
    record::{Copies, copies, decode},
    shortage::Shortage,
};
use crate::store::{Glimpse, ListOrder, RecordRange};
use futures::{StreamExt, stream};
use micro_sdk::wire::{BlobHash, Fault, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// How often a keeper looks, unless it is told that something has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A look takes at most this share of the time: it walks all records of copies, however many there are.
const LOOK_SHARE: u32 = 20;
/// The pause after a change: those that come together are looked at together.
const GATHER: Duration = Duration::from_millis(500);
/// Copies that are made at once: one that is slow holds up no other.
const AT_ONCE: usize = 8;
/// The most copies that one look makes; the next look goes on.
const COPIES_AT_ONCE: usize = 64;

/// The keeper of one node.
pub(crate) struct Keeper {
    service: BlobService,
    /// Since when members are not linked.
    down: BTreeMap<NodeId, Instant>,
}

/// The record of a blob's copies.
struct Entry {
    key: String,
    version: u64,
    copies: Copies,
}

/// What a look has found.
#[derive(Default)]
struct Findings {
    /// Blobs that should be here and are not.
    missing: Vec<Entry>,
    /// Blobs with too few copies.
    short: Vec<Entry>,
    /// Blobs of which no copy is known that could be reached.
    lost: Vec<Entry>,
    /// How many there are of both.
    shortage: Shortage,
    /// Blobs here of which no record says so.
    unnamed: BTreeSet<BlobHash>,
}

impl Keeper {
    pub fn new(service: BlobService) -> Self {
        Keeper { service, down: BTreeMap::new() }
    }

    /// Looks until the task is ended.
    pub async fn run(mut self) {
        loop {
            let begun = Instant::now();
            self.service.parts.publish_room();
            self.service.parts.shelf.tidy();
            if let Err(fault) = self.look().await {
                tracing::debug!(%fault, "the blobs could not be looked after just now");
            }
            let pause = LOOK_EVERY.max(begun.elapsed() * LOOK_SHARE);
            let shared = &self.service.parts;
            let told = async {
                tokio::select! {
                    biased;
                    () = shared.changed.notified() => {}
                    () = shared.shelf.damaged() => {}
                }
                sleep(GATHER).await;
            };
            let _ = timeout(pause, told).await;
        }
    }

    async fn look(&mut self) -> Result<(), Fault> {
        self.watch_members();
        let Findings { missing, short, lost, shortage, unnamed } = self.find().await?;
        tracing::debug!(missing = missing.len(), ?shortage, unnamed = unnamed.len(), "looked at the blobs");
        shortage.publish(&self.service.parts.mesh);
        let keeper = &*self;
        stream::iter(missing).for_each_concurrent(AT_ONCE, |entry| keeper.fetch(entry)).await;
        // What is lost comes last: most of it can't be helped, and must not keep others waiting.
        let short = stream::iter(short.into_iter().chain(lost));
        short.for_each_concurrent(AT_ONCE, |entry| keeper.repair(entry)).await;
        let free = |hash: &BlobHash| self.service.parts.shelf.is_free(*hash, GRACE);
        self.remove(unnamed.into_iter().filter(free).collect()).await
    }

    /// Takes note of who is down, and since when.
    fn watch_members(&mut self) {
        let shared = &self.service.parts;
        let members = shared.members();
        self.down.retain(|node, _| members.contains(node) && !shared.is_up(*node));
        for node in members {
            if !shared.is_up(node) {
                self.down.entry(node).or_insert_with(Instant::now);
            }
        }
    }

    /// The members whose copies count: those that are up, and those that may be back soon.
    fn counted(&self) -> BTreeSet<NodeId> {
        let mut members = self.service.parts.members();
        members.retain(|node| self.down.get(node).is_none_or(|since| since.elapsed() < LOST_AFTER));
        members
    }

    async fn find(&self) -> Result<Findings, Fault> {
        let shared = &self.service.parts;
        let (here, counted) = (shared.here(), self.counted());
        let leads = *shared.consensus.watch_leader().borrow() == Some(here);
        let held: BTreeSet<BlobHash> = shared.shelf.list().await?.into_iter().collect();
        let look = move |glimpse: &Glimpse<'_>| {
            let mut found = Findings { unnamed: held.clone(), ..Findings::default() };
            glimpse.records(&RecordRange::table(copies()), ListOrder::Ascending, |record| {
                let copies: Copies = decode(&record)?;
                let (version, key) = (record.version, record.key);
                let good = copies.good(&counted);
                let is_short = leads && good < copies.wanted_of(&counted);
                if copies.holders.contains(&here) {
                    found.unnamed.remove(&copies.hash);
                    if !held.contains(&copies.hash) && found.missing.len() < COPIES_AT_ONCE {
                        found.missing.push(Entry { key: key.clone(), version, copies: copies.clone() });
                    }
                }
                if is_short {
                    let (count, entries) = match good {
                        0 => (&mut found.shortage.lost, &mut found.lost),
                        _ => (&mut found.shortage.short, &mut found.short),
                    };
                    *count += 1;
                    if entries.len() < COPIES_AT_ONCE {
                        entries.push(Entry { key, version, copies });
                    }
                }
                Ok(true)
            })?;
            Ok(found)
        };
        self.service.store.glimpse(true, Instant::now() + COMMIT, look).await
    }

    /// Fetches a blob that should be here.
    async fn fetch(&self, entry: Entry) {
        let shared = &self.service.parts;
        let Copies { hash, bytes, holders, .. } = entry.copies;
        let request = FetchRequest { hash, bytes, from: holders };
        let key = entry.key;
        match shared.fetch(request, Instant::now() + fetch_time(bytes)).await {
            Ok(()) => tracing::info!(%hash, key, "the copy of a blob that was missing here was made up"),
            Err(fault) => {
                tracing::warn!(%hash, key, %fault, "the copy of a blob is missing here, and could not be made up yet")
            }
        }
    }

    /// Has another node take the place of one that was lost, and notes it.
    async fn repair(&self, entry: Entry) {
        let shared = &self.service.parts;
        let Entry { key, version, mut copies } = entry;
        let before = copies.holders.clone();
        let counted = self.counted();
        let mut good: Vec<NodeId> = copies.holders.clone();
        good.retain(|node| counted.contains(node));
        let wanted = copies.wanted_of(&counted);
        let request = FetchRequest { hash: copies.hash, bytes: copies.bytes, from: good.clone() };
        let mut candidates = shared.candidates(copies.hash, &copies.holders);
        if !copies.holders.contains(&shared.here()) && !candidates.contains(&shared.here()) {
            candidates.push(shared.here());
        }
        for node in candidates {
            if good.len() >= wanted {
                break;
            }
            let fetched = match node == shared.here() {
                true => shared.fetch(request.clone(), Instant::now() + fetch_time(copies.bytes)).await,
                false => shared.have_fetched(node, &request).await,
            };
            match fetched {
                Ok(()) => good.push(node),
                Err(fault) => tracing::info!(%node, key, %fault, "a copy of a blob could not be made there"),
            }
        }
        if good.len() >= wanted {
            // Only now: until there are enough, one that comes back still counts.
            copies.holders = good;
        } else {
            good.retain(|node| !copies.holders.contains(node));
            copies.holders.extend(good);
        }
        if copies.holders == before {
            return;
        }
        match self.service.note_copies(&key, version, &copies, Instant::now() + COMMIT).await {
            Ok(true) => tracing::info!(key, holders = ?copies.holders, "copies of a blob were made up"),
            Ok(false) => tracing::debug!(key, "the blob has changed meanwhile"),
            Err(fault) => tracing::info!(key, %fault, "who has a blob could not be noted"),
        }
    }

    /// Removes blobs that no record says are here, after a reading that sees all that was acknowledged. One that has
    /// too few copies elsewhere stays: its repair may need it.
    async fn remove(&self, mut unnamed: BTreeSet<BlobHash>) -> Result<(), Fault> {
        if unnamed.is_empty() {
            return Ok(());
        }
        let (here, counted) = (self.service.parts.here(), self.counted());
        let look = move |glimpse: &Glimpse<'_>| {
            glimpse.records(&RecordRange::table(copies()), ListOrder::Ascending, |record| {
                let copies: Copies = decode(&record)?;
                if copies.holders.contains(&here) || copies.good(&counted) < copies.wanted_of(&counted) {
                    unnamed.remove(&copies.hash);
                }
                Ok(!unnamed.is_empty())
            })?;
            Ok(unnamed)
        };
        let unnamed = self.service.store.glimpse(false, Instant::now() + COMMIT, look).await?;
        for hash in unnamed {
            if self.service.parts.shelf.remove(hash, GRACE).await? {
                tracing::info!(%hash, "a blob that no name has any more was removed");
            }
        }
        Ok(())
    }
}
