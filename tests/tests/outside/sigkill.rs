//! SIGKILL in a loop, under load.

use anyhow::Context;
use micro_tests::{Cluster, Writers, check_acknowledged};
use std::time::Duration;

/// How often a node is killed.
const KILLS: usize = 20;

/// Writers on each node. Enough to keep batches in flight at the moment of the kill.
const WRITERS: usize = 4;

/// What must be acknowledged between two kills: without it the loop would prove nothing.
const WRITES_BETWEEN: usize = 50;

#[tokio::test]
async fn twenty_kills_under_load_lose_no_acknowledged_write() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let mut clients = Vec::new();
    for index in 0..WRITERS * cluster.members.len() {
        clients.push(cluster.client(index % cluster.members.len()).await?);
    }
    let writers = Writers::start("kill", clients);
    for kill in 0..KILLS {
        writers.more(WRITES_BETWEEN).await.with_context(|| format!("before kill {kill}"))?;
        // Every other time the leader, who has the most to lose; else each in turn.
        let victim = match cluster.leader(kill % 3).await {
            Ok(leader) if kill % 2 == 0 => leader,
            _ => kill % 3,
        };
        cluster.members[victim].kill().await?;
        // Long enough that the others notice in some rounds, and not in others.
        tokio::time::sleep(Duration::from_millis(100 * (kill as u64 % 8))).await;
        cluster.members[victim].start(&[]).await?;
    }
    let acknowledged = writers.finish().await;
    println!("{} writes acknowledged over {KILLS} kills", acknowledged.len());
    for index in 0..cluster.members.len() {
        let name = cluster.members[index].name();
        check_acknowledged(&cluster.client(index).await?, &acknowledged)
            .await
            .with_context(|| format!("on {name}"))?;
    }
    Ok(())
}
