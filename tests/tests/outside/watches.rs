//! Watches of the command line while their node is away.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, program};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{Child, Command},
    time::timeout,
};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Waits for a line that holds `part`.
async fn told(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>, part: &str) -> anyhow::Result<String> {
    let told = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains(part) {
                return Ok(line);
            }
        }
        Err(anyhow::anyhow!("the command ended before it said {part:?}"))
    };
    timeout(SOON, told).await.with_context(|| format!("{part:?} was not said"))?
}

fn watch(address: &str, arguments: &[&str]) -> anyhow::Result<Child> {
    let mut command = Command::new(program("micro-node")?);
    command.args(["--address", address, "-v"]).args(arguments).stdin(Stdio::null());
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?)
}

#[tokio::test]
async fn a_watch_says_that_its_node_is_away_and_goes_on_when_it_is_back() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let address = cluster.members[0].address();
    let mut watches = Vec::new();
    for arguments in [&["store", "watch"][..], &["config", "watch"]] {
        let mut child = watch(&address, arguments)?;
        let mut remarks = BufReader::new(child.stderr.take().context("it is piped")?).lines();
        let changes = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        told(&mut remarks, "watching from").await?;
        watches.push((child, remarks, changes));
    }
    cluster.members[0].kill().await?;
    for (_, remarks, _) in &mut watches {
        told(remarks, "the node does not answer").await?;
    }
    cluster.members[0].start(&[]).await?;
    let node = cluster.client(0).await?;
    node.store().put("greeting", "hello").await?;
    node.config().set("shop.open", true).await?;
    for ((child, remarks, changes), told_of) in watches.iter_mut().zip(["greeting", "shop.open"]) {
        told(remarks, "the node answers again").await?;
        told(changes, told_of).await?;
        ensure!(child.try_wait()?.is_none(), "it ended");
    }
    Ok(())
}
