//! Metrics by `promtool`, which is Prometheus's own reader.

use super::known;
use anyhow::{Context, ensure};
use micro_tests::{Cluster, Greeter, get, post};
use std::process::Stdio;
use tokio::{io::AsyncWriteExt, process::Command};

#[tokio::test]
async fn prometheus_finds_no_fault_with_the_metrics() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    known(&cluster, "helloworld").await?;
    // Something of each kind has happened before they are read.
    cluster.cli(1)?.ok(&["store", "write", "k", "v"]).await?;
    let api = cluster.members[0].at().api;
    ensure!(post(api, "/helloworld/call", r#"{"name":"Jane"}"#).await?.status == 200, "it is called");
    ensure!(get(api, "/nobody/\"quoted\"").await?.status >= 400, "that is not there");
    for member in &cluster.members {
        let metrics = get(member.at().api, "/metrics").await?;
        let mut command = Command::new("promtool");
        command
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut tool = command.kill_on_drop(true).spawn().context("promtool")?;
        tool.stdin.take().context("it is piped")?.write_all(metrics.body.as_bytes()).await?;
        let output = tool.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.is_empty(), "{said}\n{}", metrics.body);
    }
    Ok(())
}
