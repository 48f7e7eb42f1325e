//! `micro-node registry`: a program that runs by itself, registered by somebody who does not stay.

use anyhow::{Context, ensure};
use micro_sdk::client::NewAccount;
use micro_tests::{Cluster, CommandLine, Greeter, get, get_as, until};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};

const SOON: Duration = Duration::from_secs(20);

/// A program that answers any request of HTTP with 200, until it is dropped.
struct Shop {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Shop {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    // A check only connects, and says nothing.
                    if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nopen";
                        let _gone = stream.write_all(answer).await;
                    }
                });
            }
        });
        Ok(Shop { address, serving })
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The one instance of `shop`, as the node knows it.
async fn instance(cli: &CommandLine) -> anyhow::Result<Value> {
    let shown = cli.json(&["registry", "get", "shop", "-o", "json"]).await?;
    let instances = shown["item"]["instances"].as_array().context("it has instances")?;
    ensure!(instances.len() == 1, "{shown}");
    Ok(instances[0].clone())
}

/// Waits until the node knows that it is so.
async fn becomes(cli: &CommandLine, state: &str) -> anyhow::Result<Value> {
    until(&format!("the shop is {state}"), SOON, async || {
        let known = instance(cli).await?;
        ensure!(known["health"]["state"] == state, "{known}");
        Ok(known)
    })
    .await
}

#[tokio::test]
async fn a_program_that_was_registered_is_checked_called_and_ended() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let (own, other) = (cluster.cli(0)?, cluster.cli(1)?);
    let shop = Shop::start().await?;
    let endpoint = shop.endpoint();
    let words = [
        "registry",
        "register",
        "--name",
        "shop",
        "--endpoint",
        &endpoint,
        "--version",
        "1.4",
        "--ttl",
        "1h",
    ];
    let words = [&words[..], &["--metadata", "zone=b", "--health-interval", "200ms", "-o", "json"]].concat();
    let registered = own.json(&words).await?;
    let (item, again) = (&registered["item"], own.json(&words).await?);
    ensure!(*item == again["item"], "it is the same one: {again}");
    ensure!(item["node"] == "alpha" && item["ttl_ms"] == 3_600_000, "{item}");

    let known = until("the other node knows it", SOON, async || instance(&other).await).await?;
    ensure!(known["id"] == item["instance"] && known["version"] == "1.4", "{known}");
    ensure!(known["metadata"]["zone"] == "b", "{known}");
    becomes(&other, "passing").await?;
    let answer = get(cluster.members[1].at().api, "/shop/carts").await?;
    ensure!(answer.status == 200 && answer.body == "open", "{answer:?}");
    for (verb, same) in [("list", &["services"][..]), ("get", &["services", "shop"])] {
        let words = [&["registry", verb][..], &same[1..]].concat();
        ensure!(other.ok(&words).await? == other.ok(same).await?, "{verb} shows something else");
    }
    let watched = other.json(&["registry", "watch", "shop", "--limit", "1", "-o", "jsonl"]).await?;
    ensure!(watched["action"] == "create" && watched["instance"]["id"] == item["instance"], "{watched}");

    // What its node checks, nobody can say otherwise.
    let outcome = own.run(&["registry", "report", "shop", "failing"]).await?;
    ensure!(outcome.code == 2 && outcome.stderr.contains("--health reported"), "{outcome:?}");
    ensure!(own.run(&["registry", "report", "shop", "passing"]).await?.code == 0);
    drop(shop);
    let known = becomes(&other, "failing").await?;
    ensure!(known["health"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{known}");

    // Only the node that it is at can end it.
    let outcome = other.run(&["registry", "deregister", "shop"]).await?;
    ensure!(outcome.code == 5, "{outcome:?}");
    let ended = own.json(&["registry", "deregister", "shop", "-o", "json"]).await?;
    ensure!(ended["summary"]["count"] == 1 && ended["items"][0]["instance"] == item["instance"], "{ended}");
    let outcome = own.run(&["registry", "deregister", "shop"]).await?;
    ensure!(outcome.code == 5 && outcome.stderr.contains("registry list"), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn whoever_registered_a_program_can_say_how_it_is() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, shop) = (cluster.cli(0)?, Shop::start().await?);
    let endpoint = shop.endpoint();
    let words = ["registry", "register", "--name", "shop", "--endpoint", &endpoint];
    let register = async |more: &[&str]| cli.run(&[&words[..], more].concat()).await;
    for (more, told) in [
        (&["--health", "command:true"][..], "micro-node service"),
        (&["--health", "soon"], "reported"),
        (&["--ttl", "1ms"], "time to live"),
        (&["--metadata", "a=1", "--metadata", "a=2"], "twice"),
    ] {
        let outcome = register(more).await?;
        ensure!(outcome.code == 2 && outcome.stderr.contains(told), "{more:?}: {outcome:?}");
    }
    let outcome = register(&["--health", "reported", "--ttl", "1h"]).await?;
    let id = outcome.stdout.trim().to_owned();
    ensure!(outcome.code == 0 && id.len() == 16, "{outcome:?}");
    ensure!(instance(&cli).await?["health"]["state"] == "unknown");
    let reported = cli.json(&["registry", "report", &id, "passing", "-o", "json"]).await?;
    ensure!(reported["item"]["instance"] == *id && reported["item"]["reported"] == "passing", "{reported}");
    becomes(&cli, "passing").await?;
    cli.ok(&["registry", "report", "shop", "failing", "--reason", "disk full"]).await?;
    let known = becomes(&cli, "failing").await?;
    ensure!(known["health"]["reason"] == "disk full", "{known}");
    ensure!(get(cluster.members[0].at().api, "/shop/carts").await?.status == 503, "it is called");
    ensure!(cli.ok(&["registry", "deregister", &id]).await?.contains("is gone"));
    Ok(())
}

#[tokio::test]
async fn who_registers_a_door_as_a_service_is_nobody_to_it() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    let (first, second) = (cluster.members[0].at(), cluster.members[1].at());
    let hello = "/helloworld/call?name=Jane";
    until("callers of this host may call it", SOON, async || {
        ensure!(get(first.api, hello).await?.status == 200 && get(second.api, hello).await?.status == 200);
        Ok(())
    })
    .await?;
    let acme = cluster.client(0).await?.with_namespace("acme".parse()?);
    let admin = NewAccount { scopes: vec!["admin".parse()?], ..NewAccount::default() };
    let secret = acme.auth().create_account("jane", admin).await?.secret.context("one was made")?;
    let jane = acme.auth().login("jane", &secret).await?;
    let rule = ["auth", "create", "rule", "own", "--scope", "*", "--resource", "service:*:*"];
    cluster.cli(0)?.ok(&[&["--namespace", "acme"][..], &rule].concat()).await?;
    // A door of its own node, and one of another on this host.
    for door in [first.api, second.api] {
        let cli = cluster.cli(0)?;
        let endpoint = format!("http://{door}");
        let offer = ["--name", "helloworld", "--endpoint", &endpoint, "--ttl", "1m", "--health", "none"];
        cli.ok(&[&["--namespace", "acme", "registry", "register"][..], &offer].concat()).await?;
        let answer = get_as(first.api, hello, jane.access.expose()).await?;
        ensure!(answer.status == 401 && !answer.body.contains("Hello"), "{} {}", answer.status, answer.body);
        cli.ok(&["--namespace", "acme", "registry", "deregister", "helloworld"]).await?;
    }
    Ok(())
}
