//! The developer's own programs: the demo and the cluster.

use anyhow::Context;
use micro_tests::{Ready, program};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

#[tokio::test]
async fn the_demo_gets_the_right_answers() -> anyhow::Result<()> {
    let output = Command::new(program("demo")?).stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(said.matches('✔').count() >= 8, "{said}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_prints_one_line_when_ready_and_ends_whole() -> anyhow::Result<()> {
    let mut cluster = Command::new(program("cluster")?)
        .args(["3", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(cluster.stdout.take().expect("piped")).lines();
    let line = timeout(Duration::from_secs(120), lines.next_line()).await??.context("it printed nothing")?;
    let mut document: serde_json::Value = serde_json::from_str(&line)?;
    let nodes: Vec<Ready> = serde_json::from_value(document["nodes"].take())?;
    assert_eq!(nodes.len(), 3);

    let pid = cluster.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it has a pid")?;
    kill_process(pid, Signal::TERM)?;
    let status = timeout(Duration::from_secs(60), cluster.wait()).await??;
    assert!(status.success(), "{status}");
    assert_eq!(lines.next_line().await?, None, "more than one line");
    for node in nodes {
        let pid = Pid::from_raw(node.pid.cast_signed()).context("a node has a pid")?;
        assert!(test_kill_process(pid).is_err(), "{} still runs", node.name);
    }
    Ok(())
}
