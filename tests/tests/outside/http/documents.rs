//! What the door tells of itself: health, readiness, metrics, and a description of all that can be called.

use super::{ask, clerk};
use micro_tests::Cluster;
use serde_json::Value;
use std::{collections::BTreeSet, fs};

#[tokio::test]
async fn health_and_readiness_are_told_apart() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let api = cluster.members[0].at().api;
    for (path, status) in [("/health", "ok"), ("/ready", "ready")] {
        let answer = ask(api, &format!("GET {path}"), &[], "").await?;
        assert_eq!((answer.status, &answer.json()?["status"]), (200, &status.into()), "{}", answer.body);
        assert_eq!(ask(api, &format!("HEAD {path}"), &[], "").await?.body, "");
        assert_eq!(ask(api, &format!("POST {path}"), &[], "{}").await?.status, 405);
    }
    cluster.cli(0)?.ok(&["drain"]).await?;
    assert_eq!(ask(api, "GET /health", &[], "").await?.status, 200);
    let answer = ask(api, "GET /ready", &[], "").await?;
    assert_eq!((answer.status, &answer.json()?["code"]), (503, &"unavailable".into()), "{}", answer.body);
    Ok(())
}

/// The samples of a text of metrics. Whatever Prometheus would refuse is an error.
fn samples(text: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let (mut typed, mut samples) = (BTreeSet::new(), Vec::new());
    let name = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
    };
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (metric, kind) = rest.split_once(' ').unwrap_or_default();
            anyhow::ensure!(name(metric) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            anyhow::ensure!(typed.insert(metric.to_owned()), "{metric} is there twice");
            anyhow::ensure!(kind != "counter" || metric.ends_with("_total"), "{metric}");
        } else if line.starts_with("# HELP ") {
            anyhow::ensure!(line.split(' ').count() > 3, "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap_or_default();
            let metric = series.split('{').next().unwrap_or_default();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| metric.strip_suffix(end));
            let known = typed.contains(metric) || family.is_some_and(|family| typed.contains(family));
            anyhow::ensure!(name(metric) && known, "{line}");
            samples.push((series.to_owned(), value.parse()?));
        }
    }
    let series: BTreeSet<&String> = samples.iter().map(|(series, _)| series).collect();
    anyhow::ensure!(series.len() == samples.len(), "a series is there twice");
    Ok(samples)
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads_and_count_what_happens() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let api = cluster.members[0].at().api;
    let count = async |series: &str| -> anyhow::Result<f64> {
        let answer = ask(api, "GET /metrics", &[], "").await?;
        anyhow::ensure!(
            answer.headers.contains("content-type: text/plain; version=0.0.4"),
            "{}",
            answer.headers
        );
        let samples = samples(&answer.body)?;
        Ok(samples.iter().find(|(found, _)| found == series).map_or(0.0, |(_, value)| *value))
    };
    let refused = "micro_node_http_requests_total{door=\"api\",code=\"404\"}";
    let (before, all) =
        (count(refused).await?, count("micro_node_http_request_duration_seconds_count").await?);
    for _ in 0..3 {
        ask(api, "GET /nobody", &[], "").await?;
    }
    assert_eq!(count(refused).await?, before + 3.0);
    assert!(count("micro_node_http_request_duration_seconds_count").await? >= all + 4.0);
    assert!(count("micro_node_raft_term").await? >= 1.0);
    assert_eq!(count("micro_node_raft_members{role=\"voter\"}").await?, 1.0);
    assert_eq!(count("micro_node_raft_leading").await?, 1.0);
    let index = count("micro_node_raft_applied_index").await?;
    cluster.cli(0)?.ok(&["store", "write", "k", "1"]).await?;
    assert!(count("micro_node_raft_applied_index").await? > index);
    Ok(())
}

/// Every reference in a document leads to something in it.
fn check_references(root: &Value, at: &Value) {
    match at {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
                assert!(target.is_some(), "{reference} leads nowhere");
            }
            members.values().for_each(|member| check_references(root, member));
        }
        Value::Array(items) => items.iter().for_each(|item| check_references(root, item)),
        _ => {}
    }
}

#[tokio::test]
async fn all_that_can_be_called_is_described() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let api = cluster.members[0].at().api;
    let document = ask(api, "GET /openapi.json", &[], "").await?.json()?;
    assert_eq!(document["openapi"], "3.1.0");
    check_references(&document, &document);
    let paths = document["paths"].as_object().expect("there are paths");
    let echo = &paths["/clerk/Clerk/echo"]["post"];
    assert_eq!(
        (&echo["summary"], &echo["operationId"]),
        (&"Tells what it was given.".into(), &"clerk.Clerk.echo".into())
    );
    let request = &echo["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    let schema = document.pointer(request.as_str().expect("a reference").trim_start_matches('#'));
    assert_eq!(schema.expect("it is there")["properties"]["age"]["description"], "How old they are.");
    // What a 405 says is taken is what is described.
    let asked = &paths["/clerk/Clerk/echo"]["get"]["parameters"];
    let named = asked.as_array().expect("there are fields").iter().any(|field| field["name"] == "age");
    assert!(named, "{asked}");
    let refused = ask(api, "PUT /clerk/Clerk/echo", &[], "{}").await?;
    assert!(refused.status == 405 && refused.headers.contains("allow: GET, HEAD, POST"), "{refused:?}");
    assert_eq!(paths["/clerk/Clerk/echo"].as_object().expect("it has methods").len(), 2);
    let get = &paths["/orders/{id}"]["get"];
    assert_eq!((&get["parameters"][0]["name"], &get["parameters"][0]["in"]), (&"id".into(), &"path".into()));
    assert!(paths["/orders/{id}"]["put"]["requestBody"].is_object(), "{}", paths["/orders/{id}"]);
    let ids: Vec<&str> = paths
        .values()
        .flat_map(|path| path.as_object().into_iter().flat_map(|methods| methods.values()))
        .map(|operation| operation["operationId"].as_str().expect("each has one"))
        .collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "ids are there twice: {ids:?}");

    // The platform is described to those who may use it, and a tenant's services to that tenant.
    let platform: Vec<&str> = paths.keys().filter_map(|path| path.strip_prefix("/-/v1/")).collect();
    assert_eq!(
        platform,
        ["auth/keys", "auth/login", "auth/logout", "auth/refresh"],
        "what everybody may ask"
    );
    let secret = fs::read_to_string(&cluster.members[0].at().admin_secret_file)?;
    let bearer = format!("authorization: Bearer {}", secret.trim());
    let document = ask(api, "GET /openapi.json", &[&bearer], "").await?.json()?;
    check_references(&document, &document);
    let watch = &document["paths"]["/-/v1/store/watch"]["get"]["responses"]["200"]["content"];
    assert!(watch["text/event-stream"].is_object(), "{watch}");
    // One that is there refuses what it does not take; of one that is not there is no word of that.
    for path in document["paths"].as_object().expect("there are paths").keys() {
        // What begins with a field is told from the name of a service by its method alone.
        let expected = if path.starts_with("/{") { 404 } else { 405 };
        let path = path.replace(['{', '}'], "");
        let answer = ask(api, &format!("PATCH {path}"), &[&bearer], "{}").await?;
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
    }
    // What nobody is shown is not described to them.
    let nobody = ask(api, "GET /openapi.json", &[], "").await?.json()?;
    let described = |document: &Value, name: &str| document["components"]["schemas"][name].is_object();
    assert!(described(&nobody, "micro.v1.LoginRequest") && !described(&nobody, "micro.v1.WriteRequest"));
    assert!(described(&document, "micro.v1.WriteRequest"));
    let other = ask(api, "GET /openapi.json", &["micro-namespace: acme"], "").await?.json()?;
    assert!(other["paths"]["/clerk/Clerk/echo"].is_null());
    Ok(())
}
