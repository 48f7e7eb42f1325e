//! `/mcp`: what a program that thinks may use, by the Python client of those who write the protocol, and by hand.

use super::{ask, clerk, talker};
use anyhow::{Context, ensure};
use micro_sdk::client::NewAccount;
use micro_tests::{Cluster, Python};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

/// What every client of the protocol says that it takes.
const ACCEPT: &str = "accept: application/json, text/event-stream";

/// What the client sees as `mode` has it, with a token or without, and what each tool answers it.
async fn seen(
    cluster: &Cluster,
    mode: &str,
    token: Option<&str>,
    calls: &[(&str, Value)],
) -> anyhow::Result<Value> {
    let python = Python::with_clients().await?;
    let mut client = python.client("mcp_tools.py");
    client.arg(format!("http://{}/mcp", cluster.members[0].at().api)).arg(mode);
    for (tool, arguments) in calls {
        client.args([(*tool).to_owned(), arguments.to_string()]);
    }
    if let Some(token) = token {
        client.env("MICRO_NODE_TOKEN", token);
    }
    let output = client.output().await.context("python3")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The tools that it sees, by name.
fn tools(seen: &Value) -> BTreeMap<&str, &Value> {
    let tools = seen["tools"].as_array().into_iter().flatten();
    tools.filter_map(|tool| Some((tool["name"].as_str()?, tool))).collect()
}

#[tokio::test]
async fn a_client_of_the_protocol_uses_services_and_the_platform() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 8).await?;
    let secret = fs::read_to_string(&cluster.members[0].at().admin_secret_file)?;
    for mode in ["auto", "legacy"] {
        let calls = [
            ("clerk.Clerk.echo", json!({"id": 7, "tags": ["a", "b"], "place": {"zip": 1}})),
            ("clerk.Clerk.much", json!({"bytes": 3})),
            ("clerk.Clerk.refuse", json!({"code": "conflict"})),
            ("clerk.Clerk.echo", json!({"id": "no number"})),
            ("clerk.Clerk.nothing", json!({})),
            ("store.write", json!({"key": mode, "value": "aGVsbG8="})),
            ("store.read", json!({"key": mode})),
        ];
        let seen = seen(&cluster, mode, Some(secret.trim()), &calls).await?;
        let tools = tools(&seen);
        let echo = tools.get("clerk.Clerk.echo").with_context(|| format!("no tool: {seen}"))?;
        assert_eq!(echo["description"], "Tells what it was given.");
        assert_eq!(echo["inputSchema"]["properties"]["place"]["anyOf"][0]["$ref"], "#/$defs/Place", "{echo}");
        assert_eq!(echo["annotations"]["readOnlyHint"], true, "it has a path for GET");
        assert_eq!(tools["store.write"]["annotations"]["readOnlyHint"], false);
        assert_eq!(tools["store.read"]["annotations"]["readOnlyHint"], true);
        assert!(
            !tools.contains_key("store.watch") && !tools.contains_key("auth.login"),
            "{:?}",
            tools.keys()
        );
        let answer = |number: usize| {
            (&seen["answers"][number]["isError"], &seen["answers"][number]["content"][0]["text"])
        };
        assert_eq!(seen["answers"][0]["structuredContent"]["tags"], json!(["a", "b"]), "{seen}");
        assert_eq!(answer(1), (&json!(false), &json!("\"xxx\"")));
        for (number, told) in [
            (2, "error: as asked for [conflict]\nhelp: ask for something else\ntrace: "),
            (3, "id"),
            (4, "nothing"),
        ] {
            let (failed, text) = answer(number);
            assert!(
                *failed == true && text.as_str().is_some_and(|text| text.contains(told)),
                "{number}: {text}"
            );
        }
        assert_eq!(seen["answers"][6]["structuredContent"]["record"]["value"], "aGVsbG8=", "{seen}");
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_is_a_tool_with_lists_of_messages() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _talker = talker::serve(&cluster, 0, 0).await?;
    let calls = [
        ("talker.Talker.resume", json!({"count": 2})),
        ("talker.Talker.total", json!({"messages": [1, 2, 39]})),
        ("talker.Talker.total", json!({"numbers": [1]})),
        ("talker.Talker.fail", json!({"at": 2})),
        ("talker.Talker.resume", json!({"count": 1001})),
    ];
    let seen = seen(&cluster, "auto", None, &calls).await?;
    let tools = tools(&seen);
    let input = &tools.get("talker.Talker.total").with_context(|| seen.to_string())?["inputSchema"];
    assert_eq!(
        (&input["required"], &input["properties"]["messages"]["type"]),
        (&json!(["messages"]), &json!("array"))
    );
    let answers = &seen["answers"];
    let resumed = json!({"messages": [{"id": "m-0"}, {"id": "m-1"}], "more": false});
    assert_eq!(answers[0]["structuredContent"], resumed, "{seen}");
    assert_eq!(answers[1]["content"][0]["text"], "42", "{seen}");
    let told = |number: usize| answers[number]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(told(2).contains("give {\"messages\": […]}"), "{}", told(2));
    assert!(told(3).starts_with("error: as asked for (after 2 messages) [conflict]"), "{}", told(3));
    let all = &answers[4]["structuredContent"];
    assert_eq!((all["messages"].as_array().map(Vec::len), &all["more"]), (Some(1000), &json!(true)));
    // One without an end is heard for as long as the caller has.
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "talker.Talker.tick", "arguments": {"ms": 1}}});
    let headers = [ACCEPT, "content-type: application/json", "micro-deadline-ms: 500"];
    let answer = ask(cluster.members[0].at().api, "POST /mcp", &headers, &call.to_string()).await?.json()?;
    let heard = &answer["result"]["structuredContent"];
    assert!(heard["messages"][0] == 0 && heard["more"] == true, "{answer}");
    Ok(())
}

#[tokio::test]
async fn nobody_in_particular_sees_what_the_rules_give_everybody() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 8).await?;
    let calls = [("clerk.Clerk.much", json!({"bytes": 1}))];
    let told = seen(&cluster, "auto", None, &calls).await?;
    let names: Vec<&str> = tools(&told).into_keys().collect();
    assert!(names.iter().all(|name| name.starts_with("clerk.Clerk.")) && names.len() == 6, "{names:?}");
    assert_eq!(told["answers"][0]["isError"], false, "{told}");
    // Who could say who they are is asked for that, and not told by the tool.
    let api = cluster.members[0].at().api;
    let refused = async |tool: &str| -> anyhow::Result<()> {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
        let headers = [ACCEPT, "content-type: application/json"];
        let answer = ask(api, "POST /mcp", &headers, &call.to_string()).await?;
        let told = answer.headers.to_ascii_lowercase().contains("www-authenticate: bearer");
        ensure!(answer.status == 401 && told, "{tool}: {} {}", answer.headers, answer.body);
        Ok(())
    };
    refused("store.read").await?;
    // A rule takes one away: it is not shown, and not used.
    cluster
        .cli(0)?
        .ok(&[
            "auth",
            "create",
            "rule",
            "no-much",
            "--scope",
            "loopback",
            "--resource",
            "service:clerk:Clerk.much",
            "--access",
            "denied",
        ])
        .await?;
    let told = seen(&cluster, "auto", None, &[]).await?;
    assert!(!tools(&told).contains_key("clerk.Clerk.much"), "{told}");
    refused("clerk.Clerk.much").await
}

#[tokio::test]
async fn an_account_sees_the_tools_that_rules_give_it() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let admin = cluster.cli(0)?;
    let node = cluster.client(0).await?;
    let scopes = ["crm".to_owned()].to_vec();
    let account = node.auth().create_account("jane", NewAccount { scopes, ..NewAccount::default() }).await?;
    let rule = ["--scope", "crm", "--resource", "store:crm/*:read"];
    admin.ok(&[&["auth", "create", "rule", "crm"], &rule[..]].concat()).await?;
    let jane = node.auth().login("jane", &account.secret.context("a secret was made")?).await?;
    let seen = seen(&cluster, "auto", Some(jane.access.expose()), &[]).await?;
    let tools = tools(&seen);
    for (name, listed) in [
        ("store.read", true),
        ("store.list", true),
        ("auth.who-am-i", true),
        ("store.write", false),
        ("store.compact", false),
        ("network.leave", false),
        ("network.status", false),
        ("auth.create-account", false),
    ] {
        assert_eq!(tools.contains_key(name), listed, "{name}: {:?}", tools.keys());
    }
    Ok(())
}

#[tokio::test]
async fn what_is_no_message_of_the_protocol_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let api = cluster.members[0].at().api;
    let json = "content-type: application/json";
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for (line, headers, body, status) in [
        ("GET /mcp", &[ACCEPT][..], "", 405),
        ("DELETE /mcp", &[ACCEPT], "", 405),
        ("POST /mcp", &[json], list, 406),
        ("POST /mcp", &[ACCEPT, "content-type: text/plain"], list, 415),
        ("POST /mcp", &[ACCEPT, json], "{", 400),
        ("POST /mcp", &[ACCEPT, json], &deep, 400),
        ("POST /mcp", &[ACCEPT, json, "authorization: Bearer x"], list, 401),
        ("POST /mcp", &[ACCEPT, json, "origin: https://elsewhere.example"], list, 403),
        ("POST /mcp", &[ACCEPT, json, "host: elsewhere.example"], list, 403),
    ] {
        let answer = ask(api, line, headers, body).await?;
        let near = [status, 400, 415, 422];
        let status_ok = if status == 400 { near.contains(&answer.status) } else { answer.status == status };
        assert!(status_ok, "{line} {headers:?}: {} {}", answer.status, answer.body);
    }
    let call =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"store.read","arguments":[1]}}"#;
    let answer = ask(api, "POST /mcp", &[ACCEPT, json], call).await?.json()?;
    let message = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(answer["error"]["code"] == -32602 && message.contains("must be an object"), "{answer}");
    let answer = ask(api, "POST /mcp", &[ACCEPT, json], list).await?;
    assert_eq!((answer.status, &answer.json()?["result"]["tools"]), (200, &json!([])), "{}", answer.body);
    Ok(())
}
