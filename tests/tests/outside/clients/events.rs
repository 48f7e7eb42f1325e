//! Server-Sent Events by `eventsource`, which is what browsers have, as a program.

use super::secret;
use anyhow::Context;
use micro_tests::{Cluster, JavaScript};
use serde_json::Value;
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::ChildStdout,
    time::timeout,
};

/// For a connection that has broken to be there again: the client waits some seconds by itself.
const PATIENCE: Duration = Duration::from_secs(40);

/// The next line of the client that `wanted` finds something in, with all lines until then.
async fn next<T>(
    lines: &mut Lines<BufReader<ChildStdout>>,
    wanted: impl Fn(&Value) -> Option<T>,
) -> anyhow::Result<(T, Vec<Value>)> {
    let mut before = Vec::new();
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await;
        let line = line.with_context(|| format!("nothing came behind {before:?}"))??;
        let told: Value = serde_json::from_str(&line.with_context(|| format!("it ended: {before:?}"))?)?;
        if let Some(found) = wanted(&told) {
            return Ok((found, before));
        }
        before.push(told);
    }
}

/// The key of the one record that a line tells of.
fn key(told: &Value) -> Option<String> {
    Some(told["changes"]["changes"][0]["key"].as_str()?.to_owned())
}

#[tokio::test]
async fn a_page_sees_each_change_once_though_its_node_was_away() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let url = format!("http://{}/-/v1/store/watch", cluster.members[0].at().api);
    let mut client = JavaScript::with_clients().await?.client("events.js");
    client.arg(url).env("MICRO_NODE_TOKEN", secret(&cluster)?).stdout(Stdio::piped());
    let mut client = client.spawn().context("node")?;
    let mut lines = BufReader::new(client.stdout.take().context("it is piped")?).lines();
    let open = |told: &Value| told["open"].as_bool();
    next(&mut lines, open).await?;
    cluster.cli(0)?.ok(&["store", "write", "before", "1"]).await?;
    assert_eq!(next(&mut lines, key).await?.0, "before");

    cluster.members[0].stop().await?;
    cluster.members[0].start(&[]).await?;
    // The page may not be back yet: what it misses is told when it is.
    cluster.cli(0)?.ok(&["store", "write", "meanwhile", "2"]).await?;
    let (found, between) = next(&mut lines, key).await?;
    assert_eq!(found, "meanwhile", "{between:?}");
    cluster.cli(0)?.ok(&["store", "write", "after", "3"]).await?;
    let (found, between) = next(&mut lines, key).await?;
    assert_eq!(found, "after", "{between:?}");
    Ok(())
}
