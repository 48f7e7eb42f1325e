//! Services of protobuf for callers with JSON, and the reverse.

use super::{PATIENCE, call, check, known};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use futures::future::BoxFuture;
use micro_sdk::{
    serve::{Ctx, Inbox, Outbox, Server, Service},
    wire::{Endpoint, Fault, Streams},
};
use micro_tests::{Cluster, Python, get, post, until};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    time::timeout,
};

/// Python's server, attached to a member with nothing told but its address.
async fn till(cluster: &Cluster, index: usize) -> anyhow::Result<Child> {
    let mut command = Python::with_clients().await?.client("grpc_till.py");
    let socket = &cluster.members[index].at().socket;
    let mut server = command.arg("serve").arg(socket).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("it is piped")?).lines();
    match timeout(PATIENCE, lines.next_line()).await?? {
        Some(line) if line == "attached" => Ok(server),
        line => bail!("it said {line:?}"),
    }
}

#[tokio::test]
async fn a_server_that_knows_protobuf_only_is_called_with_json_on_every_node() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _till = till(&cluster, 1).await?;
    for index in 0..2 {
        known(&cluster, index, "till").await?;
        check("described till", &cluster.members[index].at().proxy.to_string(), None).await?;
        let api = cluster.members[index].at().api;
        let asked = json!({
            "itemName": "tea", "count": "9007199254740993", "tags": ["a"], "at": "2026-01-02T03:04:05Z", "unit": "KILO",
            "stock": {"x": 1}, "inner": {"itemName": "milk"}, "picture": "AP8=", "rate": 0.5
        });
        let answer = post(api, "/till/price", &asked.to_string()).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        let answer = answer.json()?;
        assert_eq!(answer["total"], "27021597764222979", "no digit is lost: {answer}");
        assert_eq!(answer["caller"], "anonymous");
        for (field, value) in asked.as_object().context("it is one")? {
            // What the inner message does not say is told as well.
            let given = &answer["asked"][field];
            assert!(given == value || given["itemName"] == "milk", "{field}: {given}");
        }
        for path in
            ["/till/Till/price?item_name=tea&count=2", "/till/Price?itemName=tea&count=2&tags=a&tags=b"]
        {
            let answer = get(api, path).await?;
            ensure!(answer.status == 200, "{path}: {}", answer.body);
            assert_eq!(answer.json()?["total"], "6", "{path}");
        }
        for (path, body, status) in [
            ("/till/price", r#"{"item":"tea"}"#, 400),
            ("/till/price", r#"{"count":"many"}"#, 400),
            ("/till/price", r#"{"picture":"?"}"#, 400),
            ("/till/price", r#"{"unit":"POUND"}"#, 400),
            ("/till/nothing", "{}", 404),
            ("/till/fail", r#"{"count":501}"#, 501),
        ] {
            let answer = post(api, path, body).await?;
            assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
        }
        for (body, help) in [
            (r#"{"unit":"POUND"}"#, "it is one of"),
            (r#"{"unit":"POUND"}"#, "KILO"),
            (r#"{"item":"tea"}"#, "itemName"),
        ] {
            let answer = post(api, "/till/price", body).await?;
            assert!(answer.json()?["help"].to_string().contains(help), "{body}: {}", answer.body);
        }
        let long = json!({"itemName": "x".repeat(5 << 20)}).to_string();
        let answer = post(api, "/till/price", &long).await?;
        assert_eq!((answer.status, &answer.json()?["code"]), (413, &json!("too_large")), "{}", answer.body);
        // A stream of it is one of lines.
        let answer = post(api, "/till/prices", r#"{"count":"3"}"#).await?;
        assert_eq!((answer.status, &answer.json()?["total"]), (200, &json!("9")), "{}", answer.body);
        for (body, part) in
            [(r#"{"count":"x"}"#, "count: "), (r#"{"inner":{"count":true}}"#, "inner.count: ")]
        {
            let answer = post(api, "/till/prices", body).await?;
            assert!(
                answer.status == 400 && answer.body.contains(part),
                "{body}: {} {}",
                answer.status,
                answer.body
            );
        }
        let answer = post(api, "/till/fail", "{}").await?;
        assert!(answer.status >= 400 && answer.body.contains("the till is shut"), "{}", answer.body);
        let cli = cluster.cli(index)?;
        // So it is for streams of the command line and of the SDK.
        for words in [
            &["stream", "till", "acme.till.v1.Till.Prices", r#"{"count":"3"}"#][..],
            &["till", "prices", "--count", "3"],
        ] {
            let line: Value = serde_json::from_str(&cli.ok(words).await?)?;
            assert_eq!(line["total"], "9", "{words:?}: {line}");
        }
        let wrong = cli.run(&["stream", "till", "acme.till.v1.Till.Prices", r#"{"count":"x"}"#]).await?;
        assert!(wrong.code == 2 && wrong.stderr.contains("count: "), "{wrong:?}");
        let shown = cli.json(&["till", "price", "--item-name", "tea", "--count", "2", "--tags", "a"]).await?;
        assert_eq!((&shown["total"], &shown["caller"]), (&json!("6"), &json!("admin")), "{shown}");
        let help = cli.run(&["till", "price", "--help"]).await?;
        assert!(help.stdout.contains("--item"), "{}", help.stdout);
        assert!(help.stdout.contains("micro-node call till Price "), "{}", help.stdout);
        for endpoint in ["Price", "Till.Price", "acme.till.v1.Till.Price"] {
            let shown = cli.json(&["call", "till", endpoint, r#"{"count":2}"#]).await?;
            assert_eq!(shown["total"], "6", "{endpoint}: {shown}");
        }
        let described = get(api, "/openapi.json").await?;
        let document = described.json()?;
        assert!(document["paths"]["/till/Till/Price"]["post"].is_object(), "{}", document["paths"]);
        let paths = document["paths"].as_object().context("there are paths")?.keys();
        for path in paths.filter(|path| path.starts_with("/till/")) {
            let answer = post(api, path, "{}").await?;
            assert_ne!(answer.status, 404, "{path}: {}", answer.body);
        }
        assert!(described.body.contains("itemName"), "its fields are not in the description");
    }
    Ok(())
}

fn priced(asked: &Value) -> Value {
    json!({"asked": asked, "total": "7", "caller": "json"})
}

/// A till of this process, with JSON.
struct JsonTill;

impl Service for JsonTill {
    fn name(&self) -> &str {
        "json-till"
    }

    fn version(&self) -> &str {
        "1"
    }

    fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |name: &str, server: bool| Endpoint {
            name: name.to_owned(),
            request_schema: "true".to_owned(),
            response_schema: "true".to_owned(),
            doc: String::new(),
            routes: Vec::new(),
            streams: Streams { client: false, server },
        };
        vec![endpoint("Till.price", false), endpoint("Till.prices", true)]
    }

    fn dispatch<'a>(&'a self, _: &'a str, _: Ctx, body: Bytes) -> BoxFuture<'a, Result<Bytes, Fault>> {
        let asked: Value = serde_json::from_slice(&body).expect("it is JSON");
        Box::pin(async move { Ok(priced(&asked).to_string().into()) })
    }

    fn converse<'a>(
        &'a self,
        _: &'a str,
        _: Ctx,
        inbox: Inbox,
        outbox: Outbox,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let asked: Value = inbox.one("Till.prices").await?;
            for _ in 0..3 {
                outbox.answer(Ok::<_, Fault>(priced(&asked))).await?;
            }
            Ok(())
        })
    }
}

#[tokio::test]
async fn a_service_that_knows_json_only_is_called_with_protobuf() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let mut command = Python::with_clients().await?.client("grpc_till.py");
    let descriptors = command.arg("descriptors").output().await?.stdout;
    let node = format!("unix:{}", cluster.members[1].at().socket.display());
    let server = Server::new(JsonTill).descriptors(descriptors).node(node.parse()?);
    let serving = tokio::spawn(server.run_until(std::future::pending()));
    for index in 0..2 {
        known(&cluster, index, "json-till").await?;
        let answer = call(&cluster, index, "json-till").await?;
        assert_eq!((&answer["total"], &answer["caller"]), (&json!("7"), &json!("json")), "{answer}");
        // Callers with JSON notice nothing of it.
        let answer = post(cluster.members[index].at().api, "/json-till/price", r#"{"a":1}"#).await?;
        assert_eq!(answer.json()?["asked"]["a"], 1, "{}", answer.body);
    }
    serving.abort();
    let server =
        Server::new(JsonTill).name("bad").descriptors(b"no descriptors".to_vec()).node(node.parse()?);
    let refused =
        timeout(PATIENCE, server.run_until(std::future::pending())).await?.expect_err("it can't be");
    assert!(refused.to_string().contains("descriptors"), "{refused}");
    until("it is gone", PATIENCE, async || {
        let services = cluster.client(0).await?.services().await?;
        ensure!(services.iter().all(|service| service.name != "json-till"), "it is still there");
        Ok(())
    })
    .await
}
