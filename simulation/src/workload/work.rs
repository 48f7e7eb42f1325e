//! Clients that have a service do work, and the service, which has an instance on every node and fails in every way:
//! before the work, after it, or by saying nothing at all.

use super::{Client, Journal, Tally};
use crate::{
    door::number,
    machine::{Phase, Shared},
    options::PlantedBug,
};
use bytes::Bytes;
use micro_actors::registry::{AttachGuard, Care, InsideHandler};
use micro_node::node::Local;
use micro_sdk::wire::{Code, Endpoint, Fault, Head, ServiceName, Streams};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// What the service is called.
const WORK: &str = "work";
/// What must not be done twice.
const ONCE: &str = "Work.once";
/// What may.
const TWICE: &str = "Work.twice";
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 200;
/// How long a silent instance takes: longer than anybody waits.
const SILENCE: Duration = Duration::from_secs(30);

/// What was asked: that a piece of work be done, which has a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkAsked {
    /// Once at most.
    Once(u64),
    /// Once or more often.
    Twice(u64),
}

impl WorkAsked {
    /// The number of the piece.
    pub fn piece(self) -> u64 {
        let (WorkAsked::Once(piece) | WorkAsked::Twice(piece)) = self;
        piece
    }
}

/// How often each piece was done. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Done(Arc<Mutex<BTreeMap<u64, u32>>>);

impl Done {
    /// How often a piece was done.
    pub fn times(&self, piece: u64) -> u32 {
        self.0.lock().expect("nobody panics meanwhile").get(&piece).copied().unwrap_or(0)
    }

    /// Notes that a piece was done once more.
    pub fn again(&self, piece: u64) {
        *self.0.lock().expect("nobody panics meanwhile").entry(piece).or_insert(0) += 1;
    }
}

/// What clients asked, and how often each piece was done.
#[derive(Clone, Debug, Default)]
pub struct WorkJournal {
    /// What was asked and told: the number of the piece.
    pub asked: Journal<WorkAsked, u64>,
    /// What was done.
    pub done: Done,
}

impl WorkJournal {
    /// How many requests ended how.
    pub fn tally(&self) -> Tally {
        self.asked.tally()
    }
}

/// Offers an instance of the service on a node, as long as the guard lives.
///
/// # Errors
/// As the node answers.
pub fn attach(local: &Local, shared: &Shared, number: u64) -> Result<AttachGuard, Fault> {
    let endpoint = |name: &str| Endpoint {
        name: name.to_owned(),
        request_schema: "{}".to_owned(),
        response_schema: "{}".to_owned(),
        doc: String::new(),
        routes: Vec::new(),
        streams: Streams::default(),
    };
    let (done, seed) = (shared.journals.work.done.clone(), shared.options.seed_of(WORK) ^ number);
    let rng = Arc::new(Mutex::new(SmallRng::seed_from_u64(seed)));
    let handler: InsideHandler = Arc::new(move |head, body| {
        let (done, rng) = (done.clone(), rng.clone());
        Box::pin(async move { work(&done, &rng, &head, body).await })
    });
    let endpoints = [ONCE, TWICE].map(endpoint).to_vec();
    local.attach_inside(service(), endpoints, handler, Care::default())
}

async fn work(done: &Done, rng: &Mutex<SmallRng>, head: &Head, body: Bytes) -> Result<Bytes, Fault> {
    let piece = number(&body)?;
    let (pause, fate) = {
        let mut rng = rng.lock().expect("nobody panics meanwhile");
        (rng.random_range(1..20), rng.random_range(0..100))
    };
    let fault = |what: &str| Fault::new(Code::Unavailable, format!("{} {what}", head.endpoint));
    sleep(Duration::from_millis(pause)).await;
    match fate {
        0..10 => return Err(fault("was not begun")),
        10..13 => {
            sleep(SILENCE).await;
            return Err(fault("was never begun"));
        }
        _ => done.again(piece),
    };
    match fate {
        13..23 => Err(fault("was done, and cannot say so").effect_unknown()),
        23..26 => {
            sleep(SILENCE).await;
            Ok(body)
        }
        _ => Ok(body),
    }
}

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    let journal = shared.journals.work.asked.clone();
    let idempotent = match shared.options.planted_bug {
        Some(PlantedBug::AllTriedAgain) => "*",
        _ => TWICE,
    };
    let policy = format!(r#"{{"idempotent": ["{idempotent}"], "retry": {{"budget": 1, "burst": 100}}}}"#);
    let mut set = false;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        if !set {
            set = client.door.set_policy(service(), policy.clone()).await.is_ok();
        }
        let piece = shared.history.fresh_value();
        let (asked, endpoint) = match client.rng.random_bool(0.5) {
            true => (WorkAsked::Once(piece), ONCE),
            false => (WorkAsked::Twice(piece), TWICE),
        };
        client.attempt(&journal, asked, client.door.call(service(), endpoint, piece)).await;
    }
}

/// Whether the service works, once everything is healed.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let piece = shared.history.fresh_value();
    let asked = client.door.call(service(), TWICE, piece);
    let journal = &shared.journals.work.asked;
    matches!(client.attempt(journal, WorkAsked::Twice(piece), asked).await, super::Outcome::Done(_))
}

fn service() -> ServiceName {
    WORK.parse().expect("a good name")
}
