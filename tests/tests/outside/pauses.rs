//! Processes that are frozen for a while, as on hosts that swap or are migrated, and wake up as if nothing had been.

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use micro_sdk::{client::Node, wire::Code};
use micro_tests::{Cluster, post, until};
use rustix::process::Signal;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often the leader is frozen.
const PAUSES: usize = 5;
/// What is written while it is, one record after another: the others have to elect a leader first.
const WRITES: u64 = 20;
/// The reads that a frozen node has in its hands, and those that wait in its sockets.
const READS: usize = 20;
const SOON: Duration = Duration::from_secs(20);

/// Writes record `number` until somebody acknowledges it.
async fn write(node: &Node, number: u64) -> anyhow::Result<()> {
    until("a write", SOON, async || Ok(node.store().put(number.to_string(), "").await.map(drop)?)).await
}

/// Whether record `number` is there, by a linearizable read; none if it was refused, which is no lie.
async fn read(node: &Node, number: u64) -> anyhow::Result<Option<bool>> {
    match node.clone().with_timeout(SOON).store().get(number.to_string()).await {
        Ok(record) => Ok(Some(record.is_some())),
        Err(fault) => {
            ensure!(matches!(fault.code, Code::Unavailable | Code::Timeout), "{fault}");
            Ok(None)
        }
    }
}

/// Sends so many reads of an acknowledged record at once. Counts those that are answered: all of them find it.
async fn read_all(node: Node, number: u64) -> anyhow::Result<usize> {
    let found = try_join_all((0..READS).map(|_| read(&node, number))).await?;
    ensure!(
        !found.contains(&Some(false)),
        "record {number} was acknowledged, and a later read did not find it"
    );
    Ok(found.into_iter().flatten().count())
}

/// etcd, etcd#20418: a leader that was frozen answered linearizable reads from what it had before.
#[tokio::test]
async fn e_20418_a_leader_that_was_frozen_answers_no_read_with_the_past() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let (mut last, mut answered) = (0, 0);
    for pause in 0..PAUSES {
        let leader = until("a leader", SOON, async || cluster.leader(pause % 3).await).await?;
        let (frozen, other) = (cluster.client(leader).await?, cluster.client((leader + 1) % 3).await?);
        last += 1;
        write(&other, last).await?;
        ensure!(read(&frozen, last).await? == Some(true), "it answers while it leads");
        let before = tokio::spawn(read_all(frozen.clone(), last));
        sleep(Duration::from_micros(300 * pause as u64)).await;
        cluster.members[leader].signal(Signal::STOP)?;
        for _ in 0..WRITES {
            last += 1;
            write(&other, last).await?;
        }
        let after = tokio::spawn(read_all(frozen, last));
        // Until they lie in its socket.
        sleep(Duration::from_millis(100)).await;
        cluster.members[leader].signal(Signal::CONT)?;
        timeout(SOON, before).await.context("reads from before the pause")???;
        answered += timeout(SOON, after).await.context("reads from the pause")???;
    }
    println!("{answered} reads that waited for a frozen leader were answered, none with the past");
    ensure!(answered > 0, "no read was answered: nothing was shown");
    Ok(())
}

#[tokio::test]
async fn who_waits_for_a_lock_waits_on_when_the_store_stood_still_for_longer_than_its_place_lives()
-> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    let held = node.lock("nightly").ttl(Duration::from_secs(60)).acquire().await?;
    let places = node.store().database("coordination").table("lock-lines");
    let in_line = async || {
        let keys: Vec<_> =
            places.list("nightly/").await?.records.into_iter().map(|place| place.key).collect();
        ensure!(keys.len() == 2, "in line: {keys:?}");
        Ok(keys)
    };
    let waiter = node.clone();
    let waiting = tokio::spawn(async move {
        waiter.lock("nightly").ttl(Duration::from_secs(1)).acquire().await?.release().await
    });
    let before = until("it stands in line", SOON, in_line).await?;
    cluster.members[0].signal(Signal::STOP)?;
    sleep(Duration::from_secs(3)).await;
    cluster.members[0].signal(Signal::CONT)?;
    let again = async || {
        let keys = in_line().await?;
        ensure!(keys != before, "its place was not lost, or it has no other yet");
        Ok(())
    };
    until("it stands in line again", SOON, again).await?;
    ensure!(!waiting.is_finished(), "it has given up, or has what another holds");
    held.release().await?;
    timeout(SOON, waiting).await.context("it is its turn")???;
    Ok(())
}

#[tokio::test]
async fn nothing_is_asked_of_a_node_that_does_not_answer_any_more() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let (_one, _two) = (cluster.greeter(1).await?, cluster.greeter(2).await?);
    let api = cluster.members[0].at().api;
    until("both are known", SOON, async || {
        let services = cluster.client(0).await?.services().await?;
        let found = services.iter().find(|service| service.name == "helloworld");
        ensure!(found.is_some_and(|service| service.instances.len() == 2), "{services:?}");
        Ok(())
    })
    .await?;
    cluster.members[1].signal(Signal::STOP)?;
    // Gossip still takes it for alive then, and no other way leads there.
    until("its link counts as dead", SOON, async || {
        let status = cluster.status(0).await?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let paused = nodes.iter().find(|node| node["name"] == cluster.members[1].name());
        ensure!(paused.is_some_and(|node| node["path"].is_null()), "{status}");
        Ok(())
    })
    .await?;
    for number in 0..20 {
        let answer = post(api, "/helloworld/call", r#"{"name":"Jane"}"#).await?;
        ensure!(answer.status == 200, "call {number}: {answer:?}");
    }
    cluster.members[1].signal(Signal::CONT)
}
