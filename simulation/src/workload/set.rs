//! Clients that add elements to a set, each once, and list it page by page.

use super::{Client, Journal, Table};
use crate::{
    door::number,
    machine::{Phase, Shared},
};
use micro_actors::store::{RecordCompare, RecordOp, TransactRequest, WriteRequest};
use micro_sdk::wire::Fault;
use rand::Rng;
use std::rc::Rc;

/// Where the elements lie: one record each.
const SET: Table = Table("set");
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;
/// How many elements are asked for at a time: few, so that a list has many pages.
const PAGE: u32 = 40;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAsked {
    /// Add an element that nobody else adds.
    Add(u64),
    /// All elements, from a quorum.
    Look,
    /// All elements, from a replica that is known to have everything.
    LookAtReplica,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetTold {
    /// It was added, at this revision.
    Added(u64),
    /// What is there.
    Elements {
        /// As of this revision.
        revision: u64,
        /// Each with the revision that added it.
        elements: Vec<(u64, u64)>,
    },
}

/// Everything about the set.
pub type SetJournal = Journal<SetAsked, SetTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    let journal = &shared.journals.set;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        if client.rng.random_bool(0.85) {
            let element = shared.history.fresh_value();
            client.attempt(journal, SetAsked::Add(element), add(&client, element)).await;
        } else {
            client.attempt(journal, SetAsked::Look, look(&client, false)).await;
        }
    }
}

/// Looks at the replica of the client's node, once all replicas are equal and nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let looked = client.attempt(&shared.journals.set, SetAsked::LookAtReplica, look(client, true));
    matches!(looked.await, super::Outcome::Done(_))
}

async fn add(client: &Client, element: u64) -> Result<SetTold, Fault> {
    // The order of keys is that of bytes.
    let key = format!("{element:012}");
    let write = |key: String| WriteRequest::new(SET.path(), key, element.to_string());
    if element.is_multiple_of(2) {
        return Ok(SetTold::Added(client.door.put(write(key).if_absent(), None).await?));
    }
    // The same as a transaction. It is never found there already, so what is to be done then is never seen.
    let request = TransactRequest {
        compares: vec![RecordCompare::exists(SET.path(), key.as_str(), false)],
        otherwise: vec![RecordOp::Write(write(format!("{key}-again")))],
        then: vec![RecordOp::Write(write(key))],
    };
    Ok(SetTold::Added(client.door.transact(request, None).await?.revision))
}

async fn look(client: &Client, stale: bool) -> Result<SetTold, Fault> {
    let (records, revision) = client.door.list_all(SET, PAGE, None, stale).await?;
    let element = |record: micro_actors::store::Record| Ok((number(&record.value.0)?, record.version));
    let elements = records.into_iter().map(element).collect::<Result<_, Fault>>()?;
    Ok(SetTold::Elements { revision, elements })
}
