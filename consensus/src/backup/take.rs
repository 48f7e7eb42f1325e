//! Taking a backup.

use super::{BackupFacts, Head, MAGIC};
use crate::{
    entry::{AppliedRecord, decode},
    replica::Replica,
    snapshot::ManifestRecord,
    snapshot_chunks::SnapshotChunks,
};
use bytes::{BufMut, Bytes, BytesMut};
use micro_sdk::wire::{ClusterId, Codec};
use ring::digest::{Context, SHA256};
use std::{io, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// How many chunks wait for whoever takes the backup.
const CHUNKS_WAITING: usize = 2;
/// How long nobody may take a chunk: the disk keeps a copy of the state for whoever takes the backup.
const STALL: Duration = Duration::from_secs(30);

/// A backup on its way out.
#[derive(Debug)]
pub struct Backup {
    /// What it is of.
    pub facts: BackupFacts,
    /// All of its bytes but those of the blobs, in order. An error ends it: what came before is no backup.
    pub chunks: mpsc::Receiver<io::Result<Bytes>>,
    /// How many bytes these are.
    pub bytes: u64,
}

/// Who takes it: for people who wonder years later what a file is.
pub(crate) struct Origin {
    pub cluster: ClusterId,
    pub node: String,
    pub version: String,
    pub time_ms: u64,
    /// Whether whoever takes it will put the blobs behind it.
    pub blobs: bool,
}

impl Backup {
    /// Copies the state as it is and starts to read the copy.
    ///
    /// # Errors
    /// If the copy can't be made.
    pub(crate) async fn take(replica: Replica, origin: Origin) -> io::Result<Backup> {
        let turn = replica.snapshot_turn().await;
        let manifest = replica.make_snapshot().await?;
        let copy = SnapshotChunks::open(&replica, &manifest).await?;
        drop(turn);
        let applied = decode::<AppliedRecord>(&manifest.applied)?;
        let Origin { cluster, node, version, time_ms, blobs } = origin;
        let revision = applied.last.map_or(0, |last| last.index);
        let head = Head {
            cluster,
            node,
            version,
            time_ms,
            revision,
            manifest: ManifestRecord::from(&manifest),
            blobs,
        };
        let facts = head.facts();
        let begin = begin(&head);
        let bytes = begin.len() as u64 + facts.state_bytes + super::DIGEST_BYTES as u64;
        let (sender, chunks) = mpsc::channel(CHUNKS_WAITING);
        let reading = Reading { copy, sender, digest: Context::new(&SHA256) };
        tokio::spawn(reading.run(begin));
        Ok(Backup { facts, chunks, bytes })
    }
}

/// Everything before the files.
fn begin(head: &Head) -> Bytes {
    let head = Codec::encode(head);
    let mut begin = BytesMut::with_capacity(MAGIC.len() + 4 + head.len());
    begin.put_slice(MAGIC);
    begin.put_u32(u32::try_from(head.len()).expect("a manifest has a bounded number of files"));
    begin.put_slice(&head);
    begin.freeze()
}

/// Reads the copy for whoever takes the backup.
struct Reading {
    copy: SnapshotChunks,
    sender: mpsc::Sender<io::Result<Bytes>>,
    digest: Context,
}

impl Reading {
    async fn run(mut self, begin: Bytes) {
        if let Err(error) = self.read(begin).await {
            tracing::warn!(%error, "a backup ended early");
            // If there is room: who is too slow for it sees the end come too early.
            drop(self.sender.try_send(Err(error)));
        }
    }

    async fn read(&mut self, begin: Bytes) -> io::Result<()> {
        self.hand_out(begin).await?;
        while let Some(chunk) = self.copy.next().await? {
            self.hand_out(chunk).await?;
        }
        let digest = std::mem::replace(&mut self.digest, Context::new(&SHA256)).finish();
        self.send(Bytes::copy_from_slice(digest.as_ref())).await
    }

    async fn hand_out(&mut self, chunk: Bytes) -> io::Result<()> {
        self.digest.update(&chunk);
        self.send(chunk).await
    }

    async fn send(&self, chunk: Bytes) -> io::Result<()> {
        match timeout(STALL, self.sender.send(Ok(chunk))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other("whoever took it went away")),
            Err(_) => Err(io::Error::other(format!("nobody took a part of it for {} s", STALL.as_secs()))),
        }
    }
}
