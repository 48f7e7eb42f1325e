//! Nodes on several hosts whose links are cut: traffic goes around.

use anyhow::ensure;
use micro_tests::{Greeter, Hosts, Member, until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::time::sleep;

/// From a change of the network until all go by it, on a machine that may be busy compiling.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// The port of the mesh on each host.
const PORT: u16 = 4800;

/// A mesh with a node on each of several hosts.
pub(super) struct Mesh {
    pub hosts: Hosts,
    pub members: Vec<Member>,
    pub root: TempDir,
}

impl Mesh {
    /// A node for each of these clouds.
    pub async fn start(clouds: &[&str]) -> anyhow::Result<Self> {
        let hosts = Hosts::new(clouds.len() as u8)?;
        let root = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
        let mut members: Vec<Member> = Vec::new();
        for (number, cloud) in (1..).zip(clouds) {
            let listen = format!("{}:{PORT}", hosts.address(number));
            let extra = ["--mesh-listen", &listen, "--cloud", cloud].map(str::to_owned);
            let name = format!("n{number}");
            let member = Member::new(root.path(), &name, extra.into())?.on_host(&hosts.name(number));
            members.push(member);
            let invitation = match number {
                1 => Vec::new(),
                _ => members[0].invite(&name).await?,
            };
            members[usize::from(number) - 1].start(&invitation).await?;
        }
        Ok(Mesh { hosts, members, root })
    }

    /// What the node on one host says of its way to that on another.
    pub async fn path(&self, from: u8, to: u8) -> anyhow::Result<String> {
        let nodes =
            self.members[usize::from(from) - 1].cli()?.json(&["network", "nodes", "-o", "json"]).await?;
        let found =
            nodes["items"].as_array().into_iter().flatten().find(|node| node["name"] == format!("n{to}"));
        Ok(found.and_then(|node| node["path"].as_str()).unwrap_or_default().to_owned())
    }

    /// Waits until the ways between two nodes begin so, in both directions.
    pub async fn gone(&self, one: u8, other: u8, how: &str) -> anyhow::Result<()> {
        until(&format!("n{one} and n{other} go {how}"), CHANGE_LIMIT, async || {
            for (from, to) in [(one, other), (other, one)] {
                let path = self.path(from, to).await?;
                ensure!(path.starts_with(how), "n{from} to n{to}: {path:?}");
            }
            Ok(())
        })
        .await
    }

    /// Calls the service from a host, as a program there would, until it is answered twenty times on end; how long it
    /// was between two answers at most, and how many calls failed.
    async fn calls(&self, from: u8) -> anyhow::Result<(Duration, usize)> {
        let client = self.members[usize::from(from) - 1].client().await?;
        let (mut last, mut gap, mut failed, mut row) = (Instant::now(), Duration::ZERO, 0, 0);
        let begun = last;
        while row < 20 {
            let hello = json!({"name": "Jane"});
            match client.call("helloworld", "Greeter.call", hello).timeout(Duration::from_secs(2)).await {
                Ok(answer) => {
                    ensure!(answer["msg"] == "Hello Jane", "{answer}");
                    gap = gap.max(last.elapsed());
                    (last, row) = (Instant::now(), row + 1);
                }
                Err(fault) => {
                    ensure!(begun.elapsed() < CHANGE_LIMIT, "no call gets through: {fault}");
                    (failed, row) = (failed + 1, 0);
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok((gap, failed))
    }
}

#[tokio::test]
async fn calls_go_around_each_link_that_is_cut_and_back_when_it_is_mended() -> anyhow::Result<()> {
    let mesh = Mesh::start(&["east", "east", "west", "west", "south"]).await?;
    let _greeter = Greeter::start(mesh.root.path(), &mesh.members[4], false)?;
    until("the service is known", CHANGE_LIMIT, async || {
        let services = mesh.members[0].client().await?.services().await?;
        ensure!(services.iter().any(|service| service.name == "helloworld"), "not yet");
        Ok(())
    })
    .await?;
    mesh.gone(1, 5, "direct ").await?;
    mesh.calls(1).await?;
    // One way after the other is cut, until a single one is left.
    for (cut, left) in [(1, "via "), (2, "via "), (3, "via n4")] {
        mesh.hosts.cut(cut, 5)?;
        let (gap, failed) = mesh.calls(1).await?;
        println!("n{cut} and n5 are cut off: {failed} calls failed, {gap:?} between two answers at most");
        mesh.gone(1, 5, left).await?;
    }
    let cli = mesh.members[0].cli()?;
    let explained = cli.json(&["network", "explain", "n1", "n5", "-o", "json"]).await?;
    ensure!(chosen_relays(&explained) == Some(&json!(["n4"])), "{explained}");
    let back = cli.json(&["network", "explain", "n5", "n1", "-o", "json"]).await?;
    ensure!(back["item"]["from"] == "n5" && chosen_relays(&back) == Some(&json!(["n4"])), "{back}");
    let pinged = cli.ok(&["network", "ping", "n5", "--count", "2", "--interval", "10ms"]).await?;
    ensure!(pinged.lines().count() == 2 && pinged.contains("n5 answers via n4 in "), "{pinged}");
    let called = cli.run(&["call", "helloworld", "call", "{\"name\":\"Jane\"}", "--trace"]).await?;
    ensure!(called.code == 0 && called.stderr.contains("micro-node → n1 → n4 → n5 ("), "{called:?}");
    let routes = cli.json(&["network", "routes", "--service", "helloworld", "-o", "json"]).await?;
    let route = &routes["items"][0];
    ensure!(route["link"] == "relayed" && route["gateway"] == "n4" && route["router"] == "n5", "{routes}");
    let drawn = cli.ok(&["network", "graph", "--dot"]).await?;
    ensure!(drawn.starts_with("graph mesh {") && drawn.contains("label=\"n5\""), "{drawn}");
    let connections = cli.json(&["network", "connections", "-o", "json"]).await?;
    ensure!(connections["summary"]["count"] == 3, "{connections}");

    mesh.hosts.mend(1, 5)?;
    mesh.gone(1, 5, "direct ").await?;
    let (_, failed) = mesh.calls(1).await?;
    ensure!(failed == 0, "{failed} calls failed though nothing was cut");
    Ok(())
}

/// The relays of the way that is gone, of all those that an explanation names.
fn chosen_relays(explained: &Value) -> Option<&Value> {
    let ways = explained["item"]["ways"].as_array()?;
    ways.iter().find(|way| way["chosen"] == true).map(|way| &way["relays"])
}
