//! SIGKILL in a loop, under load.

use anyhow::{Context, ensure};
use micro_sdk::Node;
use micro_tests::{Cluster, until};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::task::JoinSet;

/// How often a node is killed.
const KILLS: usize = 20;

/// Writers on each node. Enough to keep batches in flight at the moment of the kill.
const WRITERS: usize = 4;

/// What must be acknowledged between two kills: without it the loop would prove nothing.
const WRITES_BETWEEN: usize = 50;

/// The value of a key: 256 bytes that name it, so that a torn or mixed-up value is seen.
fn value_of(key: &str) -> String {
    format!("{key};").repeat(256).chars().take(256).collect()
}

/// Writes one key after another until told to stop; returns the acknowledged ones.
async fn write_on(node: Node, writer: String, stop: Arc<AtomicBool>, count: Arc<AtomicUsize>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let node = node.with_timeout(Duration::from_secs(3));
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{writer}-{number:06}");
        match node.store().table("cut").write(&key, value_of(&key)).await {
            Ok(_) => {
                acknowledged.push(key);
                count.fetch_add(1, Ordering::Relaxed);
            }
            // Refused or unknown: either way nothing was promised.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    acknowledged
}

async fn read_all(node: &Node) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut after = String::new();
    loop {
        let page = node.store().table("cut").list("").after(&after).await?;
        for record in page.records {
            after.clone_from(&record.key);
            found.insert(record.key, String::from_utf8(record.value.to_vec())?);
        }
        if !page.more {
            return Ok(found);
        }
    }
}

#[tokio::test]
async fn twenty_kills_under_load_lose_no_acknowledged_write() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let count = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for index in 0..cluster.members.len() {
        for writer in 0..WRITERS {
            let name = format!("{}-{writer}", cluster.members[index].name());
            writers.spawn(write_on(cluster.client(index).await?, name, stop.clone(), count.clone()));
        }
    }

    for kill in 0..KILLS {
        let before = count.load(Ordering::Relaxed);
        until("writes acknowledged", Duration::from_secs(30), async || {
            let new = count.load(Ordering::Relaxed) - before;
            ensure!(new >= WRITES_BETWEEN, "{new} before kill {kill}");
            Ok(())
        })
        .await?;
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

    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<String> = writers.join_all().await.into_iter().flatten().collect();
    println!("{} writes acknowledged over {KILLS} kills", acknowledged.len());
    for index in 0..cluster.members.len() {
        let name = cluster.members[index].name();
        let found =
            read_all(&cluster.client(index).await?).await.with_context(|| format!("reading on {name}"))?;
        for key in &acknowledged {
            let value =
                found.get(key).with_context(|| format!("{key} was acknowledged, and is gone on {name}"))?;
            ensure!(*value == value_of(key), "{key} reads {value} on {name}");
        }
    }
    Ok(())
}
