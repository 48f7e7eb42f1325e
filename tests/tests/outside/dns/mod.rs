//! The names of the mesh, as `dig`, `kdig`, Python's resolver and the command line look them up.

mod corpus;

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use micro_tests::{Cluster, Greeter, Plan, Python, get, until};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    process::Command,
    time::timeout,
};

/// For what has to become true, but promises no time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node with the example service.
pub(super) async fn with_greeter() -> anyhow::Result<(Cluster, Greeter)> {
    let cluster = Cluster::of(1).await?;
    let greeter = cluster.greeter(0).await?;
    Ok((cluster, greeter))
}

/// That a good query is answered.
pub(super) async fn good(dns: SocketAddr) -> anyhow::Result<()> {
    let said = tool("dig", dns, &["+short", "helloworld.micro"]).await?;
    ensure!(said.trim() == "127.0.0.1", "a good query is answered by {said:?}");
    Ok(())
}

/// What `dig` or `kdig` prints of a query to a server.
pub(crate) async fn tool(program: &str, dns: SocketAddr, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.arg(format!("@{}", dns.ip())).args(["-p", &dns.port().to_string()]).args(words);
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let output = output.with_context(|| format!("{program} does not end"))?;
    let output = output.with_context(|| format!("{program} is not there"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{program} {words:?}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said)
}

#[tokio::test]
async fn a_service_is_found_by_tools_that_know_only_dns() -> anyhow::Result<()> {
    let (cluster, greeter) = with_greeter().await?;
    let at = cluster.members[0].at();
    let dns = at.dns.context("it has DNS")?;
    for program in ["dig", "kdig"] {
        let ask = async |words: &[&str]| tool(program, dns, words).await;
        assert_eq!(ask(&["+short", "helloworld.micro", "A"]).await?.trim(), "127.0.0.1", "{program}");
        let way = format!("0 1 {} api.alpha.node.micro.", at.api.port());
        for name in ["helloworld.micro", "_http._tcp.helloworld.micro", "_helloworld._tcp.micro"] {
            assert_eq!(ask(&["+short", name, "SRV"]).await?.trim(), way, "{program} {name}");
        }
        let way = format!("0 1 {} proxy.alpha.node.micro.", at.proxy.port());
        assert_eq!(ask(&["+short", "_grpc._tcp.helloworld.micro", "SRV"]).await?.trim(), way);
        assert_eq!(ask(&["+short", "api.alpha.node.micro"]).await?.trim(), "127.0.0.1");
        let texts = ask(&["+short", "helloworld.micro", "TXT"]).await?;
        ensure!(texts.contains("\"version=") && texts.contains("\"instances=1\""), "{texts}");
        // There is no such name, and no such record: both come with how long that may be believed.
        let nobody = ask(&["nobody.micro"]).await?;
        ensure!(nobody.contains("NXDOMAIN") && nobody.contains("IN\tSOA\talpha.node.micro."), "{nobody}");
        for name in ["_ftp._tcp.helloworld.micro", "www.helloworld.micro", "_http._tcp.nobody.micro"] {
            let nobody = ask(&[name, "SRV"]).await?;
            ensure!(nobody.contains("NXDOMAIN") && nobody.contains("IN\tSOA\t"), "{name}: {nobody}");
        }
        let nothing = ask(&["helloworld.micro", "MX"]).await?;
        ensure!(nothing.contains("NOERROR") && nothing.contains("IN\tSOA\talpha.node.micro."), "{nothing}");
        let whole = ask(&["+tcp", "helloworld.micro"]).await?;
        ensure!(whole.contains("127.0.0.1") && whole.contains("NOERROR"), "{whole}");
        let elsewhere = ask(&["example.org"]).await?;
        ensure!(elsewhere.contains("REFUSED"), "{elsewhere}");
    }
    let flags = tool("dig", dns, &["helloworld.micro"]).await?;
    ensure!(flags.contains("flags: qr aa rd;"), "there is no recursion: {flags}");
    greeter.kill().await?;
    until("it is gone from DNS too", PATIENCE, async || {
        let said = tool("dig", dns, &["helloworld.micro"]).await?;
        ensure!(said.contains("NXDOMAIN"), "{said}");
        Ok(())
    })
    .await
}

/// What is answered to a GET at an address, with this host in it.
async fn http(address: SocketAddr, host: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said)).await??;
    Ok(said)
}

#[tokio::test]
async fn who_goes_where_srv_leads_reaches_the_service() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    // On the other node.
    let _greeter = cluster.greeter(1).await?;
    let dns = cluster.members[0].at().dns.context("it has DNS")?;
    let said =
        tool("dig", dns, &["+noall", "+answer", "+additional", "_http._tcp.helloworld.micro", "SRV"]).await?;
    let words: Vec<&str> = said.lines().next().context("no answer")?.split_whitespace().collect();
    let [.., port, target] = words[..] else { anyhow::bail!("{said}") };
    let glue = said.lines().find(|line| line.starts_with(target) && line.contains("\tA\t"));
    let ip = glue
        .and_then(|line| line.split_whitespace().last())
        .with_context(|| format!("no address: {said}"))?;
    let address = format!("{ip}:{port}").parse()?;
    for host in [format!("{}:{port}", target.trim_end_matches('.')), format!("helloworld.micro:{port}")] {
        let answer = http(address, &host, "/helloworld/call?name=Jane").await?;
        ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("Hello Jane"), "{host}: {answer}");
    }
    let answer = http(address, "evil.example", "/helloworld/call?name=Jane").await?;
    ensure!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_resolver_in_python_gets_what_has_no_room_in_a_datagram_over_tcp() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let at = cluster.members[0].at();
    let dns = at.dns.context("it has DNS")?;
    let mut command = Python::with_clients().await?.client("dns_client.py");
    command.args([dns.ip().to_string(), dns.port().to_string()]).arg(&at.socket);
    let output = timeout(Duration::from_secs(120), command.output()).await.context("it does not end")??;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Before that, each of the services has said that it is attached.
    ensure!(output.status.success() && said.trim().ends_with("good"), "{said}\n{failed}");
    Ok(())
}

#[tokio::test]
async fn the_command_line_asks_the_node_where_its_dns_is() -> anyhow::Result<()> {
    let (cluster, _greeter) = with_greeter().await?;
    let (cli, at) = (cluster.cli(0)?, cluster.members[0].at());
    let dns = at.dns.context("it has DNS")?.to_string();
    let answer = cli.json(&["dns", "query", "helloworld", "srv", "-o", "json"]).await?;
    assert_eq!(answer["items"][0]["data"], format!("0 1 {} api.alpha.node.micro.", at.api.port()));
    assert_eq!(answer["items"][0]["type"], "SRV");
    assert_eq!(answer["summary"]["server"], dns);
    assert_eq!(answer["summary"]["flags"], serde_json::json!(["aa", "rd"]));
    assert_eq!(answer["summary"]["additional"][0]["data"], "127.0.0.1");
    let told = cli.run(&["dns", "query", "helloworld.micro"]).await?;
    ensure!(told.stdout.contains("helloworld.micro.") && told.stdout.contains("127.0.0.1"), "{told:?}");
    ensure!(told.stderr.contains("NOERROR (aa rd)"), "{told:?}");
    for (words, code, part) in [
        (&["nobody.micro"][..], 5, "knows no name nobody.micro."),
        (&["example.org"], 4, "does not tell about example.org."),
        (&["helloworld", "SRVX"], 2, "a type of DNS records"),
        (&["helloworld", "--server", "127.0.0.1:1"], 3, "no DNS answers at 127.0.0.1:1"),
    ] {
        let words = [&["dns", "query"], words].concat();
        let told = cli.run(&words).await?;
        ensure!(told.code == code && told.stderr.contains(part), "{words:?}: {told:?}");
    }
    let view = cli.ok(&["config", "view"]).await?;
    ensure!(view.lines().any(|line| line.starts_with("dns ") && line.contains(&dns)), "{view}");
    Ok(())
}

async fn cluster(extra: &[&str]) -> anyhow::Result<Cluster> {
    let extra = extra.iter().map(|argument| (*argument).to_owned()).collect();
    Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await
}

#[tokio::test]
async fn a_node_without_dns_has_none_and_says_so() -> anyhow::Result<()> {
    let cluster = cluster(&["--dns", "off"]).await?;
    ensure!(cluster.members[0].at().dns.is_none());
    let told = cluster.cli(0)?.run(&["dns", "query", "helloworld"]).await?;
    ensure!(told.code == 8 && told.stderr.contains("started with --dns off"), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn on_a_port_that_other_hosts_reach_rules_say_who_is_told_what() -> anyhow::Result<()> {
    let cluster = cluster(&["--dns", "0.0.0.0:0"]).await?;
    let _greeter = cluster.greeter(0).await?;
    let listens = cluster.members[0].at().dns.context("it has DNS")?;
    let dns = SocketAddr::new([127, 0, 0, 1].into(), listens.port());
    for name in ["helloworld.micro", "nobody.micro", "micro", "alpha.node.micro"] {
        let said = tool("dig", dns, &[name]).await?;
        ensure!(said.contains("REFUSED") && !said.contains("SOA\t"), "{name}: {said}");
    }
    let (cli, dig) = (cluster.cli(0)?, async |name: &str| tool("dig", dns, &[name]).await);
    let denied = cli.ok(&["audit", "list", "--denied"]).await?;
    ensure!(denied.contains("service:helloworld") && denied.contains("dns"), "{denied}");
    let rule = ["auth", "create", "rule", "all", "--scope", "public", "--resource", "service:helloworld:*"];
    cli.ok(&rule).await?;
    until("the rule counts", PATIENCE, async || {
        let said = dig("helloworld.micro").await?;
        ensure!(said.contains("NOERROR") && said.contains("127.0.0.1"), "{said}");
        Ok(())
    })
    .await?;
    ensure!(dig("nobody.micro").await?.contains("REFUSED"), "it is about one service");
    Ok(())
}

#[tokio::test]
async fn a_flood_is_bounded_where_a_person_says_so_and_idle_connections_are_left() -> anyhow::Result<()> {
    let cluster = cluster(&["--limit-unknown", "20", "--limit-connections", "8"]).await?;
    let at = cluster.members[0].at().clone();
    let dns = at.dns.context("it has DNS")?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(dns).await?;
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05micro\x00\x00\x06\x00\x01";
    for _ in 0..400 {
        socket.send(query).await?;
    }
    let (mut answers, mut packet) = (0, [0; 1500]);
    while let Ok(received) = timeout(Duration::from_secs(1), socket.recv(&mut packet)).await {
        received?;
        answers += 1;
    }
    ensure!((1..200).contains(&answers), "{answers} of 400 were answered");
    // The connections of an address are counted, and those that say nothing are left.
    let open = try_join_all((0..12).map(|_| TcpStream::connect(dns))).await?;
    let ends = open.into_iter().map(|mut stream| async move {
        let ended = timeout(PATIENCE, stream.read_u8()).await.context("it is still open")?;
        ensure!(ended.is_err(), "nobody has asked for anything");
        Ok(())
    });
    try_join_all(ends).await?;
    let metrics = get(at.api, "/metrics").await?.body;
    let refused = metrics.lines().find(|line| line.contains("door=\"dns\",reason=\"connections\""));
    ensure!(refused.is_some_and(|line| !line.ends_with(" 0")), "{refused:?}");
    ensure!(metrics.contains("micro_node_dns_answers_total{code=\"0\"} "), "{metrics}");
    Ok(())
}
