//! Clients that put items into a queue and take them out, and do many a request twice with the same idempotency key:
//! through another node, later, although the first was answered.

use super::{Client, Journal, Outcome, Table};
use crate::{
    door::number,
    machine::{Phase, Shared},
};
use micro_actors::store::{RecordOp, RecordRange, RecordResult, TransactRequest, WriteRequest};
use micro_sdk::wire::{Code, Fault};
use rand::Rng;
use std::{cell::RefCell, rc::Rc, time::Duration};

/// Where the items lie: one record each, the next one first.
const QUEUE: Table = Table("queue");
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 400;
/// How much later a request is repeated at most: beyond an election, and a snapshot or two.
const AGAIN_MS_MAX: u64 = 8_000;
/// How often a request is put down to be repeated.
const AGAIN: f64 = 0.6;
/// Requests that wait to be repeated at most.
const AGAIN_COUNT_MAX: usize = 64;

/// What was asked, and with which idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAsked {
    /// What makes a repeated request the same one.
    pub key: u128,
    /// What to do.
    pub what: QueueRequest,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueRequest {
    /// Put an item in that nobody else puts in.
    Push(u64),
    /// Take the next one out.
    Pop,
    /// What is in it. Not repeated.
    Look,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueTold {
    /// It was put in, at this revision.
    Pushed(u64),
    /// It was taken out at this revision, if there was one.
    Popped(u64, Option<u64>),
    /// What is in it.
    Items(Vec<u64>),
}

/// Everything about the queue.
pub type QueueJournal = Journal<QueueAsked, QueueTold>;

/// Requests that wait to be repeated: by which client they were asked, and when they may be repeated.
pub type Again = RefCell<Vec<(String, Duration, QueueAsked)>>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        if let Some(asked) = due(&client, &shared) {
            ask(&client, &shared, asked).await;
            continue;
        }
        let push = client.rng.random_bool(0.55);
        let what = if push { QueueRequest::Push(shared.history.fresh_value()) } else { QueueRequest::Pop };
        let asked = QueueAsked { key: client.rng.random(), what };
        if client.rng.random_bool(AGAIN) && shared.again.borrow().len() < AGAIN_COUNT_MAX {
            let after = Duration::from_millis(client.rng.random_range(0..=AGAIN_MS_MAX));
            let when = shared.trace.now() + after;
            // Put down before it is asked, so that it is repeated even if this client ends with its node.
            shared.again.borrow_mut().push((client.name.clone(), when, asked.clone()));
        }
        ask(&client, &shared, asked).await;
    }
}

/// Looks into the queue, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let asked = QueueAsked { key: 0, what: QueueRequest::Look };
    matches!(ask(client, shared, asked).await, Outcome::Done(_))
}

/// A request of another client that is to be repeated now.
fn due(client: &Client, shared: &Shared) -> Option<QueueAsked> {
    let now = shared.trace.now();
    let mut again = shared.again.borrow_mut();
    let place = again.iter().position(|(asker, when, _)| *when <= now && *asker != client.name)?;
    Some(again.remove(place).2)
}

async fn ask(client: &Client, shared: &Shared, asked: QueueAsked) -> Outcome<QueueTold> {
    let request = perform(client, asked.clone());
    client.attempt(&shared.journals.queue, asked, request).await
}

async fn perform(client: &Client, asked: QueueAsked) -> Result<QueueTold, Fault> {
    let key = Some(asked.key);
    match asked.what {
        QueueRequest::Push(item) => {
            let request = WriteRequest::new(QUEUE.path(), format!("{item:012}"), item.to_string());
            Ok(QueueTold::Pushed(client.door.put(request.if_absent(), key).await?))
        }
        QueueRequest::Pop => {
            let range = RecordRange { table: QUEUE.path(), ..RecordRange::default() };
            let then = vec![
                RecordOp::List { range: range.clone(), limit: 1 },
                RecordOp::DeleteRange { range, limit: 1 },
            ];
            let request = TransactRequest { then, ..TransactRequest::default() };
            let reply = client.door.transact(request, key).await?;
            match reply.results.first() {
                Some(RecordResult::Listed { records, .. }) => {
                    let item = records.first().map(|record| number(&record.value.0)).transpose()?;
                    Ok(QueueTold::Popped(reply.revision, item))
                }
                other => Err(Fault::new(Code::Internal, format!("a list was answered {other:?}"))),
            }
        }
        QueueRequest::Look => {
            let (records, _) = client.door.list_all(QUEUE, 0, None, false).await?;
            let items = records.iter().map(|record| number(&record.value.0));
            Ok(QueueTold::Items(items.collect::<Result<_, _>>()?))
        }
    }
}
