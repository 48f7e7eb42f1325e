//! A backup of all that the mesh keeps: what it agrees on, and the blobs.

use crate::blob::Archive;
use bytes::Bytes;
use micro_consensus::{Backup, BackupFacts};
use micro_sdk::wire::{Code, Fault};

/// A backup on its way out. Its parts, one behind the other, are the backup; without the last one it is none.
pub struct MeshBackup {
    state: Backup,
    blobs: Option<Archive>,
}

impl MeshBackup {
    /// The state, and what blobs there are to follow it.
    pub(super) fn new(state: Backup, blobs: Option<Archive>) -> Self {
        MeshBackup { state, blobs }
    }

    /// What it is of.
    pub fn facts(&self) -> &BackupFacts {
        &self.state.facts
    }

    /// How many bytes it has in all.
    pub fn bytes(&self) -> u64 {
        self.state.bytes + self.blobs.as_ref().map_or(0, Archive::bytes)
    }

    /// The next part; none behind the last.
    ///
    /// # Errors
    /// Why there is no backup after all: [`Code::Failed`] if the state can't be read on, [`Code::Unavailable`] if no
    /// copy of a blob can be reached.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        match self.state.chunks.recv().await {
            Some(Ok(chunk)) => return Ok(Some(chunk)),
            Some(Err(error)) => {
                let message = format!("the backup ended early: {error}");
                return Err(Fault::new(Code::Failed, message).help("take it again"));
            }
            None => {}
        }
        match &mut self.blobs {
            Some(blobs) => blobs.next().await,
            None => Ok(None),
        }
    }
}
