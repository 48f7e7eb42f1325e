//! A service's configuration from all its sources, on a real node: `sdk/examples/shop`, and the SDK in this process.

use anyhow::{Context, ensure};
use micro_sdk::{
    client::{InstanceConfig, SECRET},
    config::{Config, Source},
    wire::Code,
};
use micro_tests::{Cluster, Member, program, until};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Stdio, time::Duration};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

/// How long what happens soon may take on a busy machine.
const SOON: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Limits {
    items: u32,
}

/// A running `shop`, which ends with the value.
fn shop(folder: &Path, member: &Member, items: &str, arguments: &[&str]) -> anyhow::Result<Child> {
    let mut command = Command::new(program("shop")?);
    command.current_dir(folder).env_clear().envs([
        ("MICRO_NODE_ADDRESS", member.address()),
        ("HOME", folder.display().to_string()),
        ("SHOP_LIMITS_ITEMS", items.to_owned()),
    ]);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
    Ok(command.kill_on_drop(true).spawn()?)
}

/// Waits until a value is as wanted.
async fn becomes<T: Clone + PartialEq + std::fmt::Debug>(
    receiver: &mut watch::Receiver<T>,
    wanted: &T,
) -> anyhow::Result<()> {
    let seen = timeout(SOON, receiver.wait_for(|value| value == wanted)).await;
    ensure!(matches!(&seen, Ok(Ok(_))), "it did not become {wanted:?}");
    Ok(())
}

/// The values of an instance, as JSON, with source and place.
fn told(instance: &InstanceConfig) -> BTreeMap<&str, (&Value, &str, &str)> {
    let values = instance.values.iter();
    values
        .map(|origin| (origin.path.as_str(), (&origin.value, origin.source.as_str(), origin.place.as_str())))
        .collect()
}

#[tokio::test]
async fn what_a_program_is_asked_it_answers_alone_and_without_a_node() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for name in ["shop", "helloworld"] {
        let mut command = Command::new(program(name)?);
        command.env_clear().current_dir(folder.path()).arg("--help").stdin(Stdio::null());
        command.env("MICRO_NODE_ADDRESS", format!("unix:{}", folder.path().join("nobody.sock").display()));
        let output = timeout(SOON, command.output()).await??;
        let (told, rest) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.success() && told.starts_with(name) && rest.is_empty(), "{told} {rest}");
    }
    Ok(())
}

#[tokio::test]
async fn a_service_follows_its_sources_and_tells_where_its_values_come_from() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (node, folder) = (cluster.client(0).await?, tempfile::tempdir()?);
    let tree = node.config();
    let _shop = shop(folder.path(), &cluster.members[0], "30", &["--set", "open=true"])?;
    let limits = async |wanted: u64| {
        let answer: Value = node.call("shop", "limits", json!({})).await?;
        ensure!(answer["items"] == wanted, "{answer}, not {wanted}");
        Ok(())
    };
    until("the variable counts", SOON, async || limits(30).await).await?;
    tree.set("shop.limits.items", 40).await?;
    until("the mesh counts more", SOON, async || limits(40).await).await?;
    // Its schema keeps out what would not fit, but asks for nothing that other sources have.
    let refused = tree.set("shop.limits.items", "many").await.expect_err("it is no number");
    assert!(refused.code == Code::Usage && refused.message.contains("shop.limits.items"), "{refused}");
    tree.set("shop.note", "free").await?;
    tree.set("shop.password", "hunter2").secret().await?;
    tree.delete("shop.limits").await?;
    until("the variable counts again", SOON, async || limits(30).await).await?;
    fs::write(folder.path().join("shop.toml"), "[limits]\nitems = 25\nlater = 1\n")?;

    let origins = async || {
        let instance = tree.origins("shop").await?.pop().context("it is attached")?;
        ensure!(instance.problem.is_none(), "{:?}", instance.problem);
        ensure!(told(&instance).contains_key("shop.limits.later"), "the file is not read yet");
        Ok(instance)
    };
    let instance = until("it tells of the file", SOON, origins).await?;
    let values = told(&instance);
    assert_eq!(values["shop.limits.items"], (&json!(30), "environment", "SHOP_LIMITS_ITEMS"));
    assert_eq!(values["shop.limits.later"], (&json!(1), "file", "shop.toml"));
    assert_eq!(values["shop.open"], (&json!(true), "flag", "--set open"));
    assert_eq!((values["shop.password"].0, values["shop.password"].1), (&json!(SECRET), "mesh"));
    assert!(values["shop.note"].2.starts_with("version "), "{values:?}");
    let items = instance.values.iter().find(|origin| origin.path == "shop.limits.items");
    assert_eq!(items.context("it is told")?.shadowed, ["file shop.toml", "default"]);
    let shown = cluster.cli(0)?.ok(&["config", "get", "shop", "--origin"]).await?;
    assert!(shown.contains("SHOP_LIMITS_ITEMS") && !shown.contains("hunter2"), "{shown}");
    // A file that is broken later is told by the instance itself; what it said before counts on.
    fs::write(folder.path().join("shop.toml"), "foo=[")?;
    let broken = async || {
        let instance = tree.origins("shop").await?.pop().context("it is attached")?;
        let problem = instance.problems.get("file shop.toml").context("it tells of no problem")?.clone();
        Ok((instance, problem))
    };
    let (instance, problem) = until("it tells that the file is broken", SOON, broken).await?;
    assert!(problem.contains("line 1") && problem.contains("kept"), "{problem}");
    assert_eq!(told(&instance)["shop.limits.later"].0, &json!(1));
    let shown = cluster.cli(0)?.run(&["config", "get", "shop", "--origin"]).await?;
    assert!(shown.code == 0 && shown.stderr.contains("file shop.toml"), "{}", shown.stderr);
    let shown = cluster.cli(0)?.json(&["config", "get", "shop", "--origin", "-o", "json"]).await?;
    assert_eq!(shown["items"][0]["problems"][0]["what"], "file shop.toml");
    // What a node asks for is no endpoint for others.
    assert!(node.call("shop", "-.config", json!({})).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_staged_change_reaches_some_instances_and_others_when_it_is_everybodys() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (node, folder) = (cluster.client(0).await?, tempfile::tempdir()?);
    let tree = node.config();
    let mut shops = Vec::new();
    for _ in 0..3 {
        shops.push(shop(folder.path(), &cluster.members[0], "9", &["--set=open=true"])?);
    }
    let with = async |items: u64, wanted: usize| {
        let instances = tree.origins("shop").await?;
        ensure!(instances.len() == 3, "{} of 3 are attached", instances.len());
        let having = |instance: &&InstanceConfig| {
            told(instance).get("shop.limits.items").is_some_and(|told| *told.0 == items)
        };
        let found = instances.iter().filter(having).count();
        ensure!(found == wanted, "{found} have {items}, not {wanted}");
        Ok(())
    };
    tree.set("shop.limits.items", 1).await?;
    until("all have it", SOON, async || with(1, 3).await).await?;
    let staged = tree.set("shop.limits.items", 2).canary(34).await?.canary.context("it is staged")?;
    until("some have it", SOON, async || {
        let (new, old) = (with(2, 1).await, with(1, 2).await);
        let (more, less) = (with(2, 2).await, with(1, 1).await);
        if (new.is_ok() && old.is_ok()) || (more.is_ok() && less.is_ok()) { Ok(()) } else { new }
    })
    .await?;
    tree.promote(staged).await?;
    until("all have it", SOON, async || with(2, 3).await).await
}

#[tokio::test]
async fn the_last_good_value_stays_while_the_mesh_says_nonsense_or_is_away() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let node = cluster.client(0).await?;
    node.config().set("shop", json!({"limits": {"items": 3}, "key": "s3cret"})).await?;
    node.config().set("shop.key", "hunter2").secret().await?;
    let builder = || Config::for_service("shop").defaults(json!({"limits": {"items": 1}})).mesh(&node);
    let config = builder().require_mesh(SOON).start().await?;
    let mut limits = config.watch::<Limits>("limits")?;
    assert_eq!(limits.borrow().items, 3, "the mesh was required");
    assert_eq!(config.string("key")?.as_deref(), Some("hunter2"));
    assert!(!format!("{config:?}{}{}", config.snapshot(), config.report()).contains("hunter2"));

    node.config().set("shop.limits.items", "nonsense").await?;
    let mut changes = config.changes();
    timeout(SOON, changes.wait_for(|now| now.exists("limits").is_ok() && now.int("limits.items").is_err()))
        .await??;
    assert_eq!(limits.borrow().items, 3);
    let problem =
        config.problems().into_iter().find(|(what, _)| what.contains("limits")).context("it is told")?;
    assert!(problem.1.contains("mesh version"), "{problem:?}");
    node.config().set("shop.limits.items", 4).await?;
    becomes(&mut limits, &Limits { items: 4 }).await?;
    assert_eq!(config.origin("limits.items")?.context("it is there")?.source, Source::Mesh);

    cluster.members[0].kill().await?;
    let away = async || {
        config.problems().remove("mesh").context("it is not noticed yet")?;
        anyhow::Ok(())
    };
    until("it is told that the mesh is away", SOON, away).await?;
    assert_eq!((limits.borrow().items, config.int("limits.items")?), (4, Some(4)));
    // One that starts now does without.
    let late = builder().start().await?;
    let mut late_limits = late.watch::<Limits>("limits")?;
    assert_eq!(late_limits.borrow().items, 1);
    cluster.members[0].start(&[]).await?;
    becomes(&mut late_limits, &Limits { items: 4 }).await?;
    node.config().set("shop.limits.items", 5).await?;
    becomes(&mut limits, &Limits { items: 5 }).await?;
    becomes(&mut late_limits, &Limits { items: 5 }).await?;
    ensure!(!config.problems().contains_key("mesh"), "{:?}", config.problems());
    Ok(())
}
