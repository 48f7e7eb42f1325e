//! One client: what it asks its node, written into the history with what it is told.

use super::{Asked, History, Told};
use crate::{checkers::Violation, host::Door, machine::Shared, options::PlantedBug};
use micro_sdk::wire::{Code, Effect, Fault};
use rand::{Rng, rngs::SmallRng};
use std::{future::Future, rc::Rc, time::Duration};
use tokio::time::{sleep, timeout};

/// What a request may take.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// How much later than its deadline a request may be answered, before it counts as forgotten.
const LATE_MAX: Duration = Duration::from_millis(500);

/// One client of one start of a node.
pub struct Client {
    /// Its name, which no other ever has.
    pub name: String,
    /// The node it asks.
    pub door: Door,
    /// Chance.
    pub rng: SmallRng,
    /// The world.
    pub shared: Rc<Shared>,
}

impl Client {
    fn history(&self) -> &History {
        &self.shared.history
    }

    /// Waits as a person would, this long at most.
    pub async fn think(&mut self, ms_max: u64) {
        sleep(Duration::from_millis(self.rng.random_range(1..=ms_max))).await;
    }

    /// Asks, and writes down what was asked and told.
    async fn ask<T>(
        &self,
        key: &str,
        asked: Asked,
        request: impl Future<Output = Result<T, Fault>>,
        tell: impl FnOnce(T) -> Told,
    ) -> Told {
        let what = format!("{asked:?}");
        let id = self.history().ask(&self.name, key, asked, self.shared.trace.now());
        let told = match timeout(DEADLINE + LATE_MAX, request).await {
            Ok(Ok(answer)) => tell(answer),
            Ok(Err(fault)) if fault.effect == Effect::Unknown => Told::Unknown,
            Ok(Err(fault)) if fault.code == Code::Conflict => Told::Refused,
            Ok(Err(_)) => Told::Failed,
            Err(_) => {
                let what =
                    format!("{} was not answered within {:?}: {what} {key}", self.name, DEADLINE + LATE_MAX);
                self.shared.violations.borrow_mut().push(Violation { checker: "deadlines", what });
                Told::Unknown
            }
        };
        self.shared.trace.line(&self.name, format_args!("{key} {what} -> {told:?}"));
        self.history().tell(id, told.clone(), self.shared.trace.now());
        told
    }

    /// Writes a value never used before. Returns it with what was told.
    pub async fn write(&self, key: &str) -> (u64, Told) {
        let value = self.history().fresh_value();
        let request = self.door.write(key, value, None);
        (value, self.ask(key, Asked::Write { value }, request, Told::Done).await)
    }

    /// Writes a value never used before, if the key holds what `found` says still.
    pub async fn swap(&self, key: &str, found: (u64, u64)) -> (u64, Told) {
        let value = self.history().fresh_value();
        let (from, version) = found;
        let request = self.door.write(key, value, Some(version));
        (value, self.ask(key, Asked::Swap { version, from, value }, request, Told::Done).await)
    }

    /// Deletes a key.
    pub async fn delete(&self, key: &str) -> Told {
        self.ask(key, Asked::Delete, self.door.delete(key), |()| Told::Done(0)).await
    }

    /// Reads a key from a quorum.
    pub async fn read(&self, key: &str) -> Told {
        let stale = self.shared.options.planted_bug == Some(PlantedBug::StaleReads);
        self.ask(key, Asked::Read, self.door.read(key, stale), Told::Found).await
    }

    /// Reads a key from the replica at hand.
    pub async fn read_stale(&self, key: &str) -> Told {
        self.ask(key, Asked::ReadStale, self.door.read(key, true), Told::Found).await
    }

    /// Calls the echo service of a node.
    pub async fn echo(&self, node: &str) -> (u64, Told) {
        let value = self.history().fresh_value();
        let request = self.door.echo(node, value);
        let told =
            self.ask(node, Asked::Echo { value }, request, |answer| Told::Found(Some((answer, 0)))).await;
        (value, told)
    }
}
