//! Keeps copies where the records say they are, and nowhere else. Each node looks after its own disk; the leader's also
//! finds new nodes for copies that were lost. Gossip alone removes nothing: what seems to be unnamed is compared with a
//! linearizable reading first.

use super::{
    BlobService,
    gap::Gap,
    health::{Health, Missing},
    limits::{COMMIT, GRACE, LOST_AFTER, UNNAMED_GRACE},
    mending::Mending,
    record::{Copies, copies, decode},
};
use crate::store::{Glimpse, ListOrder, RecordRange};
use futures::{StreamExt, stream};
use micro_sdk::wire::{BlobHash, Fault, NodeId};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// How often a keeper looks, unless it is told that something has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A look takes at most this share of the time: it walks all records of copies, however many there are.
const LOOK_SHARE: u32 = 20;
/// The pause after a change: those that come together are looked at together.
const GATHER: Duration = Duration::from_millis(500);
/// The most gaps that one look finds: what a look later would find anyway need not be remembered.
const GAPS_MAX: usize = 64;
/// Removals whose other copies are asked for at once, and the most of one look; the next look goes on.
const ASKED_AT_ONCE: usize = 8;
const ASKED_MAX: usize = 64;

/// The keeper of one node.
pub(crate) struct Keeper {
    service: BlobService,
    mending: Mending,
    /// Since when members are not linked.
    down: BTreeMap<NodeId, Instant>,
    /// Since when no record says that these are here.
    unnamed: BTreeMap<BlobHash, Instant>,
}

/// What a look has found.
#[derive(Default)]
struct Findings {
    /// Blobs that lack copies: first those behind the one that was worked on last.
    gaps: Vec<Gap>,
    /// Blobs here of which no record says so.
    unnamed: BTreeSet<BlobHash>,
    /// How all blobs are.
    health: Health,
    /// How many should be here and are not.
    missing: u64,
    /// Those of them that were found to be lost, and still are missing.
    lost: BTreeSet<String>,
}

impl Keeper {
    pub fn new(service: BlobService) -> Self {
        let (down, unnamed) = (BTreeMap::new(), BTreeMap::new());
        Keeper { mending: Mending::new(service.clone()), service, down, unnamed }
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
            self.mend_until(Instant::now() + pause).await;
        }
    }

    /// Makes up copies until it is time to look again, or something has changed.
    async fn mend_until(&mut self, next_look: Instant) {
        let shared = self.service.parts.clone();
        loop {
            tokio::select! {
                biased;
                () = shared.changed.notified() => break,
                () = shared.shelf.damaged() => break,
                () = sleep_until(next_look) => return,
                () = self.mending.ended() => self.mending.start(&self.counted()),
            }
        }
        sleep(GATHER).await;
    }

    async fn look(&mut self) -> Result<(), Fault> {
        self.watch_members();
        let Findings { gaps, unnamed, health, missing, lost } = self.find().await?;
        self.service.parts.set_health(health);
        self.service.parts.publish_missing(Missing { copies: missing, lost: lost.len() as u64 });
        self.mending.keep_lost(lost);
        tracing::debug!(gaps = gaps.len(), unnamed = unnamed.len(), "looked at the blobs");
        self.mending.take_up(gaps, &self.counted());
        let removable = self.removable(unnamed);
        self.remove(removable).await
    }

    /// Those of the blobs that no record says are here which may go.
    fn removable(&mut self, unnamed: BTreeSet<BlobHash>) -> BTreeSet<BlobHash> {
        let (shared, now) = (&self.service.parts, Instant::now());
        self.unnamed.retain(|hash, _| unnamed.contains(hash));
        for hash in &unnamed {
            self.unnamed.entry(*hash).or_insert(now);
        }
        if shared.retains() {
            return BTreeSet::new();
        }
        let over =
            |hash: &BlobHash| self.unnamed.get(hash).is_some_and(|since| now >= *since + UNNAMED_GRACE);
        unnamed.into_iter().filter(|hash| over(hash) && shared.shelf.is_free(*hash, GRACE)).collect()
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
        let (busy, last) = (self.mending.keys(), self.mending.last().to_owned());
        let (known_lost, members) = (self.mending.lost().clone(), shared.members().len());
        let look = move |glimpse: &Glimpse<'_>| {
            let mut found = Findings { unnamed: held.clone(), ..Findings::default() };
            let mut before = Vec::new();
            glimpse.records(&RecordRange::table(copies()), ListOrder::Ascending, |record| {
                let copies: Copies = decode(&record)?;
                let good = copies.good(&counted);
                let short = leads && good < copies.wanted_of(&counted);
                let named = copies.holders.contains(&here);
                if named {
                    found.unnamed.remove(&copies.hash);
                }
                let missing = named && !held.contains(&copies.hash);
                found.missing += u64::from(missing);
                if missing && known_lost.contains(&record.key) {
                    found.lost.insert(record.key.clone());
                }
                // One that came with a backup is read here before the records say that it is.
                let readable = good + usize::from(!named && held.contains(&copies.hash));
                found.health.count(readable, (copies.wanted as usize).min(members));
                let gaps = if record.key > last { &mut found.gaps } else { &mut before };
                if (missing || short) && gaps.len() < GAPS_MAX && !busy.contains(&record.key) {
                    let (key, version) = (record.key, record.version);
                    gaps.push(Gap { key, version, copies, here: missing, short, tried: false });
                }
                Ok(true)
            })?;
            found.gaps.append(&mut before);
            found.gaps.truncate(GAPS_MAX);
            Ok(found)
        };
        self.service.store.glimpse(true, Instant::now() + COMMIT, look).await
    }

    /// Removes blobs that no record says are here, after a reading that sees all that was acknowledged. One that a
    /// record wants elsewhere goes only if it is there: it may be the last.
    async fn remove(&self, unnamed: BTreeSet<BlobHash>) -> Result<(), Fault> {
        if unnamed.is_empty() {
            return Ok(());
        }
        let here = self.service.parts.here();
        let look = move |glimpse: &Glimpse<'_>| {
            let mut unnamed: BTreeMap<BlobHash, Option<Copies>> =
                unnamed.into_iter().map(|hash| (hash, None)).collect();
            glimpse.records(&RecordRange::table(copies()), ListOrder::Ascending, |record| {
                let copies: Copies = decode(&record)?;
                if copies.holders.contains(&here) {
                    unnamed.remove(&copies.hash);
                } else if let Some(elsewhere) = unnamed.get_mut(&copies.hash)
                    && elsewhere.as_ref().is_none_or(|other| other.wanted < copies.wanted)
                {
                    *elsewhere = Some(copies);
                }
                Ok(!unnamed.is_empty())
            })?;
            Ok(unnamed)
        };
        let unnamed = self.service.store.glimpse(false, Instant::now() + COMMIT, look).await?;
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            unnamed.into_iter().partition(|(_, elsewhere)| elsewhere.is_some());
        let mut gone: Vec<BlobHash> = unwanted.into_iter().map(|(hash, _)| hash).collect();
        let asked = wanted.into_iter().filter_map(|(_, copies)| copies).take(ASKED_MAX);
        let spare = stream::iter(asked).map(|copies| self.spare(copies)).buffer_unordered(ASKED_AT_ONCE);
        gone.extend(spare.filter_map(std::future::ready).collect::<Vec<BlobHash>>().await);
        for hash in gone {
            if self.service.parts.shelf.remove(hash, GRACE).await? {
                tracing::info!(%hash, "a blob that no record says is here was removed");
            }
        }
        Ok(())
    }

    /// The hash of a blob if there are as many copies as are wanted where the record says so.
    async fn spare(&self, copies: Copies) -> Option<BlobHash> {
        let shared = &self.service.parts;
        let Copies { hash, bytes, wanted, holders } = copies;
        let wanted = (wanted as usize).min(shared.members().len());
        (shared.who_has(hash, bytes, &holders).await.len() >= wanted).then_some(hash)
    }
}
