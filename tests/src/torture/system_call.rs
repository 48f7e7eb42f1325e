//! System calls that fail, or are the last that a process makes: by strace, without a change of the program.

use crate::{Member, Writers, check_acknowledged, until};
use anyhow::{Context, bail, ensure};
use std::time::Duration;

/// How many writes are tried before a call that has not come is given up.
const WRITES_MAX: usize = 60;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tables of a new state are numbered from 1; this many are not made in the time.
const TABLES_MAX: usize = 60;

/// What happens at the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The process is killed as it makes the call.
    Killed,
    /// The call fails with an I/O error. The process must end by itself: after a sync that failed, nobody knows what is
    /// on the disk, and the next sync would lie.
    Fails,
}

/// One system call of a node.
#[derive(Clone, Copy, Debug)]
pub struct SystemCall {
    /// What strace calls it; `/^rename` is all whose names begin so.
    pub name: &'static str,
    /// Which one of those that a thread makes, from 1.
    pub number: usize,
}

impl SystemCall {
    /// Starts a new node of one, writes until the call comes and does its worst, starts the node again, and checks that
    /// all that was acknowledged is there. Returns whether the call came.
    ///
    /// # Errors
    /// If strace can't be used, the node goes on after an I/O error, does not start again, or has lost a write.
    pub async fn strikes(self, what: What) -> anyhow::Result<bool> {
        let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let mut member = Member::new(scratch.path(), "alpha", Vec::new())?;
        let worst = match what {
            What::Killed => "signal=KILL",
            What::Fails => "error=EIO",
        };
        let inject = format!("inject={}:{worst}:when={}", self.name, self.number);
        let trace = scratch.path().join("trace").display().to_string();
        member.wrap(["strace", "-f", "-qq", "-o", &trace, "-e", &inject].map(str::to_owned).to_vec());
        let acknowledged = match member.start(&[]).await {
            Ok(()) => write_until_it_ends(&mut member).await?,
            Err(error) => {
                ensure!(!member.is_running(), "it neither serves nor ends: {error}");
                Vec::new()
            }
        };
        let struck = !member.is_running();
        if !struck {
            member.stop().await?;
        } else if what == What::Fails {
            let code = member.ended().await?;
            ensure!(code != 0, "it ended as if all were well\n{}", member.last_words());
        }
        member.wrap(Vec::new());
        member.start(&[]).await.with_context(|| format!("after {self:?}"))?;
        let node = member.client().await?;
        check_acknowledged(&node, &acknowledged).await.with_context(|| format!("after {self:?}"))?;
        member.kill().await?;
        Ok(struck)
    }
}

async fn write_until_it_ends(member: &mut Member) -> anyhow::Result<Vec<String>> {
    let Ok(node) = member.client().await else {
        if member.is_running() {
            bail!("it is ready and does not answer");
        }
        return Ok(Vec::new());
    };
    let writers = Writers::start("call", [node]);
    let enough = until("an end", PATIENCE, async || {
        ensure!(!member.is_running() || writers.acknowledged() >= WRITES_MAX, "it goes on");
        Ok(())
    });
    enough.await?;
    Ok(writers.finish().await)
}

/// Has every sync of the tables of a new node's state fail, lets it write some, and checks that it ends by itself, and
/// has all that it acknowledged when it is started again.
///
/// # Errors
/// If strace can't be used, the node goes on, does not start again, or has lost a write.
pub async fn fail_syncs_of_the_state() -> anyhow::Result<()> {
    let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let mut member = Member::new(scratch.path(), "alpha", Vec::new())?;
    let state = member.data_dir().join("state");
    let trace = scratch.path().join("trace").display().to_string();
    let mut wrapper = ["strace", "-f", "-qq", "-o", &trace].map(str::to_owned).to_vec();
    wrapper.extend(["-e", "inject=fdatasync,fsync:error=EIO"].map(str::to_owned));
    for number in 1..=TABLES_MAX {
        wrapper.extend(["-P".to_owned(), state.join(format!("{number:06}.sst")).display().to_string()]);
    }
    member.wrap(wrapper);
    member.start(&[]).await?;
    let writers = Writers::start("sync", [member.client().await?]);
    writers.more(WRITES_MAX).await?;
    // Nobody writes any more: the node has to find out by itself.
    let acknowledged = writers.finish().await;
    // A backup makes tables of what is in memory.
    let backup = scratch.path().join("backup").display().to_string();
    let made = member.cli()?.run(&["cluster", "backup", &backup]).await?;
    ensure!(made.code != 0, "a backup was made of what is not on the disk");
    until("an end", PATIENCE, async || {
        ensure!(!member.is_running(), "it goes on");
        Ok(())
    })
    .await?;
    let (code, said) = (member.ended().await?, member.last_words());
    ensure!(code != 0 && said.contains("fdatasync"), "exit code {code}\n{said}");
    member.wrap(Vec::new());
    member.start(&[]).await?;
    check_acknowledged(&member.client().await?, &acknowledged).await?;
    member.kill().await
}
