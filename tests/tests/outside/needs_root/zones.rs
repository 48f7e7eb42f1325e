//! Nodes on several hosts, in several zones and clouds, whose HTTP apis others reach: DNS names the nearest first.

use crate::http::tls::renew;
use anyhow::{Context, ensure};
use micro_tests::{Greeter, Hosts, Member, until};
use std::time::Duration;
use tokio::process::Command;

/// From a start until all is known everywhere, on a machine that may be busy compiling.
const KNOWN_LIMIT: Duration = Duration::from_secs(60);
// The ports of each host.
const MESH: u16 = 4800;
const API: u16 = 4443;
const DNS: u16 = 4053;
/// The cloud, the region and the zone of each node.
const PLACES: [[&str; 3]; 5] =
    [["a", "one", "x"], ["b", "one", "x"], ["a", "two", "x"], ["a", "one", "y"], ["a", "one", "x"]];

/// What a program on a host prints.
async fn on(hosts: &Hosts, host: u8, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", hosts.name(host))).args(words);
    let output = command.kill_on_drop(true).output().await.context("nsenter")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(said)
}

/// What DNS on a host says to a program there.
async fn asked(hosts: &Hosts, host: u8, name: &str, kind: &str) -> anyhow::Result<Vec<String>> {
    let port = DNS.to_string();
    let said = on(hosts, host, &["dig", "@127.0.0.1", "-p", &port, "+short", name, kind]).await?;
    Ok(said.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_service_is_looked_up_with_the_nearest_first() -> anyhow::Result<()> {
    let hosts = Hosts::new(5)?;
    let root = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    renew(root.path(), &["localhost"], "api")?;
    let file = |name: &str| root.path().join(name).display().to_string();
    let (mut members, mut greeters): (Vec<Member>, Vec<Greeter>) = (Vec::new(), Vec::new());
    for (number, [cloud, region, zone]) in (1..).zip(PLACES) {
        let (mesh, api) = (format!("{}:{MESH}", hosts.address(number)), format!("0.0.0.0:{API}"));
        let dns = format!("127.0.0.1:{DNS}");
        let (certificate, key) = (file("cert.pem"), file("key.pem"));
        let extra =
            ["--mesh-listen", &mesh, "--cloud", cloud, "--region", region, "--zone", zone, "--api", &api];
        let more = ["--api-tls-cert", &certificate, "--api-tls-key", &key, "--dns", &dns];
        let extra = [&extra[..], &more].concat().into_iter().map(str::to_owned).collect();
        let name = format!("n{number}");
        members.push(Member::new(root.path(), &name, extra)?.on_host(&hosts.name(number)));
        let invitation = match number {
            1 => Vec::new(),
            _ => members[0].invite(&name).await?,
        };
        let member = &mut members[usize::from(number) - 1];
        member.start(&invitation).await?;
        if number > 1 {
            greeters.push(Greeter::start(root.path(), member, false)?);
        }
    }
    let way = |distance: u8, node: u8| format!("{distance} 1 {API} api.n{node}.node.micro.");
    // The first node has none itself: it is named all the same, since it passes on what comes.
    let ways = [way(0, 1), way(1, 5), way(2, 4), way(3, 3), way(4, 2)];
    until("all are known in the first zone", KNOWN_LIMIT, async || {
        let mut found = asked(&hosts, 1, "helloworld.micro", "SRV").await?;
        found.sort();
        ensure!(found == ways, "{found:?}");
        Ok(())
    })
    .await?;
    // In the order in which they are sent: dig keeps it.
    assert_eq!(asked(&hosts, 1, "helloworld.micro", "SRV").await?, ways);
    let others = [5, 4, 3, 2].map(|host| hosts.address(host).to_string());
    let addresses = [&["127.0.0.1".to_owned()][..], &others].concat();
    assert_eq!(asked(&hosts, 1, "helloworld.micro", "A").await?, addresses);
    // In another cloud all of those are alike far, and it is the first itself.
    let found = asked(&hosts, 2, "helloworld.micro", "SRV").await?;
    ensure!(
        found[0] == way(0, 2) && found.len() == 4 && found[1..].iter().all(|way| way.starts_with("4 ")),
        "{found:?}"
    );
    // Each leads to a door.
    for node in 1..=5 {
        let name = format!("api.n{node}.node.micro");
        let address = asked(&hosts, 1, &name, "A").await?.pop().with_context(|| name.clone())?;
        let (url, resolved) = (format!("https://{name}:{API}/health"), format!("{name}:{API}:{address}"));
        on(&hosts, 1, &["curl", "-sSfk", "--noproxy", "*", "--max-time", "20", "--resolve", &resolved, &url])
            .await?;
    }
    // Who is gone is not named any more.
    members[4].kill().await?;
    until("the nearest is gone", KNOWN_LIMIT, async || {
        let found = asked(&hosts, 1, "helloworld.micro", "SRV").await?;
        ensure!(found == [way(0, 1), way(2, 4), way(3, 3), way(4, 2)], "{found:?}");
        Ok(())
    })
    .await
}
