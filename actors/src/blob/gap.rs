//! A blob that lacks copies, and how they are made up.

use super::{
    BlobService,
    fetch::FetchRequest,
    limits::{COMMIT, GRACE, fetch_time},
    platform::Shared,
    record::Copies,
    seats::Seats,
};
use micro_sdk::wire::{Code, Fault, NodeId};
use std::collections::BTreeSet;
use tokio::time::Instant;

/// A blob that lacks copies.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    /// The key of its record.
    pub key: String,
    /// The record's version when it was looked at.
    pub version: u64,
    pub copies: Copies,
    /// It should be on this node and is not.
    pub here: bool,
    /// Too few nodes have it, and it is up to this one to find others.
    pub short: bool,
    /// Those that it needs were busy with others when it was tried.
    pub tried: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There may be more to do, or it failed: the next look tells.
    Tried,
    /// Others were in the way.
    Busy,
    /// All that should have the blob are up, and no node has it.
    Lost,
}

/// Why there is no copy.
enum Failure {
    /// All that could be asked have no seat left.
    Busy,
    Fault(Fault),
}

impl Gap {
    /// Whether those that its copies would wait for have seats left. Whom that is is told by the record: who has it
    /// besides is found when it is made up.
    pub fn can_start(&self, shared: &Shared, seats: &Seats) -> bool {
        let Copies { hash, holders, .. } = &self.copies;
        let any_free = |mut nodes: Vec<NodeId>| {
            nodes.retain(|node| shared.is_up(*node));
            nodes.is_empty() || nodes.iter().any(|node| seats.is_free(*node))
        };
        any_free(shared.nearest(holders)) && (!self.short || any_free(shared.candidates(*hash, holders)))
    }

    /// Makes up what can be. `counted` are the members whose copies count.
    pub async fn make_up(&self, service: &BlobService, seats: &Seats, counted: &BTreeSet<NodeId>) -> Outcome {
        let fetched = match self.here {
            true => self.fetch(&service.parts, seats).await,
            false => Outcome::Tried,
        };
        match self.short && self.repair(service, seats, counted).await {
            true => Outcome::Busy,
            false => fetched,
        }
    }

    /// Fetches a blob that should be here.
    async fn fetch(&self, shared: &Shared, seats: &Seats) -> Outcome {
        let Copies { hash, bytes, ref holders, .. } = self.copies;
        let key = &self.key;
        let mut fetched = self.copy(shared, seats, shared.here(), &shared.nearest(holders)).await;
        let mut nobody_has_it = false;
        if matches!(fetched, Err(Failure::Fault(_))) {
            let others = shared.offers(hash, bytes, &[]).await;
            nobody_has_it = others.is_empty() && holders.iter().all(|node| shared.is_up(*node));
            if !others.is_empty() {
                fetched = self.copy(shared, seats, shared.here(), &others).await;
            }
        }
        match fetched {
            Ok(()) => tracing::info!(%hash, key, "the copy of a blob that was missing here was made up"),
            Err(Failure::Busy) => return Outcome::Busy,
            Err(Failure::Fault(fault)) => {
                tracing::warn!(%hash, key, %fault, "the copy of a blob is missing here, and could not be made up yet");
                let alone = holders.iter().all(|node| *node == shared.here());
                if nobody_has_it && (alone || fault.code == Code::NotFound) {
                    return Outcome::Lost;
                }
            }
        }
        Outcome::Tried
    }

    /// Copies the blob to `to`, from the first of `sources` that can give it.
    async fn copy(
        &self,
        shared: &Shared,
        seats: &Seats,
        to: NodeId,
        sources: &[NodeId],
    ) -> Result<(), Failure> {
        let Copies { hash, bytes, .. } = self.copies;
        let nobody = || Failure::Fault(Fault::new(Code::Unavailable, "no node that has it can be reached"));
        let mut last = None;
        let Some(_seat) = seats.take(to) else { return Err(Failure::Busy) };
        for source in sources.iter().copied().filter(|source| *source != to) {
            let Some(_seat) = seats.take(source) else {
                last = Some(Failure::Busy);
                continue;
            };
            let request = FetchRequest { hash, bytes, from: vec![source] };
            let copied = match to == shared.here() {
                true => shared.fetch(request, Instant::now() + fetch_time(bytes)).await,
                false => shared.have_fetched(to, &request).await,
            };
            match copied {
                Ok(()) => return Ok(()),
                Err(fault) => last = last.or(Some(Failure::Fault(fault))),
            }
        }
        Err(last.unwrap_or_else(nobody))
    }

    /// Has other nodes take the place of those that were lost, and notes it. Tells whether more could, were they not
    /// busy.
    async fn repair(&self, service: &BlobService, seats: &Seats, counted: &BTreeSet<NodeId>) -> bool {
        let (shared, key, hash) = (&service.parts, &self.key, self.copies.hash);
        let sources = self.sources(shared).await;
        if sources.is_empty() {
            tracing::debug!(key, %hash, "no node has a copy of a blob that can be read");
            return false;
        }
        let wanted = self.copies.wanted_of(counted);
        let mut good = self.copies.holders.clone();
        good.retain(|node| counted.contains(node));
        let before = good.len();
        // Those that have it already and are not named. Noted at once: they keep it for a while only.
        good.extend(sources.iter().filter(|node| !self.copies.holders.contains(node)).copied());
        good.truncate(wanted.max(before));
        let mut busy = false;
        if good.len() == before {
            for node in self.candidates(shared) {
                if good.len() >= wanted {
                    break;
                }
                match self.copy(shared, seats, node, &sources).await {
                    Ok(()) => good.push(node),
                    Err(Failure::Busy) => busy = true,
                    Err(Failure::Fault(fault)) => {
                        tracing::info!(%node, key, %fault, "a copy of a blob could not be made there")
                    }
                }
            }
        }
        let busy = busy && good.len() < wanted;
        self.note(service, good, wanted).await;
        busy
    }

    /// Sees to it that other nodes have as many copies as are wanted, or as there are nodes for. Tells whether they
    /// have.
    pub async fn hand_over(&self, service: &BlobService, seats: &Seats) -> bool {
        let (shared, key) = (&service.parts, &self.key);
        let Copies { hash, bytes, wanted, ref holders } = self.copies;
        let others = shared.members().len().saturating_sub(1);
        let needed = (wanted as usize).min(others);
        let mut named: Vec<NodeId> = holders.clone();
        named.retain(|node| *node != shared.here());
        let mut there = shared.who_has(hash, bytes, &named).await;
        let known = there.len();
        let mut sources = there.clone();
        sources.insert(0, shared.here());
        for node in shared.candidates(hash, holders) {
            if there.len() >= needed {
                break;
            }
            match self.copy(shared, seats, node, &sources).await {
                Ok(()) => there.push(node),
                Err(Failure::Busy) => {}
                Err(Failure::Fault(fault)) => {
                    tracing::info!(%node, key, %fault, "a copy of a blob could not be made there")
                }
            }
        }
        let enough = there.len() >= needed;
        if there.len() > known {
            self.note(service, there, wanted as usize).await;
        }
        enough
    }

    /// Who has it, whatever the record says: those that are named go first.
    async fn sources(&self, shared: &Shared) -> Vec<NodeId> {
        let Copies { hash, bytes, ref holders, .. } = self.copies;
        let mut sources = shared.offers(hash, bytes, &[]).await;
        if shared.shelf.hold_if_there(hash, GRACE).await.is_ok_and(|(there, _)| there) {
            sources.insert(0, shared.here());
        }
        sources.sort_by_key(|node| !holders.contains(node));
        sources
    }

    /// Who could take a copy, in the order in which to ask them; this node last.
    fn candidates(&self, shared: &Shared) -> Vec<NodeId> {
        let Copies { hash, holders, .. } = &self.copies;
        let mut candidates = shared.candidates(*hash, holders);
        if !holders.contains(&shared.here()) && !candidates.contains(&shared.here()) {
            candidates.push(shared.here());
        }
        candidates
    }

    /// Notes who has it.
    async fn note(&self, service: &BlobService, mut good: Vec<NodeId>, wanted: usize) {
        let key = &self.key;
        let mut copies = self.copies.clone();
        if good.len() >= wanted {
            // Only now: until there are enough, one that comes back still counts.
            copies.holders = good;
        } else {
            good.retain(|node| !copies.holders.contains(node));
            copies.holders.extend(good);
        }
        if copies.holders == self.copies.holders {
            return;
        }
        match service.note_copies(key, self.version, &copies, Instant::now() + COMMIT).await {
            Ok(true) => tracing::info!(key, holders = ?copies.holders, "copies of a blob were made up"),
            Ok(false) => tracing::debug!(key, "the blob has changed meanwhile"),
            Err(fault) => tracing::info!(key, %fault, "who has a blob could not be noted"),
        }
    }
}
