//! Clients whose transactions append to a few lists and read them: the order of the elements tells the order of the
//! transactions (Kingsbury, Alvaro: "Elle: inferring isolation anomalies from experimental observations", VLDB 2020).

use super::{Client, Journal, Table};
use crate::machine::{Phase, Shared};
use micro_actors::store::{RecordCompare, RecordOp, RecordResult, TransactRequest, WriteRequest};
use micro_sdk::wire::{Code, Fault};
use rand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

/// Where the lists lie: one record each.
const LISTS: Table = Table("lists");
/// The lists at one time: few, so that transactions meet.
const LIST_COUNT: usize = 4;
/// After this long there are other lists, so that none gets long.
const LISTS_LAST: Duration = Duration::from_secs(10);
/// The most steps of one transaction.
const STEPS_MAX: usize = 4;
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds an element, which nobody else adds anywhere, at the end of a list.
    Append(String, u64),
    /// Reads a list.
    Read(String),
}

impl Step {
    fn list(&self) -> &String {
        match self {
            Step::Append(list, _) | Step::Read(list) => list,
        }
    }
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendTold {
    /// It was done. What its reads found, in their order.
    Committed(Vec<Vec<u64>>),
    /// Nothing was done, since a list was changed by another meanwhile.
    Aborted,
}

/// Everything about the lists.
pub type AppendJournal = Journal<Vec<Step>, AppendTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        let age = shared.trace.now().as_millis() / LISTS_LAST.as_millis();
        let steps = (0..client.rng.random_range(1..=STEPS_MAX)).map(|_| {
            let list = format!("l{}-{age}", client.rng.random_range(0..LIST_COUNT));
            match client.rng.random_bool(0.5) {
                true => Step::Append(list, shared.history.fresh_value()),
                false => Step::Read(list),
            }
        });
        let steps: Vec<Step> = steps.collect();
        let key = client.rng.random_bool(0.5).then(|| client.rng.random());
        client.attempt(&shared.journals.append, steps.clone(), perform(&client, steps, key)).await;
    }
}

/// Reads all lists that are left, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let steps = shared.journals.append.entries();
    let lists: BTreeSet<String> =
        steps.iter().flat_map(|entry| entry.asked.iter().map(|step| step.list().clone())).collect();
    let steps: Vec<Step> = lists.into_iter().map(Step::Read).collect();
    let asked = client.attempt(&shared.journals.append, steps.clone(), perform(client, steps, None));
    matches!(asked.await, super::Outcome::Done(_))
}

/// Reads what the steps need, and writes what they make of it, if nothing of it has changed by then.
async fn perform(client: &Client, steps: Vec<Step>, key: Option<u128>) -> Result<AppendTold, Fault> {
    let lists: Vec<&String> = steps.iter().map(Step::list).collect::<BTreeSet<_>>().into_iter().collect();
    let read = |list: &&String| RecordOp::Read { table: LISTS.path(), key: (*list).clone() };
    let request = TransactRequest { then: lists.iter().map(read).collect(), ..TransactRequest::default() };
    let door = client.door.hurried();
    let found = door.transact(request, None).await?.results;
    let (mut held, mut compares) = (BTreeMap::new(), Vec::new());
    for (list, result) in lists.iter().zip(found) {
        let RecordResult::Read(record) = result else {
            return Err(Fault::new(Code::Internal, format!("a read was answered {result:?}")));
        };
        let version = record.as_ref().map_or(0, |record| record.version);
        compares.push(RecordCompare::version(LISTS.path(), list.as_str(), version));
        let elements = record.map_or(Ok(Vec::new()), |record| elements(&record.value.0))?;
        held.insert((*list).clone(), elements);
    }
    let (mut reads, mut changed) = (Vec::new(), BTreeSet::new());
    for step in &steps {
        match step {
            Step::Read(list) => reads.push(held[list].clone()),
            Step::Append(list, element) => {
                held.entry(list.clone()).or_default().push(*element);
                changed.insert(list);
            }
        }
    }
    // What was only read was read at one moment.
    if changed.is_empty() {
        return Ok(AppendTold::Committed(reads));
    }
    let write = |list: &String| WriteRequest::new(LISTS.path(), list.as_str(), text(&held[list]));
    let then = changed.into_iter().map(|list| RecordOp::Write(write(list))).collect();
    // Should it not be known what becomes of this, the whole is not known: nothing was done before.
    let reply = door.transact(TransactRequest { compares, then, otherwise: Vec::new() }, key).await?;
    Ok(if reply.held { AppendTold::Committed(reads) } else { AppendTold::Aborted })
}

fn text(elements: &[u64]) -> String {
    elements.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

fn elements(value: &[u8]) -> Result<Vec<u64>, Fault> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let elements = text.split(',').map(str::parse).collect::<Result<_, _>>();
    elements.map_err(|_| Fault::new(Code::Internal, format!("{text:?} is not a list that a client wrote")))
}
