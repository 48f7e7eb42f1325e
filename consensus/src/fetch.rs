//! Fetching the state anew from another member, when that of this node is damaged, before the group is opened.
//!
//! The log and the vote are kept, so that no promise of this node is lost. The state is made of committed entries only,
//! and so is every copy of it: one that goes at least as far as the log was purged is as good, since the log has the
//! rest. Nothing is changed here until a copy has come that is whole.

use crate::{
    entry::{AppliedRecord, decode, garbled},
    errand::Errands,
    lanes::{next_frame, take_files},
    log::Log,
    message::{FetchAnswer, FetchAsk, put, take},
    raft::LogId,
    replica::blocking,
};
use micro_mesh::{Lane, LinkState, Mesh};
use micro_sdk::wire::{NodeId, Seams};
use micro_storage::{Manifest, Storage, StorageError};
use std::{io, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// How long a member is looked for that gives a copy: the others may have been started at the same moment, and dial
/// every five seconds. A supervisor of processes may then try it again.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a node that knows of no other: longer than the pause between two dials, should there be one after all.
const PATIENCE_ALONE: Duration = Duration::from_secs(6);
/// The pause between two rounds through the members.
const PAUSE: Duration = Duration::from_millis(500);
/// The rounds at most: as many as the patience holds.
const ROUNDS_MAX: u32 = 60;
/// How long a link and the answer to what was asked may take each: the other side makes a copy first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(20);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// A state that was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Who gave it.
    pub from: NodeId,
    /// The last entry in it.
    pub revision: u64,
    /// How long it is.
    pub bytes: u64,
}

/// Why no state was fetched. Nothing was changed, unless the storage failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody gave one.
    #[error("no other node gave a copy of the state: {0}")]
    NoGiver(String),
    /// The storage here failed.
    #[error("a copy of the state can't be kept: {0}")]
    Storage(String),
}

/// Why one member gave none.
enum Miss {
    /// Another may.
    Member(String),
    /// This node can't take one.
    Here(String),
}

fn here(error: impl std::fmt::Display) -> Miss {
    Miss::Here(error.to_string())
}

fn member(error: impl std::fmt::Display) -> Miss {
    Miss::Member(error.to_string())
}

/// Fetches the state anew into `storage`, whose own is damaged, from whichever member of the `mesh` gives it first. A
/// node that is `alone`, as far as it knows, does not wait for one for long.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch_state(
    mesh: &Mesh,
    storage: &Storage,
    seams: &Seams,
    alone: bool,
) -> Result<Fetched, FetchError> {
    let failed = |error: io::Error| FetchError::Storage(error.to_string());
    let log = Log::open(mesh.node(), storage.log.clone(), Errands::default()).map_err(failed)?;
    let mut fetch = Fetch { mesh, storage, seams, log };
    let patience = if alone { PATIENCE_ALONE } else { PATIENCE };
    let (until, mut why) = (Instant::now() + patience, "none is known, or none answers".to_owned());
    for _ in 0..ROUNDS_MAX {
        let routes = mesh.routes();
        for node in routes.iter().filter(|route| route.state == LinkState::Up).map(|route| route.node) {
            match fetch.from(node).await {
                Ok(fetched) => return Ok(fetched),
                Err(Miss::Here(error)) => return Err(FetchError::Storage(error)),
                Err(Miss::Member(error)) => {
                    why = format!("{node}: {error}");
                    tracing::warn!(%node, error, "this node gave no copy of the state");
                }
            }
        }
        if Instant::now() >= until {
            break;
        }
        sleep(PAUSE).await;
    }
    Err(FetchError::NoGiver(why))
}

struct Fetch<'a> {
    mesh: &'a Mesh,
    storage: &'a Storage,
    seams: &'a Seams,
    log: Log,
}

impl Fetch<'_> {
    async fn from(&mut self, node: NodeId) -> Result<Fetched, Miss> {
        let opened = self.mesh.open(node, Lane::Fetch, ANSWER_DEADLINE).await;
        let (mut sender, mut receiver) = opened.map_err(member)?;
        let at_least = self.log.purged().map_or(0, |purged| purged.index);
        let mut frame = Vec::new();
        put(&FetchAsk { at_least }, &mut frame);
        sender.send(&frame).await.map_err(member)?;
        let answer = timeout(ANSWER_DEADLINE, next_frame(&mut receiver)).await.map_err(member)?;
        let answer = answer.map_err(member)?.ok_or_else(|| member("it gave no answer"))?;
        let manifest = match take::<FetchAnswer>(answer).map_err(member)? {
            FetchAnswer::Given(manifest) => Manifest::from(manifest),
            FetchAnswer::Refused(why) => return Err(Miss::Member(why)),
        };
        let last = last_entry(&manifest).map_err(member)?;
        if last.index < at_least {
            return Err(member(format!("its state goes up to {}, and {at_least} is needed", last.index)));
        }
        let bytes = manifest.files.iter().map(|file| file.bytes).sum();
        tracing::info!(%node, revision = last.index, bytes, "fetching the state");
        self.take_in(&mut receiver, &manifest, bytes).await?;
        // Before the state is in place: else a start in between would find a log that can't belong to it.
        self.log.part_with_conflicts(last).await.map_err(here)?;
        let snapshots = self.storage.snapshots.clone();
        blocking(self.seams, move || snapshots.install(&manifest)).await.map_err(here)?;
        Ok(Fetched { from: node, revision: last.index, bytes })
    }

    /// Takes the files in, and reads all of what has come.
    async fn take_in(
        &self,
        receiver: &mut micro_mesh::FrameReceiver,
        manifest: &Manifest,
        bytes: u64,
    ) -> Result<(), Miss> {
        let (snapshots, begun) = (self.storage.snapshots.clone(), manifest.clone());
        blocking(self.seams, move || snapshots.receive(&begun)).await.map_err(here)?;
        let mut told = Instant::now();
        let tell = |taken: u64| {
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::info!(taken, bytes, "fetching the state");
            }
        };
        take_files(receiver, manifest, &self.storage.snapshots, self.seams, tell).await.map_err(member)?;
        let (snapshots, whole) = (self.storage.snapshots.clone(), manifest.clone());
        let checked = blocking(self.seams, move || Ok(snapshots.check(&whole))).await.map_err(here)?;
        checked.map_err(|error| match error {
            StorageError::Corrupt { .. } => member(format!("what it gave is damaged: {error}")),
            error => here(error),
        })
    }
}

/// The last entry that the copy shows.
fn last_entry(manifest: &Manifest) -> io::Result<LogId> {
    manifest.check()?;
    let last = decode::<AppliedRecord>(&manifest.applied)?.last;
    last.map(LogId::from).ok_or_else(|| garbled("the copy is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        entry::{LogIdRecord, log_id, to_record},
        raft::Entry,
    };
    use micro_sdk::wire::{Codec, Job, Timer};
    use micro_storage::{
        LogOp,
        memory::{self, MemoryDisk},
    };
    use openraft::EntryPayload;
    use std::sync::Arc;

    struct AtOnce;

    impl Timer for AtOnce {
        fn after(&self, _: Duration, job: Job) {
            job();
        }
    }

    fn at(term: u64, index: u64) -> LogId {
        log_id(term, NodeId(term), index)
    }

    /// A log that was purged up to `purged` and then holds entries of these terms, and what is left of it beside a copy
    /// whose last entry is `committed`: the terms, and the last entry as Raft sees it.
    async fn left(purged: (u64, u64), terms: &[u64], committed: (u64, u64)) -> (Vec<u64>, Option<LogId>) {
        let storage = memory::open(&MemoryDisk::new(), Arc::new(AtOnce)).expect("an empty disk opens");
        let mark = Codec::encode(&LogIdRecord::from(at(purged.0, purged.1))).into();
        let entries = (purged.1 + 1..).zip(terms);
        let entries =
            entries.map(|(index, term)| Entry { log_id: at(*term, index), payload: EntryPayload::Blank });
        let records = entries.map(|entry| to_record(&entry)).collect();
        for op in [LogOp::Purge { through: purged.1, mark }, LogOp::Append(records)] {
            storage.log.submit(op, Box::new(|done| done.expect("a healthy disk takes it")));
        }
        let mut log =
            Log::open(NodeId(1), storage.log.clone(), Errands::default()).expect("it was just written");
        log.part_with_conflicts(at(committed.0, committed.1)).await.expect("a healthy disk takes it");
        let again =
            Log::open(NodeId(1), storage.log.clone(), Errands::default()).expect("it was just written");
        assert_eq!(again.last(), log.last(), "what is left is on the disk");
        let records = storage.log.read(0..u64::MAX, usize::MAX).expect("a healthy disk gives it");
        (records.into_iter().map(|record| record.term).collect(), log.last())
    }

    #[tokio::test]
    async fn only_what_can_not_have_been_committed_is_given_up() {
        // The copy ends within the log, at an entry that is there: all that follows stays.
        assert_eq!(left((1, 10), &[1, 1, 2], (1, 11)).await, (vec![1, 1, 2], Some(at(2, 13))));
        // At its very beginning, and behind its end.
        assert_eq!(left((1, 10), &[1, 1, 2], (1, 10)).await, (vec![1, 1, 2], Some(at(2, 13))));
        assert_eq!(left((1, 10), &[1, 1, 2], (3, 20)).await, (vec![1, 1, 2], Some(at(2, 13))));
        // Another entry was committed in the place of one: that one and all behind it go.
        assert_eq!(left((1, 10), &[1, 2, 2, 2], (3, 12)).await, (vec![1], Some(at(1, 11))));
        assert_eq!(left((1, 10), &[2, 2], (3, 11)).await, (vec![], Some(at(1, 10))));
    }
}
