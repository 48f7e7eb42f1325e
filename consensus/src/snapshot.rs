//! Snapshots on their way: a handle for openraft, the manifest as it is sent, and the making of one.

use crate::{
    entry::{AppliedRecord, decode, garbled},
    raft::{Group, Snapshot, SnapshotMeta},
    replica::Replica,
};
use bincode::{Decode, Encode};
use micro_storage::{Manifest, ManifestFile};
use openraft::storage::RaftSnapshotBuilder;
use std::{io, time::Duration};
use tokio::time::sleep;

/// The pause after a snapshot for which the disk had no room.
const ROOM_PAUSE: Duration = Duration::from_secs(5);

/// The files of a snapshot in this node's snapshot store; their bytes stay there.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotHandle {
    pub manifest: Manifest,
}

/// A manifest as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ManifestRecord {
    pub id: String,
    pub applied: Vec<u8>,
    pub files: Vec<(String, u64, u32)>,
}

impl From<&Manifest> for ManifestRecord {
    fn from(manifest: &Manifest) -> Self {
        let files = manifest.files.iter();
        ManifestRecord {
            id: manifest.id.clone(),
            applied: manifest.applied.to_vec(),
            files: files.map(|file| (file.name.clone(), file.bytes, file.crc32c)).collect(),
        }
    }
}

impl From<ManifestRecord> for Manifest {
    fn from(record: ManifestRecord) -> Self {
        let files = record.files.into_iter();
        Manifest {
            id: record.id,
            applied: record.applied.into(),
            files: files.map(|(name, bytes, crc32c)| ManifestFile { name, bytes, crc32c }).collect(),
        }
    }
}

/// What openraft knows of the snapshot with this manifest, read from the copy itself: entries applied while the copy
/// was made may be in it.
pub(crate) fn snapshot(manifest: Manifest) -> io::Result<Snapshot> {
    if manifest.applied.is_empty() {
        return Err(garbled("a snapshot does not say how far it goes"));
    }
    let (last_log_id, last_membership) = decode::<AppliedRecord>(&manifest.applied)?.restore()?;
    let meta = SnapshotMeta { last_log_id, last_membership };
    Ok(Snapshot { meta, snapshot: SnapshotHandle { manifest } })
}

impl Replica {
    /// Makes a copy of the state the current snapshot. For whoever has the snapshot turn.
    pub(crate) async fn make_snapshot(&self) -> io::Result<Manifest> {
        let id = self.next_snapshot_id();
        let (snapshots, state) = (self.snapshots(), self.state());
        self.blocking(move || {
            let manifest = snapshots.create(&id)?;
            // The log is purged up to the snapshot next. What is purged must not be needed after a power cut, so the
            // state itself has to be on disk as far as the snapshot goes.
            state.flush()?;
            Ok(manifest)
        })
        .await
    }

    /// The same with a turn of its own, and a new try each time that the disk is full: Raft would end of that, and what
    /// it is made for is to give room back. A start that needs one fails instead, and says why.
    async fn make_snapshot_once_there_is_room(&self) -> io::Result<Manifest> {
        loop {
            let made = {
                let _turn = self.snapshot_turn().await;
                self.make_snapshot().await
            };
            match made {
                Err(error) if error.kind() == io::ErrorKind::StorageFull && self.raft_is_up() => {
                    tracing::warn!(%error, "no snapshot is made: the disk is full");
                    sleep(ROOM_PAUSE).await;
                }
                made => return made,
            }
        }
    }

    /// The same, and reads all of it: a copy is made of files as they are, and one that has rotted is noticed only by
    /// who reads it. For whoever has the snapshot turn.
    pub(crate) async fn make_whole_snapshot(&self) -> io::Result<Manifest> {
        let manifest = self.make_snapshot().await?;
        let (snapshots, made) = (self.snapshots(), manifest.clone());
        self.blocking(move || snapshots.verify(&made)).await?;
        Ok(manifest)
    }
}

impl RaftSnapshotBuilder<Group> for Replica {
    type SnapshotData = SnapshotHandle;

    async fn build_snapshot(&mut self) -> Result<Snapshot, io::Error> {
        let manifest = self.make_snapshot_once_there_is_room().await?;
        tracing::info!(id = %manifest.id, files = manifest.files.len(), "snapshot made");
        snapshot(manifest)
    }
}
