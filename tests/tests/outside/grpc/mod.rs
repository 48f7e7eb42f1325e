//! gRPC as other people's programs speak it: Python's client and server, which know nothing of this project.

mod corpus;
mod mute;
mod protobuf;

use anyhow::{Context, bail, ensure};
use micro_tests::{Cluster, Greeter, Member, Python, until};
use serde_json::Value;
use std::{fs, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::timeout,
};

/// For what has to become true, but promises no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Has the client make checks at an address, by name; what follows the name is for them.
pub(crate) async fn check(checks: &str, address: &str, token: Option<&str>) -> anyhow::Result<()> {
    let mut command = Python::with_clients().await?.client("grpc_client.py");
    command.args(checks.split(' ').take(1)).arg(address).args(checks.split(' ').skip(1));
    if let Some(token) = token {
        command.env("MICRO_NODE_TOKEN", token);
    }
    let output = timeout(Duration::from_secs(120), command.output()).await.context(checks.to_owned())??;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{checks} at {address}: {said}\n{failed}");
    Ok(())
}

/// Python's server on the host of a member, attached to it by itself.
pub(crate) async fn echo(member: &Member) -> anyhow::Result<Child> {
    let mut command = Python::with_clients().await?.client_beside(member, "grpc_echo.py");
    let socket = &member.at().socket;
    let mut server =
        command.arg(socket).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("echo")?;
    let mut lines = BufReader::new(server.stdout.take().context("it is piped")?).lines();
    match timeout(PATIENCE, lines.next_line()).await?? {
        Some(line) if line == "attached" => Ok(server),
        line => bail!("it said {line:?}"),
    }
}

async fn known(cluster: &Cluster, index: usize, service: &str) -> anyhow::Result<()> {
    until(service, PATIENCE, async || {
        let services = cluster.client(index).await?.services().await?;
        ensure!(services.iter().any(|found| found.name == service), "{service} is not known");
        Ok(())
    })
    .await
}

/// What Python's client of `acme.till.v1.Till` is answered by a service, which is sent protobuf.
async fn call(cluster: &Cluster, index: usize, service: &str) -> anyhow::Result<Value> {
    let mut command = Python::with_clients().await?.client("grpc_till.py");
    command.args(["call", &cluster.members[index].at().proxy.to_string(), service]);
    let output = timeout(PATIENCE, command.output()).await??;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn secret(cluster: &Cluster, index: usize) -> anyhow::Result<String> {
    Ok(fs::read_to_string(&cluster.members[index].at().admin_secret_file)?.trim().to_owned())
}

#[tokio::test]
async fn clients_of_grpc_find_all_that_they_expect_on_the_node_that_has_it_and_on_others()
-> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[1], false)?;
    let _echo = echo(&cluster.members[1]).await?;
    for index in 0..2 {
        known(&cluster, index, "helloworld").await?;
        known(&cluster, index, "py-echo").await?;
        let proxy = cluster.members[index].at().proxy.to_string();
        check("all", &proxy, Some(&secret(&cluster, index)?)).await?;
    }
    let socket = format!("unix:{}", cluster.members[0].at().socket.display());
    for checks in ["platform", "greeter", "streams"] {
        check(checks, &socket, None).await?;
    }
    // Who shows nothing is nobody in particular, whom a rule of the beginning lets call services from this host.
    let proxy = cluster.members[0].at().proxy.to_string();
    for checks in ["greeter", "metadata", "reflection", "health"] {
        check(checks, &proxy, None).await?;
    }
    let deleted = cluster.cli(0)?.run(&["auth", "delete", "rule", "loopback", "--yes"]).await?;
    ensure!(deleted.code == 0, "{}", deleted.stderr);
    until("the rule is gone", PATIENCE, async || check("denied", &proxy, None).await).await
}
