//! Nodes that have lost each other, and are told where the other is.

use anyhow::{Context, ensure};
use micro_tests::{Answer, Cluster, get_as, send, until};
use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};
use tokio::time::sleep;

const SOON: Duration = Duration::from_secs(30);

/// A loopback address whose UDP port nobody has just now.
fn free() -> anyhow::Result<SocketAddr> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}

/// `POST path` with a bearer token.
async fn post_as(address: SocketAddr, path: &str, json: &str, token: &str) -> anyhow::Result<Answer> {
    let head = format!("POST {path} HTTP/1.0\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n");
    let length = json.len();
    let request = format!("{head}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{json}");
    send(address, request.as_bytes()).await
}

async fn sees(cluster: &Cluster, index: usize, name: &str) -> anyhow::Result<()> {
    until(&format!("{name} is ready on {index}"), SOON, async || {
        let status = cluster.status(index).await?;
        let nodes = status["nodes"].as_array().context("status has no nodes")?;
        let ready = nodes.iter().any(|node| node["name"] == name && node["state"] == "ready");
        ensure!(ready, "{nodes:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn nodes_that_moved_while_the_other_was_down_are_linked_by_an_address_and_stay_so() -> anyhow::Result<()>
{
    let mut cluster = Cluster::of(2).await?;
    cluster.stop().await?;
    let (alpha, bravo) = (free()?, free()?);
    cluster.members[1].spawn(&["--mesh-listen".to_owned(), bravo.to_string()])?;
    cluster.members[0].start(&["--mesh-listen".to_owned(), alpha.to_string()]).await?;
    // The one that does not vote is not ready before it has heard of the other.
    let cli = cluster.cli(0)?;
    let status = cluster.status(0).await?;
    ensure!(
        status["nodes"].as_array().is_some_and(|nodes| nodes.iter().any(|node| node["state"] == "down")),
        "{status}"
    );

    let told = cli.json(&["network", "connect", &bravo.to_string(), "-o", "json"]).await?;
    let item = &told["items"][0];
    ensure!(item["node"] == "bravo" && item["connected"] == true && told["summary"]["failed"] == 0, "{told}");
    cluster.members[1].wait_ready().await?;
    sees(&cluster, 0, "bravo").await?;
    sees(&cluster, 1, "alpha").await?;
    // By a name, and though they are linked already.
    let name = format!("localhost:{}", bravo.port());
    ensure!(cli.ok(&["network", "connect", &name]).await?.contains("bravo"));

    // What was found is kept every other second. Then both can start again, and find each other.
    sleep(Duration::from_secs(3)).await;
    cluster.stop().await?;
    cluster.members[1].spawn(&[])?;
    cluster.members[0].start(&[]).await?;
    cluster.members[1].wait_ready().await?;
    sees(&cluster, 0, "bravo").await
}

#[tokio::test]
async fn what_is_no_other_node_of_the_mesh_is_refused_with_what_to_do() -> anyhow::Result<()> {
    let (cluster, other) = (Cluster::of(1).await?, Cluster::of(1).await?);
    let cli = cluster.cli(0)?;
    let at = cluster.members[0].at().clone();
    let (own, foreign, nobody) =
        (at.mesh.to_string(), other.members[0].at().mesh.to_string(), free()?.to_string());
    for (address, code, said) in [
        (own.as_str(), 2, "this node itself"),
        (&foreign, 6, "it is of another mesh"),
        (&nobody, 3, "nothing answers"),
        ("nowhere.invalid:8443", 3, "look up"),
        ("10.0.0.2", 2, "port"),
    ] {
        let outcome = cli.run(&["network", "connect", address]).await?;
        ensure!(outcome.code == code && outcome.stderr.contains(said), "{address}: {outcome:?}");
        ensure!(outcome.stderr.contains("help: ") || code == 2, "{address}: {outcome:?}");
    }
    // Each of several is tried, and the document tells of each.
    let outcome = cli.run(&["network", "connect", &own, &foreign, "-o", "json"]).await?;
    ensure!(outcome.code == 2, "{outcome:?}");
    let document: serde_json::Value = serde_json::from_str(outcome.stdout.trim())?;
    ensure!(document["summary"]["failed"] == 2 && document["items"][1]["connected"] == false, "{document}");

    // The same over HTTP, with the same right.
    let secret = fs::read_to_string(&at.admin_secret_file)?;
    let body = serde_json::json!({ "address": foreign }).to_string();
    let answer = post_as(at.api, "/-/v1/network/connect", &body, secret.trim()).await?;
    ensure!(answer.status == 409 && answer.body.contains("another mesh"), "{answer:?}");
    let answer = get_as(at.api, "/-/v1/network/connect", secret.trim()).await?;
    ensure!(answer.status == 405, "it changes something: {answer:?}");
    Ok(())
}
