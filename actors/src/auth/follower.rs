//! Keeps the guard in step with this node's replica: it is told what is applied here, and never asks anybody.

use crate::{
    auth::{
        book::{self, Book},
        guard::Guard,
        policy::{Policy, Rules},
        signing_key::PublicKeys,
    },
    store::{Glimpse, StoreService, TablePath},
};
use micro_sdk::wire::Fault;
use std::sync::Arc;
use tokio::{
    sync::watch,
    time::{Duration, Instant, sleep},
};

/// How long changes are gathered before they are taken up: well below the second within which a revocation holds, and
/// so long that thousands of them a second cost a few readings.
const GATHER: Duration = Duration::from_millis(10);
/// The pause before the replica is read again, where that failed.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a reading may take. It waits for nobody.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps a guard in step with a replica.
pub(crate) struct Follower {
    store: Arc<StoreService>,
    guard: Guard,
    revocations: watch::Receiver<u64>,
    rules: watch::Receiver<u64>,
    keys: watch::Receiver<u64>,
    /// How often each bell had rung when its part was read last.
    taken: watch::Sender<[u64; 3]>,
}

/// How far the guard follows the replica.
#[derive(Clone)]
pub(crate) struct InStep {
    rung: [watch::Receiver<u64>; 3],
    taken: watch::Receiver<[u64; 3]>,
}

impl InStep {
    /// Returns once the guard decides by all that was applied here before this was asked.
    pub async fn reached(mut self) {
        let rung = self.rung.each_ref().map(|bell| *bell.borrow());
        let all = |taken: &[u64; 3]| taken.iter().zip(rung).all(|(taken, rung)| *taken >= rung);
        // If nobody follows any more, the node stops.
        drop(self.taken.wait_for(all).await);
    }
}

/// A part of the policy, read anew when its table changes.
#[derive(Clone, Copy, Debug)]
enum Part {
    Revocations,
    Rules,
    Keys,
}

impl Follower {
    /// The tables that it follows.
    pub fn tables() -> [TablePath; 3] {
        [book::revoked(), book::rules(), book::keys()]
    }

    /// Each of the `bells` rings when its table changes.
    pub fn new(store: Arc<StoreService>, guard: Guard, bells: [watch::Receiver<u64>; 3]) -> Self {
        let [revocations, rules, keys] = bells;
        Follower { store, guard, revocations, rules, keys, taken: watch::Sender::new([0; 3]) }
    }

    /// Tells how far it is.
    pub fn in_step(&self) -> InStep {
        let rung = [&self.revocations, &self.rules, &self.keys].map(watch::Receiver::clone);
        InStep { rung, taken: self.taken.subscribe() }
    }

    /// Takes up what the replica has.
    ///
    /// # Errors
    /// If the state can't be read.
    pub async fn load(&self) -> Result<(), Fault> {
        for part in [Part::Revocations, Part::Rules, Part::Keys] {
            self.take_up(part).await?;
        }
        Ok(())
    }

    /// Follows the replica until it is dropped. What rang since it was loaded is taken up first.
    pub async fn run(mut self) {
        loop {
            let (rung, part) = tokio::select! {
                biased;
                rung = self.revocations.changed() => (rung, Part::Revocations),
                rung = self.rules.changed() => (rung, Part::Rules),
                rung = self.keys.changed() => (rung, Part::Keys),
            };
            // The bells live as long as the store does.
            if rung.is_err() {
                return;
            }
            sleep(GATHER).await;
            let bell = match part {
                Part::Revocations => &mut self.revocations,
                Part::Rules => &mut self.rules,
                Part::Keys => &mut self.keys,
            };
            // Before the reading, which then shows all that it rang for.
            let count = *bell.borrow_and_update();
            while let Err(fault) = self.take_up(part).await {
                tracing::error!(%fault, ?part, "what decides who may do what can't be read: it stays as it was");
                sleep(PAUSE).await;
            }
            self.taken.send_modify(|taken| taken[part as usize] = count);
        }
    }

    async fn take_up(&self, part: Part) -> Result<(), Fault> {
        let before = self.guard.policy();
        let read = move |glimpse: &Glimpse<'_>| {
            let (book, mut policy) = (Book(glimpse), Policy::clone(&before));
            match part {
                Part::Rules => policy.rules = Arc::new(Rules::new(&book.rules(None)?)),
                Part::Keys => {
                    let public = book.keys()?.into_values().map(|(key, _)| key.public);
                    policy.keys = Arc::new(PublicKeys::new(public));
                }
                Part::Revocations => policy.revocations = Arc::new(book.revocations()?),
            }
            Ok(policy)
        };
        let policy = self.store.glimpse(true, Instant::now() + PATIENCE, read).await?;
        self.guard.replace(policy);
        Ok(())
    }
}
