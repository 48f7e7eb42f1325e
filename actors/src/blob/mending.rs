//! Copies that are being made up: a few at once, each with a deadline of its own, so that one which is slow delays only
//! what waits for the same node.

use super::{
    BlobService,
    gap::{Gap, Outcome},
    seats::Seats,
};
use micro_sdk::wire::NodeId;
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::pending,
};
use tokio::task::{Id, JoinSet};

/// Blobs whose copies are made up at once. Half of what a node fetches at once, so that puts find seats there; and as
/// many as two slow nodes can take up.
const AT_ONCE: usize = 4;

/// The most lost blobs that are remembered, for the status: whoever lost more knows enough.
const LOST_MAX: usize = 10_000;

/// What is being made up, and what waits for it. Dropped, it ends.
pub(super) struct Mending {
    service: BlobService,
    waiting: VecDeque<Gap>,
    running: JoinSet<(Gap, Outcome)>,
    /// The blobs that are being worked on, by their keys.
    keys: HashMap<Id, String>,
    seats: Seats,
    /// The blobs that no node has, as far as that was found, by their keys.
    lost: BTreeSet<String>,
    /// The blob that was begun last: the next look starts behind it, so that each has its turn.
    last: String,
}

impl Mending {
    pub fn new(service: BlobService) -> Self {
        let seats = Seats::new(service.parts.here());
        Mending {
            service,
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            keys: HashMap::new(),
            seats,
            lost: BTreeSet::new(),
            last: String::new(),
        }
    }

    /// Which blobs are being worked on.
    pub fn keys(&self) -> BTreeSet<String> {
        self.keys.values().cloned().collect()
    }

    /// The blob that was begun last.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// The blobs that no node has, as far as that was found.
    pub fn lost(&self) -> &BTreeSet<String> {
        &self.lost
    }

    /// Remembers only these as lost: the others are there again, or nobody wants them any more.
    pub fn keep_lost(&mut self, still: BTreeSet<String>) {
        self.lost = still;
    }

    /// Waits for what a look has found, instead of what the one before has. `counted` are the members whose copies
    /// count.
    pub fn take_up(&mut self, gaps: Vec<Gap>, counted: &BTreeSet<NodeId>) {
        self.waiting = gaps.into();
        self.start(counted);
    }

    /// Resolves when one has ended: others can be started then. What was in the way of another is tried once more.
    pub async fn ended(&mut self) {
        match self.running.join_next_with_id().await {
            Some(Ok((id, (gap, outcome)))) => {
                self.keys.remove(&id);
                if outcome == Outcome::Lost && self.lost.len() < LOST_MAX {
                    self.lost.insert(gap.key.clone());
                } else if outcome != Outcome::Lost {
                    self.lost.remove(&gap.key);
                }
                if outcome == Outcome::Busy && !gap.tried {
                    self.waiting.push_back(Gap { tried: true, ..gap });
                }
            }
            Some(Err(error)) => drop(self.keys.remove(&error.id())),
            None => pending().await,
        }
    }

    /// Starts those that wait and can be.
    pub fn start(&mut self, counted: &BTreeSet<NodeId>) {
        while self.running.len() < AT_ONCE {
            let can_start = |gap: &Gap| gap.can_start(&self.service.parts, &self.seats);
            let next = self.waiting.iter().position(can_start).and_then(|at| self.waiting.remove(at));
            let Some(gap) = next else { return };
            self.last.clone_from(&gap.key);
            let (service, seats, counted) = (self.service.clone(), self.seats.clone(), counted.clone());
            let key = gap.key.clone();
            let work = async move {
                let outcome = gap.make_up(&service, &seats, &counted).await;
                (gap, outcome)
            };
            let task = self.running.spawn(work);
            self.keys.insert(task.id(), key);
        }
    }
}
