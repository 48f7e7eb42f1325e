//! A backup of the whole mesh, on its way from a node.

use super::{Node, node::Stake};
use crate::{
    proto::{self, BackupResponse},
    wire::{Code, Fault},
};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::timeout;
use tonic::Streaming;

/// How long the first part may take: the node copies its state first, and reads all of it.
const COPY_TIMEOUT: Duration = Duration::from_secs(600);
/// How long any later part may take.
const PART_TIMEOUT: Duration = Duration::from_secs(60);

/// A backup that is being taken. Its parts, one behind the other, are the backup; without the last one it is none.
#[derive(Debug)]
pub struct Backup {
    node: Node,
    answers: Streaming<BackupResponse>,
    next: Option<Bytes>,
    bytes: u64,
}

impl Node {
    /// Takes a backup of the mesh's state, as of a moment after this was asked, and of its blobs.
    ///
    /// # Errors
    /// `Unavailable` without quorum, `Denied`; else as every request.
    pub async fn backup(&self) -> Result<Backup, Fault> {
        self.take_backup(false).await
    }

    /// The same without the blobs: who restores it has their names, and puts their bytes anew.
    ///
    /// # Errors
    /// As [`backup`](Self::backup).
    pub async fn backup_without_blobs(&self) -> Result<Backup, Fault> {
        self.take_backup(true).await
    }

    async fn take_backup(&self, without_blobs: bool) -> Result<Backup, Fault> {
        let mut client = self.client();
        let request = self.request(proto::BackupRequest { without_blobs })?;
        let begun = async {
            let mut answers = client.backup(request).await?.into_inner();
            let first = answers.message().await?;
            Ok::<_, tonic::Status>((answers, first))
        };
        let begun = timeout(COPY_TIMEOUT, begun).await.map_err(|_| late(COPY_TIMEOUT))?;
        let (answers, first) = begun.map_err(|status| self.fault(Stake::Read, COPY_TIMEOUT, status))?;
        let BackupResponse { chunk, bytes } = first
            .ok_or_else(|| Fault::new(Code::Unavailable, "the node ended the backup before it began"))?;
        Ok(Backup { node: self.clone(), answers, next: Some(chunk), bytes })
    }
}

impl Backup {
    /// How many bytes it has in all.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next part; none behind the last.
    ///
    /// # Errors
    /// Why there is no backup after all.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        if let Some(next) = self.next.take() {
            return Ok(Some(next));
        }
        let answer = timeout(PART_TIMEOUT, self.answers.message()).await.map_err(|_| late(PART_TIMEOUT))?;
        let answer = answer.map_err(|status| self.node.fault(Stake::Read, PART_TIMEOUT, status))?;
        Ok(answer.map(|answer| answer.chunk))
    }
}

fn late(after: Duration) -> Fault {
    Fault::new(Code::Timeout, format!("the node sent no part of the backup for {} s", after.as_secs()))
        .help("look at its load and its disk, or take the backup through another node")
}
