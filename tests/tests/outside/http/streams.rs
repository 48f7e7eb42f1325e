//! Streams of people's services, by the SDK, the command line and the HTTP api: with curl, and with clients in Python
//! that others have written.

use super::{ask, curl, talker};
use anyhow::{Context, ensure};
use futures::StreamExt;
use micro_sdk::wire::Code;
use micro_tests::{Cluster, Greeter, Plan, Python, until};
use serde_json::{Value, json};
use std::{fs, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

/// For what has to become true, but promises no time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two nodes, and the services at the second; the first is asked.
async fn talkers() -> anyhow::Result<(Cluster, Greeter, talker::Running)> {
    let cluster = Cluster::of(2).await?;
    let greeter = Greeter::start(cluster.root(), &cluster.members[1], false)?;
    let talker = talker::serve(&cluster, 1, 0).await?;
    let cli = cluster.cli(0)?;
    until("helloworld attached", PATIENCE, async || cli.ok(&["services", "helloworld"]).await).await?;
    Ok((cluster, greeter, talker))
}

/// Has the client in Python make checks.
async fn check(cluster: &Cluster, checks: &str, token: Option<&str>) -> anyhow::Result<()> {
    let mut command = Python::with_clients().await?.client("http_streams.py");
    command.args([checks, &cluster.members[0].at().api.to_string()]);
    if let Some(token) = token {
        command.env("MICRO_NODE_TOKEN", token);
    }
    let output = timeout(Duration::from_secs(60), command.output()).await.context(checks.to_owned())??;
    ensure!(output.status.success(), "{checks}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[tokio::test]
async fn lines_events_and_sockets_are_what_clients_of_others_expect() -> anyhow::Result<()> {
    let (cluster, _greeter, _talker) = talkers().await?;
    for checks in ["lines", "said_lines", "server_sent_events", "sockets"] {
        check(&cluster, checks, None).await?;
    }
    let api = cluster.members[0].at().api;
    let counted = curl(&["-d", r#"{"count":3}"#, &format!("http://{api}/helloworld/stream")]).await?;
    assert_eq!(counted, "{\"count\":0}\n{\"count\":1}\n{\"count\":2}\n");
    // It is no call of one answer.
    let called = cluster.cli(0)?.run(&["call", "helloworld", "stream", r#"{"count":3}"#]).await?;
    assert_eq!(called.code, 2, "{}", called.stderr);
    assert!(called.stderr.contains("micro-node stream helloworld Greeter.stream"), "{}", called.stderr);
    Ok(())
}

/// A window full of short messages costs much more than their bytes, which h2 takes for an attack.
#[tokio::test]
async fn who_reads_a_quick_stream_slowly_keeps_the_connection() -> anyhow::Result<()> {
    const MESSAGES: usize = 60_000;
    let (cluster, _greeter, _talker) = talkers().await?;
    for index in [0, 1] {
        let count = format!("--count={MESSAGES}");
        let told = cluster.cli(index)?.ok(&["helloworld", "stream", &count]).await?;
        assert_eq!(told.lines().count(), MESSAGES, "at {index}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_speak_grpc_web() -> anyhow::Result<()> {
    let extra = ["--api-cors-origin", "https://app.example.org"].map(str::to_owned).to_vec();
    let cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    let cli = cluster.cli(0)?;
    until("helloworld attached", PATIENCE, async || cli.ok(&["services", "helloworld"]).await).await?;
    check(&cluster, "grpc_web", None).await?;
    let secret = fs::read_to_string(&cluster.members[0].at().admin_secret_file)?;
    check(&cluster, "grpc_web", Some(secret.trim())).await
}

#[tokio::test]
async fn the_command_line_streams_both_ways() -> anyhow::Result<()> {
    let (cluster, _greeter, _talker) = talkers().await?;
    let cli = cluster.cli(0)?;
    let counted = "{\"count\":0}\n{\"count\":1}\n{\"count\":2}";
    for words in [
        &["stream", "helloworld", "stream", r#"{"count":3}"#][..],
        &["stream", "helloworld", "Greeter.stream", r#"{"count":3}"#, "-H", "colour=red"],
        &["helloworld", "stream", "--count=3"],
        &["-o", "jsonl", "helloworld", "stream", "--count=3"],
    ] {
        assert_eq!(cli.ok(words).await?.trim(), counted, "{words:?}");
    }
    let strokes = "{\"stroke\":1}\n\n{\"stroke\":2}\n";
    for words in [&["stream", "helloworld", "ping_pong", "-"][..], &["helloworld", "ping-pong"]] {
        let outcome = cli.run_with_input(words, strokes).await?;
        assert_eq!(
            (outcome.code, outcome.stdout.trim()),
            (0, "{\"stroke\":1}\n{\"stroke\":2}"),
            "{}",
            outcome.stderr
        );
    }
    assert_eq!(cli.run_with_input(&["stream", "talker", "total", "-"], "1\n2\n").await?.stdout.trim(), "3");
    for (words, input, code, told) in [
        (&["stream", "talker", "fail", r#"{"at":2}"#][..], "", 6, "as asked for"),
        (&["stream", "talker", "total", "-"], "1\n{\n", 2, "line 2 of stdin is not JSON"),
        (&["stream", "talker", "nothing"], "", 5, "has no"),
        (&["stream", "nobody", "nothing"], "", 5, "nobody"),
        (&["stream", "talker", "tick", r#"{"ms":50}"#, "--request-timeout", "1s"], "", 7, "[timeout]"),
    ] {
        let outcome = cli.run_with_input(words, input).await?;
        assert_eq!(outcome.code, code, "{words:?}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(told), "{words:?}: {}", outcome.stderr);
    }
    let help = cli.ok(&["helloworld", "ping-pong", "--help"]).await?;
    assert!(help.contains("Answers, any number of them") && help.contains("read from stdin"), "{help}");
    Ok(())
}

#[tokio::test]
async fn streams_are_for_those_whom_a_rule_lets_call_them_and_for_as_long() -> anyhow::Result<()> {
    let (cluster, _greeter, _talker) = talkers().await?;
    let cli = cluster.cli(0)?;
    let secret = cli.ok(&["auth", "create", "account", "jane"]).await?;
    let jane = cluster.client(0).await?.auth().login("jane", &secret.into()).await?;
    check(&cluster, "sockets", Some(jane.access.expose())).await?;
    // A rule that takes it away ends what goes on, and refuses what is to begin.
    let node =
        micro_sdk::client::Node::connect_to(cluster.members[0].at().proxy.to_string().parse()?).await?;
    let node = node.with_token(jane.access);
    let mut ticks = node.stream("talker", "tick").ask(&json!({"ms": 50}))?;
    assert_eq!(ticks.next().await, Some(Ok(json!(0))));
    let resource = ["--resource", "service:talker:Talker.tick", "--access", "denied", "--priority", "9"];
    for (rule, scope) in [("no-ticks", "*"), ("no-ticks-here", "loopback")] {
        cli.ok(&[&["auth", "create", "rule", rule, "--scope", scope], &resource[..]].concat()).await?;
    }
    let ended = timeout(PATIENCE, async {
        loop {
            match ticks.next().await {
                Some(Ok(_)) => {}
                other => return other,
            }
        }
    })
    .await?;
    assert_eq!(ended.and_then(Result::err).map(|fault| fault.code), Some(Code::Denied));
    let api = cluster.members[0].at().api;
    until("the other rule counts", PATIENCE, async || {
        let answer = ask(api, "GET /talker/tick?ms=50", &["accept: text/event-stream"], "").await?;
        let told = answer.headers.to_ascii_lowercase().contains("www-authenticate: bearer");
        ensure!(answer.status == 401 && told, "{} {}", answer.status, answer.body);
        Ok(())
    })
    .await
}

/// How everything ends that goes on through the first node, when `stop` is.
async fn ended(cluster: &mut Cluster, stop: usize) -> anyhow::Result<(Value, Option<Code>)> {
    let mut command = Python::with_clients().await?.client("http_streams.py");
    command.args(["ends", &cluster.members[0].at().api.to_string()]);
    let mut client = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(client.stdout.take().context("it is piped")?).lines();
    let mut ticks = cluster.client(0).await?.stream("talker", "tick").ask(&json!({"ms": 50}))?;
    ensure!(timeout(PATIENCE, ticks.next()).await?.is_some_and(|tick| tick.is_ok()), "it does not tick");
    let begun = timeout(PATIENCE, lines.next_line()).await??;
    ensure!(begun.as_deref() == Some("begun"), "{begun:?}");
    let stopping = cluster.members[stop].stop();
    let told = async {
        let told = timeout(PATIENCE, lines.next_line()).await??.context("it says how they end")?;
        let mut last = None;
        while let Some(tick) = timeout(PATIENCE, ticks.next()).await? {
            last = tick.err().map(|fault| fault.code);
        }
        anyhow::Ok((serde_json::from_str(&told)?, last))
    };
    let (stopped, told) = tokio::join!(stopping, told);
    stopped?;
    told
}

#[tokio::test]
async fn what_goes_on_ends_with_its_node_and_says_so() -> anyhow::Result<()> {
    for stop in [1, 0] {
        let (mut cluster, _greeter, _talker) = talkers().await?;
        let (told, by_sdk) = ended(&mut cluster, stop).await?;
        assert_eq!(told, json!(["unavailable", "unavailable", "1013 unavailable"]), "node {stop} stopped");
        assert_eq!(by_sdk, Some(Code::Unavailable), "node {stop} stopped");
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_reads_nothing_is_in_nobodys_way() -> anyhow::Result<()> {
    let (cluster, _greeter, _talker) = talkers().await?;
    let api = cluster.members[0].at().api;
    let mut idle = Vec::new();
    for _ in 0..32 {
        let mut reader = tokio::net::TcpStream::connect(api).await?;
        reader.write_all(b"GET /talker/tick?ms=0 HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        idle.push(reader);
    }
    for _ in 0..10 {
        let answer = ask(api, "GET /helloworld/call?name=Jane", &[], "").await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    Ok(())
}
