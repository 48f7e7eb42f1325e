//! A disk that others fill while nodes write, and make room on again.

use crate::{Member, Writers, check_acknowledged, torture::LoopDisk, until};
use anyhow::{Context, ensure};
use std::{fs, path::PathBuf, process::Command, time::Duration};
use tempfile::TempDir;

/// The disk of all nodes: room for their logs, which are filled beforehand, for what they write, and for what they want
/// free before they take writes again.
const DISK_MEBIBYTES: u64 = 1024;
/// Writers on each node: enough to be in the midst of a batch when the room ends.
const WRITERS: usize = 4;
/// What must be acknowledged before the disk is filled, and after there is room again.
const WRITES: usize = 20;
/// From a disk that has filled, or has room again, until the nodes behave like it. They look five times a second.
const SOON: Duration = Duration::from_secs(30);
/// With so much left the nodes have seen it coming: none may end.
const SEEN_MEBIBYTES: u64 = 16;

/// A node or a mesh of them on one disk that is filled again and again.
pub struct FullDisk {
    members: Vec<Member>,
    acknowledged: Vec<String>,
    fills: usize,
    ended: usize,
    // Dropped in this order: nodes, disk, folder.
    disk: LoopDisk,
    _scratch: TempDir,
}

impl FullDisk {
    /// Starts `size` nodes, all on one disk. The first three vote.
    ///
    /// # Errors
    /// Without root, or if the nodes don't start.
    pub async fn over(size: usize) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let disk = LoopDisk::new(scratch.path(), DISK_MEBIBYTES)?;
        let members = disk.nodes(scratch.path(), size).await?;
        Ok(FullDisk { members, acknowledged: Vec::new(), fills: 0, ended: 0, disk, _scratch: scratch })
    }

    /// How many writes were acknowledged over all fills.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// How many times a node ended because not a byte was left for what it had begun.
    pub fn ended(&self) -> usize {
        self.ended
    }

    /// Lets others take all of the disk but `left` MiB while the nodes write, checks that they take no writes, answer
    /// reads and say why, makes room, and checks that they go on with all that was ever acknowledged. A node that saw
    /// it coming does not end; where nothing is left it may, since what can't be written can't be acknowledged.
    ///
    /// # Errors
    /// Names what did not happen, or the write that is gone.
    pub async fn once(&mut self, left: u64) -> anyhow::Result<()> {
        self.fills += 1;
        let round = format!("fill {} to {left} MiB", self.fills);
        let writers = Writers::start(&format!("fill-{:05}", self.fills), self.clients().await?);
        writers.more(WRITES).await?;
        let ballast = self.fill(left)?;
        let refused = self.all_refuse(left).await.with_context(|| round.clone());
        self.acknowledged.extend(writers.finish().await);
        refused?;
        fs::remove_file(ballast)?;
        self.ended += self.start_what_ended().await.with_context(|| round.clone())?;
        let writers = Writers::start(&format!("room-{:05}", self.fills), self.clients().await?);
        writers.more(WRITES).await.with_context(|| format!("{round}: there is room again"))?;
        self.acknowledged.extend(writers.finish().await);
        let reader = self.members[self.fills % self.members.len()].client().await?;
        // Its own replica may have to catch up first.
        let all = async || check_acknowledged(&reader, &self.acknowledged).await;
        until("all that was acknowledged", SOON, all).await.with_context(|| round)
    }

    async fn clients(&self) -> anyhow::Result<Vec<micro_sdk::Node>> {
        let mut clients = Vec::new();
        for number in 0..WRITERS * self.members.len() {
            clients.push(self.members[number % self.members.len()].client().await?);
        }
        Ok(clients)
    }

    /// Takes all that anybody may take but `left` MiB.
    fn fill(&self, left: u64) -> anyhow::Result<PathBuf> {
        let folder = self.disk.folder();
        let ballast = folder.join("ballast");
        let room = rustix::fs::statvfs(folder)?;
        // Root may use what the file system keeps for it, and the nodes run as root here.
        let bytes = (room.f_bfree * room.f_frsize).saturating_sub(left << 20);
        // The last blocks go to what describes the file itself, so that it may end short of them.
        Command::new("fallocate").args(["-l", &bytes.to_string()]).arg(&ballast).output()?;
        if left == 0 {
            let zeros = "if=/dev/zero";
            let rest = format!("of={}", ballast.display());
            Command::new("dd").args([zeros, &rest, "bs=4096", "oflag=append", "conv=notrunc"]).output()?;
        }
        Ok(ballast)
    }

    /// Waits until each node has ended, which it may where nothing was left, or refuses a write for its reason.
    async fn all_refuse(&mut self, left: u64) -> anyhow::Result<()> {
        for member in &mut self.members {
            until("no writes any more", SOON, async || {
                if !member.is_running() {
                    ensure!(left < SEEN_MEBIBYTES, "{} has ended\n{}", member.name(), member.last_words());
                    return Ok(());
                }
                let Ok(client) = member.client().await else { anyhow::bail!("it can't be reached") };
                let client = client.with_timeout(Duration::from_secs(2));
                let outcome = client.store().table("full").put("one", "more").await;
                ensure!(outcome.is_err(), "{} still takes writes", member.name());
                let status = member.cli()?.json(&["status", "-o", "json"]).await?;
                ensure!(status["problems"].to_string().contains("full"), "{}", status["problems"]);
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Starts the nodes again that have ended, and says how many these were.
    async fn start_what_ended(&mut self) -> anyhow::Result<usize> {
        let mut ended = 0;
        for member in &mut self.members {
            if !member.is_running() {
                ended += 1;
                member.spawn(&[])?;
            }
        }
        for member in &mut self.members {
            member.wait_ready().await?;
        }
        Ok(ended)
    }
}
