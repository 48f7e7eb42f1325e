//! Calls: which endpoint a path means, what it is given, and the status of what comes of it.

use super::{ask, clerk, curl};
use crate::auth::rule;
use micro_tests::Cluster;
use serde_json::{Value, json};

/// What an endpoint that tells what it was given was given, without what was not.
fn given(answer: &Value) -> Value {
    let mut object = answer.as_object().cloned().unwrap_or_default();
    object.retain(|_, value| !value.is_null() && *value != json!([]));
    Value::Object(object)
}

const FORM: &str = "content-type: application/x-www-form-urlencoded";
const JSON: &str = "content-type: application/json";

#[tokio::test]
async fn paths_and_fields_become_what_the_endpoint_takes() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let api = cluster.members[0].at().api;
    let multipart = "content-type: multipart/form-data; boundary=b";
    let form = "--b\r\ncontent-disposition: form-data; name=\"age\"\r\n\r\n7\r\n\
                --b\r\ncontent-disposition: form-data; name=\"name\"; filename=\"n.txt\"\r\n\r\nJane\r\n--b--\r\n";
    for (line, header, body, expected) in [
        ("GET /clerk", "", "", json!({"by": "call"})),
        ("POST /clerk/echo", JSON, r#"{"age":7}"#, json!({"age": 7})),
        ("POST /clerk/Clerk/echo", JSON, r#"{"age":7}"#, json!({"age": 7})),
        ("POST /clerk/Clerk.echo", JSON, "", json!({})),
        ("GET /clerk/open-orders", "", "", json!({"by": "open"})),
        ("GET /clerk/Clerk/OpenOrders", "", "", json!({"by": "open"})),
        (
            "GET /clerk/echo?age=7&name=7&open=true&share=0.5",
            "",
            "",
            json!({"age": 7, "name": "7", "open": true, "share": 0.5}),
        ),
        (
            "GET /clerk/echo?tags=a&tags=b&place.zip=1",
            "",
            "",
            json!({"tags": ["a", "b"], "place": {"zip": 1}}),
        ),
        ("GET /clerk/echo?tags[]=a&place[zip]=1", "", "", json!({"tags": ["a"], "place": {"zip": 1}})),
        ("POST /clerk/echo?age=1", JSON, r#"{"name":"J"}"#, json!({"age": 1, "name": "J"})),
        ("POST /clerk/echo", FORM, "age=7&tags=x", json!({"age": 7, "tags": ["x"]})),
        ("POST /clerk/echo", FORM, r#"{"age":7}"#, json!({"age": 7})),
        ("POST /clerk/echo", multipart, form, json!({"age": 7, "name": "Jane"})),
        ("GET /orders/7", "", "", json!({"id": 7})),
        ("PUT /orders/7", JSON, r#"{"id":8,"name":"J"}"#, json!({"id": 7, "name": "J"})),
        ("DELETE /orders/7?name=J", "", "", json!({"id": 7, "name": "J"})),
        ("GET /orders/open", "", "", json!({"by": "open"})),
        ("GET /files/a/b%20c", "", "", json!({"rest": "a/b c"})),
    ] {
        let headers: &[&str] = if header.is_empty() { &[] } else { &[header] };
        let answer = ask(api, line, headers, body).await?;
        assert_eq!(answer.status, 200, "{line}: {}", answer.body);
        assert_eq!(given(&answer.json()?), expected, "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn statuses_say_what_went_wrong_and_whose_turn_it_is() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let api = cluster.members[0].at().api;
    let large = format!("\"{}\"", "x".repeat(17 << 20));
    for (line, headers, body, status, code) in [
        ("GET /nobody/call", &[][..], "", 404, "not_found"),
        ("POST /nobody", &[], "{}", 404, "not_found"),
        ("GET /clerk/nothing", &[], "", 404, "not_found"),
        ("GET /", &[], "", 404, "not_found"),
        ("PUT /clerk/echo", &[], "{}", 405, "usage"),
        ("PATCH /orders/7", &[], "{}", 405, "usage"),
        ("POST /clerk/echo", &["content-type: text/plain"], "x", 415, "usage"),
        ("POST /clerk/echo", &[], &large, 413, "too_large"),
        ("POST /clerk/echo", &[], "{not json", 400, "usage"),
        ("POST /clerk/wait", &["micro-deadline-ms: 100"], r#"{"ms":5000}"#, 504, "timeout"),
        ("POST /clerk/refuse", &[], r#"{"code":"conflict"}"#, 409, "conflict"),
        ("POST /clerk/refuse", &[], r#"{"code":"unavailable"}"#, 503, "unavailable"),
        ("POST /clerk/refuse", &[], r#"{"code":"denied"}"#, 403, "denied"),
        ("POST /clerk/refuse", &[], r#"{"code":"failed"}"#, 500, "failed"),
    ] {
        let answer = ask(api, line, headers, body).await?;
        assert_eq!(answer.status, status, "{line}: {}", answer.body);
        let problem = answer.json()?;
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{line}");
        assert!(problem["help"].is_array() && !problem["detail"].to_string().is_empty(), "{problem}");
        let step = problem["help"].as_array().is_some_and(|help| !help.is_empty());
        assert!(step || !matches!(status, 400 | 504), "nothing is said to do: {problem}");
        let trace = problem["trace_id"].as_str().unwrap_or_default();
        let headers = answer.headers.to_ascii_lowercase();
        assert!(trace.len() == 32 && headers.contains(&format!("micro-trace-id: {trace}")), "{headers}");
        assert!(headers.contains("content-type: application/problem+json"), "{headers}");
        let told = match status {
            405 => "allow: ",
            415 => "accept-post: ",
            503 => "retry-after: ",
            _ => "",
        };
        assert!(headers.contains(told), "{line}: {headers}");
    }
    let answer = ask(api, "POST /clerk/wait", &[], r#"{"ms":0}"#).await?;
    assert_eq!((answer.status, answer.body.as_str()), (200, "null"));
    Ok(())
}

#[tokio::test]
async fn a_service_with_too_much_in_work_says_when_to_come_again() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 1).await?;
    let api = cluster.members[0].at().api;
    let waits = (0..4).map(|_| ask(api, "POST /clerk/wait", &[], r#"{"ms":1000}"#));
    let mut statuses = Vec::new();
    for answer in futures::future::join_all(waits).await {
        let answer = answer?;
        if answer.status != 200 {
            assert_eq!(answer.json()?["code"], "overloaded", "{}", answer.body);
            assert!(answer.headers.to_ascii_lowercase().contains("retry-after: 1"), "{}", answer.headers);
        }
        statuses.push(answer.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503, 503, 503]);
    Ok(())
}

#[tokio::test]
async fn each_tenant_calls_its_own_services() -> anyhow::Result<()> {
    let cluster = Cluster::start(
        micro_tests::Plan {
            size: 1,
            extra: ["--api-host", "api.example.org"].map(str::to_owned).to_vec(),
            ..micro_tests::Plan::default()
        },
        &mut |_| (),
    )
    .await?;
    // Nobody in particular calls only where a tenant says so.
    rule(&cluster, "acme", "all", "loopback", "service:*:*").await?;
    let _clerk = clerk::serve(&cluster, 0, "acme", 64).await?;
    let api = cluster.members[0].at().api;
    for (headers, status) in [
        (&[][..], 404),
        (&["micro-namespace: acme"], 200),
        (&["host: acme.localhost"], 200),
        (&["host: acme.localhost:8080", "micro-namespace: other"], 401),
        (&["host: acme.api.example.org"], 200),
        (&["host: api.example.org"], 404),
        (&["host: api.example.org", "micro-namespace: acme"], 200),
        (&["host: other.example.org"], 403),
        (&["micro-namespace: A"], 400),
    ] {
        let answer = ask(api, "GET /clerk/echo?age=7", headers, "").await?;
        assert_eq!(answer.status, status, "{headers:?}: {}", answer.body);
    }
    Ok(())
}

#[tokio::test]
async fn every_node_reads_fields_of_a_service_on_another() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _clerk = clerk::serve(&cluster, 1, "default", 64).await?;
    let api = cluster.members[0].at().api;
    micro_tests::until("known", std::time::Duration::from_secs(20), async || {
        let answer = ask(api, "GET /orders/7?age=7&open=1", &[], "").await?;
        anyhow::ensure!(answer.status == 200, "{}", answer.body);
        anyhow::ensure!(
            given(&answer.json()?) == json!({"id": 7, "age": 7, "open": true}),
            "{}",
            answer.body
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn answers_are_compressed_where_it_is_worth_it_and_http2_is_spoken() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let url = |path: &str| format!("http://{}{path}", cluster.members[0].at().api);
    let head = |path: &'static str, encoding: &'static str| {
        let url = url(path);
        async move {
            let encoding = format!("accept-encoding: {encoding}");
            let head = curl(&["-D", "-", "-o", "/dev/null", "-H", &encoding, &url]).await?;
            anyhow::Ok(head.to_ascii_lowercase())
        }
    };
    for (path, encoding, used) in [
        ("/clerk/much?bytes=100000", "gzip", Some("gzip")),
        ("/clerk/much?bytes=100000", "br", Some("br")),
        ("/clerk/much?bytes=100000", "gzip;q=0", None),
        ("/clerk/much?bytes=100000", "identity", None),
        ("/clerk/much?bytes=100", "gzip", None),
    ] {
        let head = head(path, encoding).await?;
        let told = head.lines().find_map(|line| line.strip_prefix("content-encoding: "));
        assert_eq!(told, used, "{path} {encoding}: {head}");
    }
    let text = curl(&["--compressed", &url("/clerk/much?bytes=100000")]).await?;
    assert_eq!(text.len(), 100_002);
    let version = curl(&[
        "--http2-prior-knowledge",
        "-o",
        "/dev/null",
        "-w",
        "%{http_version} %{http_code}",
        &url("/clerk/echo?age=1"),
    ])
    .await?;
    assert_eq!(version, "2 200");
    Ok(())
}

#[tokio::test]
async fn a_request_keeps_its_name_and_its_trace() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let api = cluster.members[0].at().api;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("traceparent: 00-{trace}-00f067aa0ba902b7-01");
    let answer = ask(api, "GET /nobody", &["x-request-id: mine-7", &parent], "").await?;
    assert!(answer.headers.contains("x-request-id: mine-7"), "{}", answer.headers);
    assert!(answer.headers.contains(&format!("micro-trace-id: {trace}")), "{}", answer.headers);
    assert_eq!(answer.json()?["trace_id"], trace);
    Ok(())
}
