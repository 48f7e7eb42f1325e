//! Clients that write records and back the mesh up; each backup is restored at once, and looked at.

use super::{Client, Journal, Outcome, Table};
use crate::{
    door::number,
    machine::{Phase, Shared},
    seams::VirtualTime,
};
use micro_actors::store::{self, Record, WriteRequest};
use micro_consensus::Restoration;
use micro_sdk::wire::{Code, Fault, NodeId};
use micro_storage::{
    Family,
    memory::{self, MemoryDisk},
};
use rand::Rng;
use std::{rc::Rc, sync::Arc};

/// Where the records lie.
const SAVED: Table = Table("saved");
/// Their keys: few, so that backups show most of them changed.
const KEYS: [&str; 5] = ["s0", "s1", "s2", "s3", "s4"];
/// The longest pause between two requests.
const THINK_MS_MAX: u64 = 300;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackupAsked {
    /// To write a value that nobody else writes under a key.
    Write(&'static str, u64),
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
    /// The backup says that it is of this revision, and restored it is this.
    Restored(u64, Vec<Saved>),
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
        if client.rng.random_bool(0.9) {
            let key = KEYS[client.rng.random_range(0..KEYS.len())];
            let value = shared.history.fresh_value();
            client.attempt(journal, BackupAsked::Write(key, value), write(&client, key, value)).await;
        } else {
            client.attempt(journal, BackupAsked::Take, take(&client)).await;
        }
    }
}

/// Takes one more, when nothing is asked any more.
pub async fn last(client: &Client, shared: &Shared) -> bool {
    let taken = client.attempt(&shared.journals.backup, BackupAsked::Take, take(client)).await;
    matches!(taken, Outcome::Done(_))
}

async fn write(client: &Client, key: &str, value: u64) -> Result<BackupTold, Fault> {
    let request = WriteRequest::new(SAVED.path(), key, value.to_string());
    Ok(BackupTold::Written(client.door.put(request, None).await?))
}

async fn take(client: &Client) -> Result<BackupTold, Fault> {
    let mut backup = client.door.backup().await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = backup.chunks.recv().await {
        bytes.extend_from_slice(&chunk.map_err(|error| Fault::new(Code::Unavailable, error.to_string()))?);
    }
    if (bytes.len() as u64) < backup.bytes {
        return Err(Fault::new(Code::Unavailable, "the backup ends early"));
    }
    let restored = restored(&bytes).map(|saved| BackupTold::Restored(backup.facts.revision, saved));
    Ok(restored.unwrap_or_else(|fault| BackupTold::Unfit(fault.to_string())))
}

/// What a mesh made of the backup begins with.
fn restored(backup: &[u8]) -> Result<Vec<Saved>, Fault> {
    let unfit = |error: &dyn std::fmt::Display| Fault::new(Code::Failed, error.to_string());
    let storage = memory::open(&MemoryDisk::new(), Arc::new(VirtualTime)).map_err(|error| unfit(&error))?;
    let restoration = Restoration::open(backup).map_err(|error| unfit(&error))?;
    restoration.restore(&storage, NodeId(1), &[Family::Auth], |_| ()).map_err(|error| unfit(&error))?;
    let saved = |record: Record| {
        let (value, Record { key, version, .. }) = (number(&record.value.0)?, record);
        Ok(Saved { key, value, version })
    };
    store::records(&*storage.state, &SAVED.path())?.into_iter().map(saved).collect()
}
