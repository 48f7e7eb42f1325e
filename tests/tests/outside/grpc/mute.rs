//! Servers of gRPC that do not tell what their methods are, and those that tell something else once they are started
//! anew.

use super::{PATIENCE, call, known};
use anyhow::{Context, ensure};
use micro_tests::{Cluster, Member, Python, post, program, until};
use std::{
    net::{SocketAddr, TcpListener},
    process::Stdio,
};
use tokio::process::{Child, Command};

/// Python's server at an address, as `mute` or as one that tells (`listen`).
async fn started(cluster: &Cluster, how: &str, address: SocketAddr) -> anyhow::Result<Child> {
    let mut command = Python::with_clients().await?.client("grpc_till.py");
    command.args([how, &address.port().to_string()]).stdin(Stdio::null());
    if how == "listen" {
        command.arg(cluster.root().join("never.sick"));
    }
    Ok(command.kill_on_drop(true).spawn()?)
}

/// What the command line prints of `till` at a member.
async fn described(member: &Member) -> anyhow::Result<String> {
    let output = Command::new(program("micro-node")?)
        .args(["--address", &member.address(), "services", "till"])
        .env("MICRO_NODE_CONFIG", "/dev/null")
        .output()
        .await?;
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_methods_is_called_by_any_and_is_asked_again_once_it_is_another()
-> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut offer = Command::new(program("micro-node")?);
    offer.env("HOME", cluster.root()).env("MICRO_NODE_CONFIG", "/dev/null");
    offer.args(["--address", &cluster.members[0].address(), "service", "--name", "till"]);
    offer.args(["--endpoint", &format!("grpc://{address}"), "--health-interval", "1s"]);
    // Before the program is there: it is asked once it is.
    let _offer = offer.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;

    let mut mute = started(&cluster, "mute", address).await?;
    for index in 0..2 {
        known(&cluster, index, "till").await?;
        until("the mute one answers", PATIENCE, async || {
            let answer = call(&cluster, index, "till").await?;
            ensure!(answer["caller"] == "anonymous", "{answer}");
            Ok(())
        })
        .await?;
        let shown = described(&cluster.members[index]).await?;
        ensure!(shown.contains("any method of gRPC"), "{shown}");
        let refused = post(cluster.members[index].at().api, "/till/price", "{}").await?;
        assert_eq!(refused.status, 404, "{}", refused.body);
        ensure!(refused.body.contains("turn on reflection"), "{}", refused.body);
    }

    mute.kill().await.context("it runs")?;
    let _telling = started(&cluster, "listen", address).await?;
    for index in 0..2 {
        until("what it tells now is known", PATIENCE, async || {
            let answer = post(cluster.members[index].at().api, "/till/price", r#"{"count":"2"}"#).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
            Ok(())
        })
        .await?;
        let shown = described(&cluster.members[index]).await?;
        ensure!(shown.contains("acme.till.v1.Till.Price") && !shown.contains("any method"), "{shown}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_registered_before_its_program_was_there_is_asked_once_it_is() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let endpoint = format!("grpc://{address}");
    let register = ["registry", "register", "--name", "till", "--endpoint", &endpoint, "--ttl", "5m"];
    let registered = cluster.cli(0)?.run(&[&register[..], &["--health", "none"]].concat()).await?;
    ensure!(registered.code == 0, "{registered:?}");
    let mut mute = started(&cluster, "mute", address).await?;
    until("the mute one answers", PATIENCE, async || call(&cluster, 0, "till").await).await?;
    mute.kill().await?;
    let _telling = started(&cluster, "listen", address).await?;
    until("what it tells now is known", PATIENCE, async || {
        let answer = post(cluster.members[0].at().api, "/till/price", r#"{"count":"2"}"#).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(())
    })
    .await?;
    let gone = cluster.cli(0)?.run(&["registry", "deregister", "till"]).await?;
    ensure!(gone.code == 0, "{gone:?}");
    Ok(())
}

#[tokio::test]
async fn a_program_that_does_not_speak_grpc_is_not_offered_as_one_that_does() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            use std::io::Write;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let output = Command::new(program("micro-node")?)
        .env("MICRO_NODE_CONFIG", "/dev/null")
        .args(["--address", &cluster.members[0].address(), "service", "--name", "till"])
        .args(["--endpoint", &format!("grpc://{address}")])
        .stdin(Stdio::null())
        .output()
        .await?;
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{said}");
    ensure!(said.contains("does not speak gRPC") && said.contains("http://"), "{said}");
    Ok(())
}
