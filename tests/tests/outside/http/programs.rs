//! Programs that take HTTP as it is: one in Python, which knows nothing of the mesh, called through another node.

use super::{ask, curl};
use anyhow::{Context, ensure};
use micro_sdk::{client::Address, serve::Server};
use micro_tests::{Cluster, Python, until};
use serde_json::Value;
use std::{net::SocketAddr, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The program, attached to the second node of a cluster; the first knows it.
async fn program(cluster: &Cluster) -> anyhow::Result<Child> {
    attached(cluster, Python::with_clients().await?.client("http_app.py")).await
}

/// The same for a program that prints its port.
async fn attached(cluster: &Cluster, mut command: Command) -> anyhow::Result<Child> {
    let mut program = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("python3")?;
    let mut lines = BufReader::new(program.stdout.take().context("it is piped")?).lines();
    let port: u16 = timeout(PATIENCE, lines.next_line()).await??.context("it says its port")?.parse()?;
    let node: Address = cluster.members[1].address().parse()?;
    let server = Server::http("app", SocketAddr::from(([127, 0, 0, 1], port))).node(node);
    tokio::spawn(server.run_until(futures::future::pending()));
    until("the program attached", PATIENCE, async || {
        let services = cluster.client(0).await?.services().await?;
        ensure!(services.iter().any(|service| service.name == "app"), "it is not known");
        Ok(())
    })
    .await?;
    Ok(program)
}

/// What the program says that a header was.
fn header<'t>(told: &'t Value, name: &str) -> Option<&'t str> {
    let headers = told["headers"].as_array()?;
    headers.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_str())
}

#[tokio::test]
async fn a_program_is_sent_what_callers_send_and_who_they_are() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _program = program(&cluster).await?;
    let api = cluster.members[0].at().api;
    let told = ask(api, "GET /app", &[], "").await?.json()?;
    assert_eq!(header(&told, "x-forwarded-proto"), Some("http"));
    for (line, path) in [
        ("GET /app", "/app"),
        ("PUT /app/carts/7/?a=b&c=%20", "/app/carts/7/?a=b&c=%20"),
        ("DELETE /app/a%20b/%C3%BC", "/app/a%20b/%C3%BC"),
        ("PATCH /app/%61", "/app/a"),
    ] {
        let sent = [
            "cookie: k=v",
            "micro-account: root",
            "micro_caller: admin",
            "x_forwarded_for: 1.2.3.4",
            "x-real-ip: 1.2.3.4",
            "x-remote-user: root",
            "remote_user: root",
            "cf-connecting-ip: 1.2.3.4",
            // Nor is what the node says taken away so.
            "connection: close, x-hop, x-forwarded-for",
            "x-hop: 1",
        ];
        let sent = [&sent[..], &["x-forwarded-for: 1.2.3.4", "content-type: text/plain"]].concat();
        let answer = ask(api, line, &sent, "hello").await?;
        let told = answer.json()?;
        assert_eq!((answer.status, &told["path"]), (200, &path.into()), "{line}: {told}");
        assert_eq!((told["method"].as_str(), told["body"].as_str()), (line.split(' ').next(), Some("hello")));
        assert_eq!(header(&told, "cookie"), Some("k=v"), "{told}");
        assert_eq!(header(&told, "micro-caller"), Some("anonymous"), "{told}");
        assert_eq!(header(&told, "x-forwarded-for"), Some("127.0.0.1"), "{told}");
        for gone in ["micro-account", "x-hop", "authorization", "micro_caller", "x_forwarded_for"] {
            assert_eq!(header(&told, gone), None, "{told}");
        }
        // What only nodes say comes from a node, on behalf of nobody in particular.
        assert_eq!(ask(api, line, &["micro-caller: admin"], "").await?.status, 401);
        for claimed in ["x-real-ip", "x-remote-user", "remote_user", "cf-connecting-ip"] {
            assert_eq!(header(&told, claimed), None, "{told}");
        }
        let head = answer.headers.to_ascii_lowercase();
        assert!(head.contains("set-cookie: a=1") && head.contains("set-cookie: b=2"), "{head}");
        assert!(!head.contains("keep-alive: timeout=5"), "{head}");
    }
    // HTTP/2 says the host with the target; HTTP/1.1 has to have a header.
    let url = format!("http://{api}/app/x");
    let claims = ["-H", "x-real-ip: 1.2.3.4", "-H", "x-remote-user: root"];
    let told = curl(&[&claims[..], &["--http2-prior-knowledge", &url]].concat()).await?;
    let told: Value = serde_json::from_str(&told)?;
    assert_eq!((header(&told, "x-real-ip"), header(&told, "x-remote-user")), (None, None), "{told}");
    let host = api.to_string();
    for name in ["host", "x-forwarded-host"] {
        assert_eq!(header(&told, name), Some(host.as_str()), "{told}");
    }
    let told: Value = serde_json::from_str(&curl(&["-X", "DELETE", &url]).await?)?;
    assert_eq!(
        (header(&told, "transfer-encoding"), header(&told, "content-length")),
        (None, Some("0")),
        "{told}"
    );
    assert_eq!(ask(api, "TRACE /app", &[], "").await?.status, 405);
    assert_eq!(ask(api, "GET /app/teapot", &[], "").await?.status, 418);
    for (line, status) in [("GET /app/../store", 400), ("GET /app//x", 400), ("GET /app/%2e%2e/x", 400)] {
        assert_eq!(ask(api, line, &[], "").await?.status, status, "{line}");
    }
    let secret = std::fs::read_to_string(&cluster.members[0].at().admin_secret_file)?;
    let bearer = format!("authorization: Bearer {}", secret.trim());
    let told = ask(api, "GET /app", &[&bearer], "").await?.json()?;
    assert_eq!(
        (header(&told, "micro-caller"), header(&told, "authorization")),
        (Some("admin"), None),
        "{told}"
    );
    Ok(())
}

#[tokio::test]
async fn a_program_that_leads_back_to_the_api_is_no_circle_without_an_end() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (api, node) = (cluster.members[0].at().api, cluster.members[0].address().parse::<Address>()?);
    tokio::spawn(Server::http("circle", api).node(node).run_until(futures::future::pending()));
    // What a node passes on comes from nobody of this host, to a door as to anybody else.
    let public = ["auth", "create", "rule", "round", "--scope", "public", "--resource", "service:circle:*"];
    cluster.cli(0)?.ok(&public).await?;
    until("it ends", PATIENCE, async || {
        // What comes back has the name of the host that it was sent to, and the service once more before its path.
        let answer = ask(api, "GET /circle/x", &[], "").await?;
        ensure!(answer.status == 508, "{} {}", answer.status, answer.body);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn rules_know_the_paths_of_a_program_and_answers_come_as_they_are_said() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _program = program(&cluster).await?;
    let api = cluster.members[0].at().api;
    let mut reader = TcpStream::connect(api).await?;
    reader.write_all(b"GET /app/slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("word") {
        let mut piece = [0; 4096];
        let length = timeout(PATIENCE, reader.read(&mut piece)).await??;
        ensure!(length > 0, "it ended: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&piece[..length]);
    }
    let rule = ["--resource", "service:app:/app/admin*", "--access", "denied", "--priority", "9"];
    cluster
        .cli(0)?
        .ok(&[&["auth", "create", "rule", "no-admin", "--scope", "loopback"], &rule[..]].concat())
        .await?;
    until("the rule counts", PATIENCE, async || {
        let answer = ask(api, "GET /app/%61dmin/x", &[], "").await?;
        let told = answer.headers.to_ascii_lowercase().contains("www-authenticate: bearer");
        ensure!(answer.status == 401 && told, "{} {}", answer.status, answer.body);
        Ok(())
    })
    .await?;
    assert_eq!(ask(api, "GET /app/admins", &[], "").await?.status, 401);
    assert_eq!(ask(api, "GET /app/other", &[], "").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_program_of_which_something_else_is_told_loses_no_call() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let mut command = Python::with_clients().await?.client("http_app.py");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut program = command.spawn().context("python3")?;
    let mut lines = BufReader::new(program.stdout.take().context("it is piped")?).lines();
    let port = timeout(PATIENCE, lines.next_line()).await??.context("it says its port")?;
    let endpoint = format!("http://127.0.0.1:{port}");
    let register = async |said: &str| {
        let words = ["registry", "register", "--name", "app", "--endpoint", &endpoint, "--health", "none"];
        let outcome = cluster.cli(1)?.run(&[&words[..], &["--metadata", said]].concat()).await?;
        ensure!(outcome.code == 0, "{outcome:?}");
        Ok(())
    };
    register("v=0").await?;
    let api = cluster.members[0].at().api;
    until("the other node knows it", PATIENCE, async || {
        ensure!(ask(api, "GET /app", &[], "").await?.status == 200, "it is not known");
        Ok(())
    })
    .await?;
    for turn in 1..=5 {
        register(&format!("v={turn}")).await?;
        for _ in 0..30 {
            let answer = ask(api, "GET /app", &[], "").await?;
            ensure!(answer.status == 200, "{turn}: {} {}", answer.status, answer.body);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_program_has_its_web_sockets_on_every_node() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let python = Python::with_clients().await?;
    let mut serving = python.client("http_socket.py");
    serving.arg("serve").kill_on_drop(true);
    let _program = attached(&cluster, serving).await?;
    for member in &cluster.members {
        let mut calling = python.client("http_socket.py");
        let output =
            timeout(PATIENCE * 3, calling.args(["call", &member.at().api.to_string()]).output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
