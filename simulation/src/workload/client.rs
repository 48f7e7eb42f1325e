//! One client: what it asks its node, written into the history with what it is told.

use super::{Asked, History, Journal, Outcome, Told};
use crate::{
    checkers::Violation,
    door::Door,
    echo::{ECHO, echo_service},
    machine::Shared,
    options::PlantedBug,
};
use micro_sdk::wire::{Code, Effect, Fault};
use rand::{Rng, rngs::SmallRng};
use std::{fmt::Debug, future::Future, rc::Rc, time::Duration};
use tokio::time::{sleep, timeout};

/// What a request may take.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// How much later than its deadline a request may be answered, before it counts as forgotten.
const LATE_MAX: Duration = Duration::from_millis(500);
/// How long an answer may take.
const ANSWER_PATIENCE: Duration = DEADLINE.saturating_add(LATE_MAX);

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
        let told = match self.answer(&what, ANSWER_PATIENCE, request).await {
            Outcome::Done(answer) => tell(answer),
            Outcome::Refused => Told::Refused,
            Outcome::Failed => Told::Failed,
            Outcome::Unknown => Told::Unknown,
        };
        self.shared.trace.line(&self.name, format_args!("{key} {what} -> {told:?}"));
        self.history().tell(id, told.clone(), self.shared.trace.now());
        told
    }

    /// Waits for an answer as long as one may take.
    async fn answer<T>(
        &self,
        what: &str,
        patience: Duration,
        request: impl Future<Output = Result<T, Fault>>,
    ) -> Outcome<T> {
        match timeout(patience, request).await {
            Ok(Ok(answer)) => Outcome::Done(answer),
            Ok(Err(fault)) if fault.effect == Effect::Unknown => Outcome::Unknown,
            Ok(Err(fault)) if matches!(fault.code, Code::Conflict | Code::Compacted | Code::NotFound) => {
                Outcome::Refused
            }
            Ok(Err(_)) => Outcome::Failed,
            Err(_) => {
                let what = format!("{} was not answered within {patience:?}: {what}", self.name);
                self.shared.violations.borrow_mut().push(Violation { checker: "deadlines", what });
                Outcome::Unknown
            }
        }
    }

    /// Asks, and writes down in `journal` what was asked and told.
    pub async fn attempt<A: Clone + Debug, T: Clone + Debug>(
        &self,
        journal: &Journal<A, T>,
        asked: A,
        request: impl Future<Output = Result<T, Fault>>,
    ) -> Outcome<T> {
        self.attempt_within(ANSWER_PATIENCE, journal, asked, request).await
    }

    /// The same for what may take this long.
    pub async fn attempt_within<A: Clone + Debug, T: Clone + Debug>(
        &self,
        patience: Duration,
        journal: &Journal<A, T>,
        asked: A,
        request: impl Future<Output = Result<T, Fault>>,
    ) -> Outcome<T> {
        let what = format!("{asked:?}");
        let place = journal.ask(&self.name, asked, self.shared.trace.now());
        let outcome = self.answer(&what, patience, request).await;
        self.shared.trace.line(&self.name, format_args!("{what} -> {outcome:?}"));
        journal.tell(place, outcome.clone(), self.shared.trace.now());
        outcome
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
        self.ask(key, Asked::Read, self.door.read(key, false), Told::Found).await
    }

    /// Reads a key from the replica at hand.
    pub async fn read_stale(&self, key: &str) -> Told {
        self.ask(key, Asked::ReadStale, self.door.read(key, true), Told::Found).await
    }

    /// Whether there are relays on the way to a node.
    fn passes_relays(&self, node: &str) -> bool {
        let machine = |name: &str| self.shared.machines.iter().find(|machine| machine.name == name);
        let own = machine(self.door.name()).and_then(|own| own.node.borrow().upgrade());
        let (Some(own), Some(to)) = (own, machine(node).and_then(|machine| machine.id.get())) else {
            return false;
        };
        own.mesh().routes().iter().any(|route| route.node == to && !route.relays.is_empty())
    }

    /// Calls the echo service of a node.
    pub async fn echo(&self, node: &str) -> (u64, Told) {
        let value = self.history().fresh_value();
        let request = async {
            if self.shared.options.planted_bug == Some(PlantedBug::RelayedCallsLost)
                && self.passes_relays(node)
            {
                sleep(DEADLINE).await;
                return Err(Fault::new(Code::Timeout, "no relay has passed it on"));
            }
            self.door.call(echo_service(node), ECHO, value).await
        };
        let told =
            self.ask(node, Asked::Echo { value }, request, |answer| Told::Found(Some((answer, 0)))).await;
        (value, told)
    }
}
