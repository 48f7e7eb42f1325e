//! Clients that put blobs, each of its own name and content, read some of them back, and delete a few.

use super::{Client, DEADLINE, Journal, Outcome};
use crate::machine::{Phase, Shared};
use bytes::Bytes;
use micro_actors::blob::BlobView;
use micro_sdk::wire::{Code, Fault};
use rand::{Rng, seq::IndexedRandom};
use std::{collections::BTreeSet, rc::Rc, time::Duration};
use tokio::time::timeout;

/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 2000;
/// How much earlier than its deadline a client gives up a blob: it has no deadline of its own, since it may be large.
const GIVES_UP: Duration = Duration::from_millis(100);
/// Every so many blobs one is larger than a piece.
const LARGE_EVERY: u64 = 6;
const LARGE_BYTES: u64 = 300_000;
const SMALL_BYTES_MAX: u64 = 5000;

/// What was asked. Blobs are called by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobAsked {
    /// Put the blob, which nobody else does.
    Put(u64),
    /// Read it.
    Read(u64),
    /// Delete it.
    Delete(u64),
    /// Which ones there are.
    List,
    /// Read it once everything was healed.
    ReadLast(u64),
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobTold {
    /// It is done.
    Done,
    /// There is none.
    Absent,
    /// What was read is what was put.
    Right,
    /// What was read is something else.
    Wrong,
    /// It is there by name, and no copy of it can be read.
    Unreadable,
    /// These are there.
    There(Vec<u64>),
}

/// Everything about blobs.
pub type BlobJournal = Journal<BlobAsked, BlobTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    let journal = &shared.journals.blob;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        let put: Vec<u64> = journal.entries().iter().filter_map(acknowledged).collect();
        let known = put.choose(&mut client.rng).copied();
        let copies = client.rng.random_range(2..=3);
        match (client.rng.random_range(0..10), known) {
            (0, Some(number)) => {
                let name = name(number);
                let request = hurried(client.door.delete_blob(&name));
                let request = async { request.await.map(|_| BlobTold::Done) };
                client.attempt(journal, BlobAsked::Delete(number), request).await;
            }
            (1..=4, Some(number)) => {
                client.attempt(journal, BlobAsked::Read(number), read(&client, number)).await;
            }
            _ => {
                let number = shared.history.fresh_value();
                let name = name(number);
                let request = hurried(client.door.put_blob(&name, content(number), copies));
                let request = async { request.await.map(|()| BlobTold::Done) };
                client.attempt(journal, BlobAsked::Put(number), request).await;
            }
        }
    }
}

/// Whether every blob that any disk has is on as many disks as it should be.
pub async fn settled(client: &Client, shared: &Shared) -> bool {
    let Ok(views) = hurried(client.door.list_blobs()).await else { return false };
    let disks: Vec<BTreeSet<_>> = shared.members().map(|machine| machine.disk.whole_blobs()).collect();
    views.iter().all(|view| {
        let there = disks.iter().filter(|disk| disk.contains(&view.hash)).count();
        // What is on no disk is lost: the checker says so.
        there == 0 || there >= disks.len().min(view.copies_wanted as usize)
    })
}

/// Lists all blobs and reads each through the client's node, once nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let journal = &shared.journals.blob;
    let listed = async {
        let views = hurried(client.door.list_blobs()).await?;
        Ok(BlobTold::There(views.iter().filter_map(number).collect()))
    };
    let Outcome::Done(BlobTold::There(numbers)) = client.attempt(journal, BlobAsked::List, listed).await
    else {
        return false;
    };
    for number in numbers {
        let request = async {
            match read(client, number).await {
                Err(fault) if fault.code == Code::Unavailable && fault.message.contains("no copy") => {
                    Ok(BlobTold::Unreadable)
                }
                told => told,
            }
        };
        if !matches!(client.attempt(journal, BlobAsked::ReadLast(number), request).await, Outcome::Done(_)) {
            return false;
        }
    }
    true
}

fn acknowledged(entry: &super::Entry<BlobAsked, BlobTold>) -> Option<u64> {
    match entry.asked {
        BlobAsked::Put(number) if entry.done().is_some() => Some(number),
        _ => None,
    }
}

async fn read(client: &Client, number: u64) -> Result<BlobTold, Fault> {
    match hurried(client.door.get_blob(&name(number))).await {
        Ok(found) if found == content(number) => Ok(BlobTold::Right),
        Ok(_) => Ok(BlobTold::Wrong),
        Err(fault) if fault.code == Code::NotFound => Ok(BlobTold::Absent),
        Err(fault) => Err(fault),
    }
}

/// Gives up where the client's deadline is: whether it was done is not known then.
pub(super) async fn hurried<T>(request: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = || Fault::new(Code::Timeout, "the client has given up").effect_unknown();
    timeout(DEADLINE - GIVES_UP, request).await.unwrap_or_else(|_| Err(late()))
}

fn name(number: u64) -> String {
    format!("blobs/{number}")
}

fn number(view: &BlobView) -> Option<u64> {
    view.name.strip_prefix("blobs/")?.parse().ok()
}

/// The content of a blob: no two are alike.
fn content(number: u64) -> Bytes {
    let bytes = if number.is_multiple_of(LARGE_EVERY) { LARGE_BYTES } else { number * 37 % SMALL_BYTES_MAX };
    let filling = (0..bytes).map(|at| (at * 31 + at / 256 + number) as u8);
    number.to_le_bytes().into_iter().chain(filling).collect::<Vec<u8>>().into()
}
