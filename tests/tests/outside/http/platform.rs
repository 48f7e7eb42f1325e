//! The platform under its reserved prefix: the same requests as over gRPC, as JSON, for who may send them.

use super::ask;
use anyhow::{Context, ensure};
use micro_tests::Cluster;
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

fn bearer(cluster: &Cluster) -> anyhow::Result<String> {
    let secret = fs::read_to_string(&cluster.members[0].at().admin_secret_file)?;
    Ok(format!("authorization: Bearer {}", secret.trim()))
}

#[tokio::test]
async fn records_and_settings_are_written_and_read_as_json() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (api, bearer) = (cluster.members[0].at().api, bearer(&cluster)?);
    let call = async |line: &str, body: &str| -> anyhow::Result<Value> {
        let answer = ask(api, line, &[&bearer], body).await?;
        ensure!(answer.status == 200, "{line}: {} {}", answer.status, answer.body);
        answer.json()
    };
    let written = call("POST /-/v1/store/write", r#"{"key":"k","value":"aGVsbG8="}"#).await?;
    let read = call("GET /-/v1/store/read?key=k", "").await?;
    assert_eq!(
        (&read["record"]["value"], &read["record"]["version"]),
        (&"aGVsbG8=".into(), &written["version"])
    );
    assert_eq!(cluster.cli(0)?.ok(&["store", "read", "k"]).await?, "hello");
    let body = json!({"key": "k", "value": "aG8=", "if_version": written["version"]}).to_string();
    call("POST /-/v1/store/write", &body).await?;
    let stale = ask(api, "POST /-/v1/store/write", &[&bearer], &body).await?;
    assert_eq!((stale.status, &stale.json()?["code"]), (409, &"conflict".into()), "{}", stale.body);
    let listed = call("GET /-/v1/store/list?prefix=k&keys_only=true&limit=5", "").await?;
    assert_eq!((listed["records"].as_array().map(Vec::len), &listed["count"]), (Some(1), &json!(1)));
    assert_eq!(call("POST /-/v1/store/delete", r#"{"key":"k"}"#).await?["deleted"], true);
    assert_eq!(call("GET /-/v1/store/read?key=k", "").await?["record"], Value::Null);

    call("POST /-/v1/config/set", r#"{"path":"shop","value":{"limits":{"items":10}}}"#).await?;
    assert_eq!(call("GET /-/v1/config/get?path=shop.limits", "").await?["value"], json!({"items": 10}));
    assert_eq!(cluster.cli(0)?.ok(&["config", "get", "shop.limits.items"]).await?, "10");
    let status = call("GET /-/v1/network/status", "").await?;
    assert_eq!(status["document"]["schema"], "micro-node/status/v1");
    assert!(call("GET /-/v1/registry/list-services", "").await?["services"].is_array());
    Ok(())
}

#[tokio::test]
async fn the_platform_is_for_those_who_may_use_it() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (api, bearer) = (cluster.members[0].at().api, bearer(&cluster)?);
    let secret = bearer.trim_start_matches("authorization: Bearer ").to_owned();
    let almost = format!("authorization: Bearer {}", &secret[1..]);
    for line in [
        "GET /-/v1/store/read?key=k",
        "POST /-/v1/store/write",
        "GET /-/v1/store/watch",
        "GET /-/v1/config/get",
        "GET /-/v1/network/status",
        "POST /-/v1/network/leave",
        "POST /-/v1/network/create-token",
        "POST /-/v1/registry/attach",
    ] {
        for header in [None, Some("authorization: Bearer x"), Some("authorization: Bearer"), Some(&*almost)] {
            let answer = ask(api, line, &header.into_iter().collect::<Vec<_>>(), "").await?;
            assert_eq!(answer.status, 401, "{line} {header:?}: {}", answer.body);
            assert!(
                answer.headers.to_ascii_lowercase().contains("www-authenticate: bearer"),
                "{}",
                answer.headers
            );
            assert!(!answer.body.contains(&secret[1..]), "it tells the secret");
        }
    }
    for (line, status) in [
        ("GET /-/v1/store/write", 405),
        ("DELETE /-/v1/store/read", 405),
        ("POST /-/v1/store/put", 404),
        ("POST /-/v1/nothing/at-all", 404),
        ("GET /-/v1/store/read?nothing=1", 400),
        ("GET /-/v1/store/list?limit=x", 400),
    ] {
        let answer = ask(api, line, &[&bearer], "").await?;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
    }
    Ok(())
}

/// A stream that is open, line by line.
async fn open(
    api: SocketAddr,
    target: &str,
    headers: &[&str],
) -> anyhow::Result<tokio::io::Lines<BufReader<TcpStream>>> {
    let mut stream = TcpStream::connect(api).await?;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    stream.write_all(format!("GET {target} HTTP/1.0\r\nhost: {api}\r\n{headers}\r\n").as_bytes()).await?;
    Ok(BufReader::new(stream).lines())
}

/// Lines of a stream that tell something, until `wanted` have come.
async fn lines(
    api: SocketAddr,
    target: &str,
    headers: &[&str],
    wanted: usize,
) -> anyhow::Result<Vec<String>> {
    let mut reader = open(api, target, headers).await?;
    let mut lines = Vec::new();
    while lines.len() < wanted {
        let line =
            timeout(Duration::from_secs(20), reader.next_line()).await??.context("the stream ended")?;
        if line.starts_with("data:")
            || line.starts_with("id:")
            || line.starts_with('{')
            || line.starts_with("content-type")
        {
            lines.push(line);
        }
    }
    Ok(lines)
}

#[tokio::test]
async fn changes_are_told_as_events_from_where_a_page_left_off() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (api, bearer) = (cluster.members[0].at().api, bearer(&cluster)?);
    let cli = cluster.cli(0)?;
    cli.ok(&["store", "write", "a", "1"]).await?;
    cli.ok(&["store", "write", "b", "2"]).await?;
    let events = [&*bearer, "accept: text/event-stream"];
    let told = lines(api, "/-/v1/store/watch?from_revision=1", &events, 7).await?;
    assert_eq!(told[0], "content-type: text/event-stream");
    let text = told.join("\n");
    assert!(text.contains("\"key\":\"a\"") && text.contains("\"key\":\"b\""), "{text}");
    let first = told.iter().position(|line| line.contains("\"key\":\"a\"")).context("a is told")?;
    let id = told[first - 1].strip_prefix("id: ").context("it has an id")?.to_owned();
    let seen = format!("last-event-id: {id}");
    let told = lines(api, "/-/v1/store/watch", &[&bearer, events[1], &seen], 5).await?;
    let text = told.join("\n");
    assert!(!text.contains("\"key\":\"a\"") && text.contains("\"key\":\"b\""), "{text}");
    // Whoever does not ask for events gets a line for each.
    let told = lines(api, "/-/v1/store/watch?from_revision=1&range.prefix=b", &[&bearer], 3).await?;
    assert_eq!(told[0], "content-type: application/x-ndjson");
    assert!(told[2].contains("\"key\":\"b\""), "{told:?}");
    // What can't begin is a problem, not a stream.
    let answer = ask(api, "GET /-/v1/store/watch", &[&bearer, "last-event-id: x"], "").await?;
    assert_eq!(answer.status, 400, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn a_tenant_of_the_door_is_that_of_its_records() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (api, bearer) = (cluster.members[0].at().api, bearer(&cluster)?);
    let acme = [&*bearer, "host: acme.localhost"];
    let answer = ask(api, "POST /-/v1/store/write", &acme, r#"{"key":"k","value":"YQ=="}"#).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let own = ask(api, "GET /-/v1/store/read?key=k", &acme, "").await?.json()?;
    assert_eq!(own["record"]["value"], "YQ==");
    let other = ask(api, "GET /-/v1/store/read?key=k", &[&bearer], "").await?.json()?;
    assert_eq!(other["record"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn a_node_with_open_streams_stops() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let (api, bearer) = (cluster.members[0].at().api, bearer(&cluster)?);
    let mut watching = open(api, "/-/v1/config/watch", &[&bearer, "accept: text/event-stream"]).await?;
    loop {
        let line =
            timeout(Duration::from_secs(20), watching.next_line()).await??.context("the stream ended")?;
        if line.starts_with("data:") {
            break;
        }
    }
    let began = std::time::Instant::now();
    assert_eq!(cluster.members[0].stop().await?, 0);
    ensure!(began.elapsed() < Duration::from_secs(4), "it took {:?}", began.elapsed());
    // It was told why, and has ended.
    while let Ok(Some(_)) = timeout(Duration::from_secs(5), watching.next_line()).await? {}
    Ok(())
}
