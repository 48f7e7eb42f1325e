//! Clients that write records which end by themselves, renew them, or take the end away, and look what is there.

use super::{Client, Journal, Outcome, Table};
use crate::{
    door::number,
    machine::{Phase, Shared},
};
use micro_actors::store::{DeleteRequest, Record, WriteRequest};
use micro_sdk::wire::Fault;
use rand::Rng;
use std::rc::Rc;

/// Where the records lie.
pub const MORTALS: Table = Table("mortals");
/// Their keys: few, so that what one client has written is renewed by another.
const KEYS: [&str; 5] = ["m0", "m1", "m2", "m3", "m4"];
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;
/// The shortest and longest time that a record lives: some end between two requests, and some outlive a leader.
const TTL_MS: (u64, u64) = (50, 4000);

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpiryAsked {
    /// To write a value that nobody else writes, to end after so many milliseconds; 0 for never.
    Write(u64, u64),
    /// To delete a record.
    Delete,
    /// All records, from a quorum.
    Look,
    /// The same in the end, until none is left that is to end.
    LookAtEnd,
}

/// A record as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mortal {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: u64,
    /// The revision that wrote it.
    pub version: u64,
    /// When it ends; 0 for never.
    pub expires_ms: u64,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExpiryTold {
    /// It was done; for a write, at this revision.
    Done(u64),
    /// What was there at this revision.
    Found(u64, Vec<Mortal>),
}

/// Everything about records that end.
pub type ExpiryJournal = Journal<ExpiryAsked, ExpiryTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    let journal = &shared.journals.expiry;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        let key = KEYS[client.rng.random_range(0..KEYS.len())];
        match client.rng.random_range(0..100) {
            0..55 => {
                let ttl_ms = client.rng.random_range(TTL_MS.0..=TTL_MS.1);
                write(&client, &shared, key, ttl_ms).await;
            }
            55..60 => write(&client, &shared, key, 0).await,
            60..65 => drop(client.attempt(journal, ExpiryAsked::Delete, delete(&client, key)).await),
            _ => drop(client.attempt(journal, ExpiryAsked::Look, look(&client)).await),
        }
    }
}

/// Looks until nothing is left that is to end, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let looked = client.attempt(&shared.journals.expiry, ExpiryAsked::LookAtEnd, look(client)).await;
    match looked {
        Outcome::Done(ExpiryTold::Found(_, found)) => found.iter().all(|mortal| mortal.expires_ms == 0),
        _ => false,
    }
}

async fn write(client: &Client, shared: &Shared, key: &str, ttl_ms: u64) {
    let value = shared.history.fresh_value();
    let request = WriteRequest { ttl_ms, ..WriteRequest::new(MORTALS.path(), key, value.to_string()) };
    let written = async { Ok(ExpiryTold::Done(client.door.put(request, None).await?)) };
    client.attempt(&shared.journals.expiry, ExpiryAsked::Write(value, ttl_ms), written).await;
}

async fn delete(client: &Client, key: &str) -> Result<ExpiryTold, Fault> {
    let request = DeleteRequest { table: MORTALS.path(), key: key.to_owned(), if_version: None };
    client.door.delete_record(request).await?;
    Ok(ExpiryTold::Done(0))
}

async fn look(client: &Client) -> Result<ExpiryTold, Fault> {
    let (records, revision) = client.door.list_all(MORTALS, 0, None, false).await?;
    let mortal = |record: Record| {
        let (value, Record { key, version, expires_ms, .. }) = (number(&record.value.0)?, record);
        Ok(Mortal { key, value, version, expires_ms })
    };
    Ok(ExpiryTold::Found(revision, records.into_iter().map(mortal).collect::<Result<_, Fault>>()?))
}
