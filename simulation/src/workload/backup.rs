//! Clients that write records, put blobs and back the mesh up; each backup is restored at once, and looked at.

use super::{Client, Journal, Outcome, Table, blob::hurried};
use crate::{
    door::number,
    machine::{Phase, Shared},
    seams::VirtualTime,
};
use bytes::Bytes;
use micro_actors::{
    blob::blobs_of,
    store::{self, Record, WriteRequest},
};
use micro_consensus::Restoration;
use micro_sdk::wire::{Code, Fault, NodeId};
use micro_storage::{
    Family, Storage, blob_archive,
    memory::{self, MemoryDisk},
};
use rand::Rng;
use std::{future::ready, rc::Rc, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// Where the records lie.
const SAVED: Table = Table("saved");
/// What the names of blobs begin with. None is deleted, so that each has to be in all later backups.
const BLOB: &str = "saved-";
/// The blob that is replaced now and then: each backup has to have the bytes that its own state names.
const REPLACED: &str = "replaced";
/// How long a slow client takes a backup: what is replaced meanwhile would be removed from the disks, were it not kept.
const SLOW: Duration = Duration::from_secs(25);
/// How long it may take in all.
const SLOW_DEADLINE: Duration = Duration::from_secs(40);
/// On how many nodes they are: a node that is down takes none with it.
const BLOB_COPIES: u32 = 2;
/// Their keys: few, so that backups show most of them changed.
const KEYS: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupAsked {
    /// To write a value that nobody else writes under a key.
    Write(&'static str, u64),
    /// To put a blob that nobody else puts.
    Put(u64),
    /// To put another in place of the one of a name.
    Replace(u64),
    /// A backup.
    Take,
}

/// A record as it was found in a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: u64,
    /// The revision that wrote it.
    pub version: u64,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupTold {
    /// It was written at this revision.
    Written(u64),
    /// The blob is there.
    Put,
    /// The backup says that it is of this revision, and restored it is this: these records, and these blobs, whole.
    Restored(u64, Vec<Saved>, Vec<u64>),
    /// All of the backup came, and it could not be restored.
    Unfit(String),
}

/// Everything about backups.
pub type BackupJournal = Journal<BackupAsked, BackupTold>;

/// Works until the storm is over.
pub async fn run(mut client: Client, shared: Rc<Shared>) {
    let journal = &shared.journals.backup;
    while shared.phase.get() <= Phase::Storm {
        client.think(THINK_MS_MAX).await;
        if shared.phase.get() != Phase::Storm {
            continue;
        }
        if client.rng.random_bool(0.1) {
            let value = shared.history.fresh_value();
            client
                .attempt(journal, BackupAsked::Put(value), put(&client, format!("{BLOB}{value}"), value))
                .await;
        } else if client.rng.random_bool(0.9) {
            let key = KEYS[client.rng.random_range(0..KEYS.len())];
            let value = shared.history.fresh_value();
            client.attempt(journal, BackupAsked::Write(key, value), write(&client, key, value)).await;
        } else if client.rng.random_bool(0.3) {
            let value = shared.history.fresh_value();
            client
                .attempt(journal, BackupAsked::Replace(value), put(&client, REPLACED.to_owned(), value))
                .await;
        } else if client.rng.random_bool(0.2) {
            let slow = unhurried(take(&client, slowly(&shared)));
            client.attempt_within(2 * SLOW_DEADLINE, journal, BackupAsked::Take, slow).await;
        } else {
            client.attempt(journal, BackupAsked::Take, hurried(take(&client, ready(())))).await;
        }
    }
}

/// Takes one more, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let taken =
        client.attempt(&shared.journals.backup, BackupAsked::Take, hurried(take(client, ready(())))).await;
    matches!(taken, Outcome::Done(_))
}

async fn write(client: &Client, key: &str, value: u64) -> Result<BackupTold, Fault> {
    let request = WriteRequest::new(SAVED.path(), key, value.to_string());
    Ok(BackupTold::Written(client.door.put(request, None).await?))
}

/// Does nothing for as long as a slow client does, or until the storm is over.
async fn slowly(shared: &Shared) {
    let until = Instant::now() + SLOW;
    while Instant::now() < until && shared.phase.get() <= Phase::Storm {
        sleep(Duration::from_secs(1)).await;
    }
}

/// Gives up on a slow backup.
async fn unhurried<T>(request: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let late = || Fault::new(Code::Timeout, "the slow client has given up");
    timeout(SLOW_DEADLINE, request).await.unwrap_or_else(|_| Err(late()))
}

async fn put(client: &Client, name: String, value: u64) -> Result<BackupTold, Fault> {
    let content = Bytes::from(value.to_string().repeat(100));
    hurried(client.door.put_blob(&name, content, BLOB_COPIES)).await?;
    Ok(BackupTold::Put)
}

/// Takes one, with a `pause` before the first part.
async fn take(client: &Client, pause: impl Future<Output = ()>) -> Result<BackupTold, Fault> {
    let mut backup = client.door.backup().await?;
    let mut bytes = Vec::new();
    pause.await;
    while let Some(chunk) = backup.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    if (bytes.len() as u64) < backup.bytes() {
        return Err(Fault::new(Code::Unavailable, "the backup ends early"));
    }
    let revision = backup.facts().revision;
    let restored = restored(&bytes).map(|(saved, blobs)| BackupTold::Restored(revision, saved, blobs));
    Ok(restored.unwrap_or_else(|fault| BackupTold::Unfit(fault.to_string())))
}

/// What a mesh made of the backup begins with.
fn restored(backup: &[u8]) -> Result<(Vec<Saved>, Vec<u64>), Fault> {
    let unfit = |error: &dyn std::fmt::Display| Fault::new(Code::Failed, error.to_string());
    let storage = memory::open(&MemoryDisk::new(), Arc::new(VirtualTime)).map_err(|error| unfit(&error))?;
    let restoration = Restoration::open(backup).map_err(|error| unfit(&error))?;
    let rest =
        restoration.restore(&storage, NodeId(1), &[Family::Auth], |_| ()).map_err(|error| unfit(&error))?;
    if let Some(mut rest) = rest {
        blob_archive::unpack(&mut rest, Some(&*storage.blobs), |_| ()).map_err(|error| unfit(&error))?;
    }
    let saved = |record: Record| {
        let (value, Record { key, version, .. }) = (number(&record.value.0)?, record);
        Ok(Saved { key, value, version })
    };
    let records = store::records(&*storage.state, &SAVED.path())?.into_iter().map(saved);
    Ok((records.collect::<Result<_, Fault>>()?, blobs(&storage)?))
}

/// The blobs that the restored state names, all of which have to be there.
fn blobs(storage: &Storage) -> Result<Vec<u64>, Fault> {
    let mut blobs = Vec::new();
    for (name, hash) in blobs_of(&*storage.state)? {
        let there = storage.blobs.open(hash).map_err(|error| Fault::new(Code::Failed, error.to_string()))?;
        if there.is_none() {
            return Err(Fault::new(
                Code::Failed,
                format!("blob {name} is named, and its bytes are not there"),
            ));
        }
        blobs.extend(name.strip_prefix(BLOB).and_then(|value| value.parse::<u64>().ok()));
    }
    Ok(blobs)
}
