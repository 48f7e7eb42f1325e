//! System calls that fail, or are the last that a process makes: by strace, without a change of the program.

use crate::{Member, Writers, check_acknowledged, until};
use anyhow::{Context, bail, ensure};
use std::time::Duration;

/// How many writes are tried before a call that has not come is given up.
const WRITES_MAX: usize = 60;
/// How long they may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
