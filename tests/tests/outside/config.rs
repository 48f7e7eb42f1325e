//! The configuration as people and services reach it: by the command line and the SDK, on real nodes.

use anyhow::{Context, ensure};
use futures::future::try_join_all;
use micro_sdk::{
    client::{ConfigUpdate, ConfigWatch},
    wire::Code,
};
use micro_tests::{Cluster, CommandLine, Greeter, get, post, until};
use serde_json::{Value, json};
use std::{fs, path::Path, time::Duration};
use tokio::time::timeout;

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// What a watch tells next.
async fn next(watch: &mut ConfigWatch) -> anyhow::Result<ConfigUpdate> {
    Ok(timeout(SOON, watch.next()).await?.context("the watch has ended")??)
}

/// Whether a text is in a file of this folder or of one below.
fn holds(folder: &Path, text: &str) -> anyhow::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => holds(&path, text)?,
            Ok(metadata) if metadata.is_file() => {
                fs::read(&path)?.windows(text.len()).any(|window| window == text.as_bytes())
            }
            _ => false,
        };
        if found {
            println!("{text:?} is in {}", path.display());
            return Ok(true);
        }
    }
    Ok(false)
}

#[tokio::test]
async fn what_is_set_on_one_node_is_there_on_all_and_nothing_is_lost() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let watched = cluster.client(2).await?;
    let mut watch = watched.config().watch("shop").await?;
    assert_eq!(next(&mut watch).await?.reading.text, None, "nothing is there yet");
    cluster.cli(0)?.ok(&["config", "set", "shop", r#"{"limits":{"items":1.10},"open":false}"#]).await?;
    let update = next(&mut watch).await?;
    assert_eq!(update.reading.text.as_deref(), Some(r#"{"limits":{"items":1.10},"open":false}"#));
    assert_eq!((update.edits.len(), update.reading.version), (2, 1));
    let by_the_user = |update: &ConfigUpdate| update.who.as_ref().is_some_and(|who| who.contains("uid"));
    assert!(by_the_user(&update), "{:?}", update.who);
    for index in 0..3 {
        let cli = cluster.cli(index)?;
        assert_eq!(cli.ok(&["config", "get", "shop.limits.items"]).await?, "1.10");
        assert_eq!(cli.ok(&["config", "get", "shop.open"]).await?, "false");
        assert_eq!(cli.run(&["config", "get", "shop.nothing"]).await?.code, 5);
    }
    // Writers on different nodes, all at once.
    let writers = (0..4).map(async |writer: usize| {
        let tree = cluster.client(writer % 3).await?.config();
        for number in 0..10 {
            tree.set(format!("many.w{writer}.n{number}"), number).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(writers).await?;
    let reading = cluster.client(1).await?.config().get("many").await?;
    assert_eq!((reading.leaves.len(), reading.version), (40, 41));
    // The node that is watched dies, and comes again.
    cluster.members[2].kill().await?;
    until("a change without it", SOON, async || {
        Ok(cluster.client(0).await?.config().set("shop.open", true).idempotency_key(7).await?)
    })
    .await?;
    cluster.members[2].start(&[]).await?;
    let update = next(&mut watch).await?;
    assert_eq!(update.reading.value()?.context("it is there")?["open"], json!(true));
    assert_eq!(update.edits.len(), 1);
    assert!(by_the_user(&update), "who made it while nobody could be told is not lost: {:?}", update.who);
    Ok(())
}

#[tokio::test]
async fn the_past_is_seen_compared_and_brought_back() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    cli.ok(&["config", "set", "shop.limits", r#"{"items":10,"carts":2}"#, "--reason", "opening"]).await?;
    cli.ok(&["config", "set", "shop.limits.items", "20", "-m", "a sale"]).await?;
    assert_eq!(cli.run(&["config", "del", "shop"]).await?.code, 2, "nobody can be asked");
    cli.ok(&["config", "del", "shop.limits.carts"]).await?;
    cli.ok(&["config", "del", "shop", "--yes"]).await?;
    assert_eq!(cli.run(&["config", "get", "shop"]).await?.code, 5);
    assert_eq!(cli.ok(&["config", "get", "shop.limits", "--at", "2"]).await?, r#"{"carts":2,"items":20}"#);
    let history = cli.json(&["config", "history", "shop", "-o", "json"]).await?;
    let items = history["items"].as_array().context("there is a history")?;
    let found: Vec<_> =
        items.iter().map(|item| (item["version"].as_u64(), item["action"].as_str())).collect();
    let expected = [(4, "delete"), (3, "delete"), (2, "set"), (1, "set")];
    assert_eq!(found, expected.map(|(version, action)| (Some(version), Some(action))));
    assert_eq!((&items[3]["reason"], &items[2]["edits"][0]["after"]), (&json!("opening"), &json!(20)));
    assert!(items[0]["by"].as_str().is_some_and(|by| by.contains("uid")), "{}", items[0]);
    let diff = cli.json(&["config", "diff", "1", "2", "-o", "json"]).await?;
    let edit =
        json!({"path": "shop.limits.items", "kind": "change", "before": 10, "after": 20, "secret": false});
    assert_eq!(diff["items"], json!([edit]));
    let refused = cli.run(&["config", "rollback", "1", "--if-version", "3"]).await?;
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    cli.ok(&["config", "rollback", "1", "shop.limits"]).await?;
    assert_eq!(cli.ok(&["config", "get", "shop.limits"]).await?, r#"{"carts":2,"items":10}"#);
    // None of it can be found or touched as records.
    assert_eq!(cli.ok(&["store", "databases"]).await?, "");
    let outcome = cli.run(&["store", "list", "--database", "~platform", "--table", "config-tree"]).await?;
    assert_eq!(outcome.code, 2, "{}", outcome.stdout);
    Ok(())
}

#[tokio::test]
async fn more_than_one_value_goes_only_if_that_is_meant() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    cli.ok(&["config", "set", "shop", r#"{"a":1,"b":2,"c":3,"d":4}"#]).await?;
    let file = cluster.root().join("shop.json");
    fs::write(&file, r#"{"shop":{"a":5}}"#)?;
    let file = file.display().to_string();
    for (arguments, would) in [
        (&["rollback", "0"][..], "take the whole tree back to version 0: remove 4 values?"),
        (&["rollback", "0", "shop"], "take shop back to version 0: remove 4 values?"),
        (&["import", &file, "--replace"], "import into the whole tree: remove 3 values, change 1 value?"),
        (&["set", "shop", r#"{"a":1,"e":5}"#, "--replace"], "set shop: remove 3 values, add 1 value?"),
        (&["set", "shop", "5"], "set shop: remove 4 values, add 1 value?"),
        (&["del", "shop"], "remove 4 values under shop?"),
    ] {
        let refused = cli.run(&[&["config"], arguments].concat()).await?;
        assert_eq!(refused.code, 2, "{arguments:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(would), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(cli.ok(&["config", "get", "shop"]).await?, r#"{"a":1,"b":2,"c":3,"d":4}"#);
    // What merges, or takes one value away, needs no answer; nor does what is staged or only asked about.
    cli.ok(&["config", "import", &file]).await?;
    cli.ok(&["config", "set", "shop", r#"{"a":1,"b":2,"c":3}"#, "--replace"]).await?;
    cli.ok(&["config", "rollback", "2", "--dry-run"]).await?;
    cli.ok(&["config", "rollback", "0", "--yes"]).await?;
    assert_eq!(cli.run(&["config", "get", "shop"]).await?.code, 5);
    // To bring values back takes none away.
    cli.ok(&["config", "rollback", "1"]).await?;
    assert_eq!(cli.ok(&["config", "get", "shop"]).await?, r#"{"a":1,"b":2,"c":3,"d":4}"#);
    Ok(())
}

#[tokio::test]
async fn a_secret_is_in_no_file_and_for_those_only_who_may() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(4).await?;
    let status = cluster.status(0).await?;
    let voters = status["consensus"]["voters"].as_array().context("there are voters")?.clone();
    let votes = |index: usize| voters.contains(&json!(cluster.members[index].at().node));
    let learner = (0..4).find(|index| !votes(*index)).context("one of four does not vote")?;
    let voter = (0..4).find(|index| votes(*index)).context("three of four vote")?;
    let secret = "correct horse battery staple";
    let file = cluster.root().join("key.txt");
    fs::write(&file, secret)?;
    let argument = format!("@{}", file.display());
    let (of_learner, of_voter) = (cluster.cli(learner)?, cluster.cli(voter)?);
    let outcome = of_learner.run(&["config", "set", "shop.key", secret, "--secret"]).await?;
    assert!(outcome.code == 2 && !outcome.stderr.contains(secret), "{}", outcome.stderr);
    // One that does not vote can open no secret: another does it for it.
    of_learner.ok(&["config", "set", "shop.key", &argument, "--secret"]).await?;
    let client = cluster.client(learner).await?;
    let mut watch = client.config().watch("shop").show_secrets().await?;
    assert_eq!(next(&mut watch).await?.reading.value()?, Some(json!({ "key": secret })));
    for cli in [&of_learner, &of_voter] {
        assert_eq!(cli.ok(&["config", "get", "shop"]).await?, r#"{"key":"[secret]"}"#);
        assert_eq!(cli.ok(&["config", "get", "shop.key", "--show-secrets"]).await?, secret);
        for verb in [&["history"][..], &["export"], &["list"], &["diff", "0"]] {
            let shown = cli.run(&[&["config"], verb, &["-o", "json"]].concat()).await?;
            assert!(!shown.stdout.contains(secret) && shown.stdout.contains("[secret]"), "{}", shown.stdout);
        }
    }
    let rotation = of_learner.json(&["config", "rotate-key", "-o", "json"]).await?;
    assert_eq!(rotation["item"], json!({"key": 2, "secrets": 1, "lost": 0, "lost_places": []}));
    fs::write(&file, "something else")?;
    of_voter.ok(&["config", "set", "shop.key", &argument]).await?;
    let told = next(&mut watch).await?.reading.value()?;
    assert_eq!(told, Some(json!({ "key": "something else" })));
    assert_eq!(of_learner.ok(&["config", "get", "shop.key", "--at", "1", "--secret"]).await?, secret);
    cluster.stop().await?;
    fs::remove_file(&file)?;
    for text in [secret, "something else"] {
        ensure!(!holds(cluster.root(), text)?, "a secret is in a file");
    }
    ensure!(holds(cluster.root(), "shop.key")?, "the places of secrets are to be found");
    Ok(())
}

#[tokio::test]
async fn nobody_gets_in_without_the_secret_of_the_admin() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let ready = cluster.members[0].at();
    let stranger = CommandLine::new(Some(ready.proxy.to_string()), cluster.root())?;
    for verb in [
        &["get"][..],
        &["get", "--show-secrets"],
        &["list"],
        &["set", "a", "1"],
        &["del", "a", "--yes"],
        &["watch"],
        &["history"],
        &["diff", "0"],
        &["rollback", "0"],
        &["canaries"],
        &["promote", "1"],
        &["abort", "1"],
        &["export"],
        &["schema", "shop"],
        &["schema", "shop", "{}"],
        &["rotate-key"],
        &["get", "shop", "--origin"],
        &["view"],
    ] {
        let outcome = stranger.run(&[&["config"], verb].concat()).await?;
        assert_eq!(outcome.code, 4, "{verb:?}: {} {}", outcome.stdout, outcome.stderr);
    }
    for path in ["/config/get", "/config/read", "/config/change", "/config/-.config"] {
        let answer = post(ready.api, path, "{}").await?;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
    }
    let token = format!("@{}", ready.admin_secret_file.display());
    stranger.ok(&["--token", &token, "config", "set", "a", "1"]).await?;
    let history = stranger.json(&["--token", &token, "config", "history", "-o", "json"]).await?;
    assert_eq!(history["items"][0]["by"], "admin");
    Ok(())
}

#[tokio::test]
async fn what_is_between_the_platform_and_instances_is_for_nobody_else() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    let cli = cluster.cli(0)?;
    until("known", SOON, async || Ok(cli.json(&["call", "helloworld", "call", r#"{"name":"a"}"#]).await?))
        .await?;
    for path in ["/helloworld/-.config", "/helloworld/-/config"] {
        let answer = get(cluster.members[0].at().api, path).await?;
        assert!([403, 404].contains(&answer.status), "{path}: {}", answer.body);
    }
    let asked = cluster.client(0).await?.call("helloworld", "-.config", json!({})).await;
    assert_eq!(asked.expect_err("it is for nodes alone").code, Code::Denied);
    // Instances are asked, whatever they have to say.
    let origins = cli.json(&["config", "get", "helloworld", "--origin", "-o", "json"]).await?;
    assert_eq!(origins["summary"]["instances"], 1);
    assert_eq!(cli.run(&["config", "get", "nobody", "--origin"]).await?.code, 5);
    Ok(())
}

/// The instances of the greeter, once there are so many.
async fn instances(node: &micro_sdk::Node, count: usize) -> anyhow::Result<Vec<String>> {
    until("instances", SOON, async || {
        let services = node.services().await?;
        let service = services.into_iter().filter(|service| service.name == "helloworld");
        let ids: Vec<String> =
            service.flat_map(|service| service.instances).map(|instance| instance.id).collect();
        ensure!(ids.len() == count, "{ids:?}");
        Ok(ids)
    })
    .await
}

/// The instances that have the sole staged change.
async fn holders(cli: &CommandLine) -> anyhow::Result<Vec<String>> {
    let canaries = cli.json(&["config", "canaries", "-o", "json"]).await?;
    let instances = canaries["items"][0]["instances"].as_array().context("it is staged")?;
    Ok(instances.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

#[tokio::test]
async fn a_staged_change_is_on_its_share_until_it_is_everybodys() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    let member = &cluster.members[0];
    let first = Greeter::start(cluster.root(), member, false)?;
    let of_first = instances(&node, 1).await?.remove(0);
    let second = Greeter::start(cluster.root(), member, false)?;
    let both = instances(&node, 2).await?;
    let of_second = both.iter().find(|id| **id != of_first).context("there are two")?.clone();
    cli.ok(&["config", "set", "helloworld.greeting", "Hello"]).await?;
    let staged =
        cli.json(&["config", "set", "helloworld.greeting", "Hi", "--canary", "10%", "-o", "json"]).await?;
    let canary = staged["item"]["canary"].as_u64().context("it is staged")?;
    let has = holders(&cli).await?;
    let first_has = has == [of_first.clone()];
    ensure!(first_has || has == [of_second.clone()], "{has:?} of {both:?}");
    let (has, has_not) = if first_has { (of_first, of_second) } else { (of_second, of_first) };
    assert_eq!(cli.ok(&["config", "get", "helloworld.greeting"]).await?, "Hello");
    assert_eq!(cli.ok(&["config", "get", "helloworld.greeting", "--instance", &has]).await?, "Hi");
    assert_eq!(cli.ok(&["config", "get", "helloworld.greeting", "--instance", &has_not]).await?, "Hello");
    // When the one goes that has it, the other has it, and is told.
    let mut watch = node.config().watch("helloworld.greeting").instance(&has_not).await?;
    assert_eq!(next(&mut watch).await?.reading.value()?, Some(json!("Hello")));
    let (holder, _other) = if first_has { (first, second) } else { (second, first) };
    holder.kill().await?;
    let update = next(&mut watch).await?;
    assert_eq!(update.reading.value()?, Some(json!("Hi")));
    assert_eq!((update.reading.leaves[0].canary, holders(&cli).await?), (Some(canary), vec![has_not]));
    // Whoever sets it meanwhile is told, and does not lose it.
    let outcome = cli.run(&["config", "set", "helloworld.greeting", "Good day"]).await?;
    assert!(
        outcome.stderr.contains(&format!("the staged change {canary} touches this too")),
        "{}",
        outcome.stderr
    );
    let outcome = cli.run(&["config", "promote", &canary.to_string()]).await?;
    assert!(outcome.code == 6 && outcome.stderr.contains("and is \"Good day\""), "{}", outcome.stderr);
    let shown = cli.json(&["config", "canaries", "-o", "json"]).await?;
    assert_eq!(shown["items"][0]["overtaken"][0]["after"], "Good day");
    cli.ok(&["config", "rollback", &(canary - 1).to_string(), "helloworld"]).await?;
    cli.ok(&["config", "promote", &canary.to_string(), "-m", "no complaints"]).await?;
    assert_eq!(cli.ok(&["config", "get", "helloworld.greeting"]).await?, "Hi");
    assert_eq!(cli.run(&["config", "abort", &canary.to_string()]).await?.code, 5);
    Ok(())
}

#[tokio::test]
async fn documents_come_and_go_and_have_to_fit() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let file = |name: &str, text: &str| {
        let path = cluster.root().join(name);
        fs::write(&path, text).map(|()| path.display().to_string())
    };
    let toml = file("shop.toml", "[shop]\nopen = true\nlimits.items = 10\nnames = [\"a\", \"b\"]\n")?;
    cli.ok(&["config", "import", &toml]).await?;
    let whole = r#"{"shop":{"limits":{"items":10},"names":["a","b"],"open":true}}"#;
    assert_eq!(cli.ok(&["config", "export"]).await?, whole);
    let schema =
        file("schema.json", r#"{"properties":{"limits":{"properties":{"items":{"type":"integer"}}}}}"#)?;
    cli.ok(&["config", "schema", "shop", &format!("@{schema}")]).await?;
    let outcome = cli.run(&["config", "set", "shop.limits.items", "many"]).await?;
    assert!(outcome.code == 2 && outcome.stderr.contains("shop.limits.items"), "{}", outcome.stderr);
    let yaml = file("shop.yaml", "limits:\n  items: 20\nopen: false\n")?;
    let planned = cli.json(&["config", "import", &yaml, "--path", "shop", "--dry-run", "-o", "json"]).await?;
    assert_eq!(planned["item"]["edits"].as_array().map(Vec::len), Some(2));
    cli.ok(&["config", "import", &yaml, "--path", "shop", "--replace"]).await?;
    assert_eq!(cli.ok(&["config", "get"]).await?, r#"{"shop":{"limits":{"items":20},"open":false}}"#);
    let list = cli.json(&["config", "list", "-o", "json"]).await?;
    assert_eq!(list["items"][1]["path"], "shop.open");
    for (arguments, code) in [
        (&["set", "a..b", "1"][..], 2),
        (&["set", "a", "1", "--canary", "0%"], 2),
        (&["set", "nobody.a", "1", "--canary", "10%"], 5),
        (&["set", "shop.open.a", "1"], 2),
        (&["import", "/nowhere/at/all.json"], 2),
        (&["promote", "7"], 5),
        (&["get", "--at", "77"], 2),
        (&["schema", "nobody"], 5),
        (&["schema", "shop", "{\"type\":\"no\"}"], 2),
    ] {
        let outcome = cli.run(&[&["config"], arguments].concat()).await?;
        assert_eq!(outcome.code, code, "{arguments:?}: {}", outcome.stderr);
        assert!(outcome.stdout.is_empty(), "{arguments:?} wrote data");
    }
    let fault = cluster.client(0).await?.config().set("", 1).await.expect_err("it is no tree");
    assert_eq!(fault.code, Code::Usage);
    Ok(())
}

#[tokio::test]
async fn a_node_tells_its_settings_and_where_each_comes_from() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    for zone in [&["--zone".to_owned(), "a".to_owned()][..], &[]] {
        assert_eq!(cluster.members[0].stop().await?, 0);
        cluster.members[0].start(zone).await?;
    }
    assert_eq!(cluster.status(0).await?["nodes"][0]["zone"], "a", "where it stands is not forgotten");
    let view = cluster.cli(0)?.json(&["config", "view", "-o", "json"]).await?;
    let items = view["items"].as_array().context("there are settings")?;
    let find = |name: &str| items.iter().find(|item| item["name"] == name).cloned().context(name.to_owned());
    let ready = cluster.members[0].at();
    let api = find("api")?;
    assert_eq!((&api["value"], &api["source"]), (&json!(ready.api.to_string()), &json!("flag")));
    let voters = json!({"name": "voters", "value": "3", "source": "default", "place": ""});
    assert_eq!(find("voters")?, voters);
    assert_eq!(find("zone")?, json!({"name": "zone", "value": "a", "source": "last start", "place": ""}));
    assert_eq!(find("name")?["value"], json!(ready.name));
    Ok(())
}
