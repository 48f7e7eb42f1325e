//! Power cuts under load: all nodes at once, so that no other node can help.

use crate::{Member, Writers, check_acknowledged, torture::LoopDisk};
use anyhow::Context;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::sleep;

/// The disk of all nodes: room for their logs, which are filled beforehand, and for thousands of writes.
const DISK_MEBIBYTES: u64 = 1024;
/// Writers on each node: enough to keep batches in flight at the moment of the cut.
const WRITERS: usize = 4;
/// What must be acknowledged before a cut: without it the cut would prove nothing.
const WRITES_BEFORE: usize = 20;

/// A node or a mesh of them on a disk that loses its power again and again.
pub struct PowerCut {
    members: Vec<Member>,
    acknowledged: Vec<String>,
    cuts: usize,
    // Dropped in this order: nodes, disk, folder.
    disk: LoopDisk,
    _scratch: TempDir,
}

impl PowerCut {
    /// Starts `size` nodes, all on one disk. The first three vote.
    ///
    /// # Errors
    /// Without root, or if the nodes don't start.
    pub async fn over(size: usize) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let disk = LoopDisk::new(scratch.path(), DISK_MEBIBYTES)?;
        let members = disk.nodes(scratch.path(), size).await?;
        Ok(PowerCut { members, acknowledged: Vec::new(), cuts: 0, disk, _scratch: scratch })
    }

    /// How many writes were acknowledged over all cuts.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// Writes, cuts the power of all nodes, starts them again, and checks all that was ever acknowledged.
    ///
    /// # Errors
    /// Names the write that is gone, or the node that does not start.
    pub async fn once(&mut self) -> anyhow::Result<()> {
        self.cuts += 1;
        let mut clients = Vec::new();
        for number in 0..WRITERS * self.members.len() {
            clients.push(self.members[number % self.members.len()].client().await?);
        }
        let writers = Writers::start(&format!("cut-{:05}", self.cuts), clients);
        writers.more(WRITES_BEFORE).await?;
        // At another point of a batch each time.
        sleep(Duration::from_micros(700 * (self.cuts as u64 % 13))).await;
        self.disk.cut()?;
        for member in &mut self.members {
            member.kill().await?;
        }
        self.acknowledged.extend(writers.finish().await);
        self.disk.restore()?;
        for member in &mut self.members {
            member.spawn(&[])?;
        }
        for member in &mut self.members {
            member.wait_ready().await.with_context(|| format!("after cut {}", self.cuts))?;
        }
        let reader = self.members[self.cuts % self.members.len()].client().await?;
        check_acknowledged(&reader, &self.acknowledged)
            .await
            .with_context(|| format!("after cut {}", self.cuts))
    }
}
