//! The contract of calls on real nodes: who gets a call, what is tried again, what is asked twice, what is refused.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::uri::PathAndQuery;
use micro_sdk::{client::Address, prelude::*, proto::RawCodec, serve::Server};
use micro_tests::{Cluster, Plan, until};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time::sleep};
use tonic::{
    client::Grpc,
    transport::{Channel, Endpoint},
};

/// Who answered.
#[message]
pub struct Signed {
    /// The name of the instance.
    by: String,
}

/// Nothing in particular.
#[message]
pub struct Ask {}

/// What an instance does to its callers.
#[derive(Default)]
struct Mood {
    calls: AtomicU32,
    /// How long it takes.
    ms: AtomicU64,
    /// So many calls more fail, after they were done.
    failures: AtomicU32,
}

struct Worker {
    name: String,
    mood: Arc<Mood>,
}

#[service(name = "worker")]
impl Worker {
    /// May be done twice.
    async fn look(&self, _ask: Ask) -> Result<Signed> {
        self.work().await
    }

    /// Must not be done twice.
    async fn pay(&self, _ask: Ask) -> Result<Signed> {
        self.work().await
    }
}

impl Worker {
    async fn work(&self) -> Result<Signed> {
        self.mood.calls.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(self.mood.ms.load(Ordering::SeqCst))).await;
        let failures = &self.mood.failures;
        let fails =
            failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        match fails {
            true => Err(Fault::new(Code::Unavailable, "it was done, and can't be said").effect_unknown()),
            false => Ok(Signed { by: self.name.clone() }),
        }
    }
}

/// An instance that runs until it is dropped.
struct Running {
    mood: Arc<Mood>,
    _stop: oneshot::Sender<()>,
}

impl Running {
    fn start(
        cluster: &Cluster,
        index: usize,
        name: &str,
        version: &str,
        permits: u32,
    ) -> anyhow::Result<Self> {
        let address: Address = cluster.members[index].address().parse()?;
        let mood = Arc::new(Mood::default());
        let worker = Worker { name: name.to_owned(), mood: mood.clone() };
        let (stop, stopped) = oneshot::channel::<()>();
        let server = Server::new(worker).version(version).permits(permits).node(address);
        tokio::spawn(server.run_until(async move {
            let _dropped = stopped.await;
        }));
        Ok(Running { mood, _stop: stop })
    }

    fn calls(&self) -> u32 {
        self.mood.calls.load(Ordering::SeqCst)
    }
}

/// Waits until the first node knows so many instances.
async fn known(cluster: &Cluster, wanted: usize) -> anyhow::Result<()> {
    until("the instances are known", Duration::from_secs(20), async || {
        let services = cluster.client(0).await?.services().await?;
        let found = services.iter().find(|service| service.name == "worker");
        let found = found.map_or(0, |service| service.instances.len());
        ensure!(found == wanted, "{found} of {wanted}");
        Ok(())
    })
    .await
}

/// Sets a policy by the command line, and waits until it counts.
async fn policy(cluster: &Cluster, document: &str) -> anyhow::Result<()> {
    let file = cluster.root().join("policy.toml");
    std::fs::write(&file, document)?;
    let file = file.to_str().context("a path is text")?;
    let set = cluster.cli(0)?.json(&["policy", "set", "worker", file, "-o", "json"]).await?;
    ensure!(set["item"]["revision"].as_u64().is_some_and(|revision| revision > 0), "{set}");
    // What is applied counts within milliseconds.
    sleep(Duration::from_millis(300)).await;
    Ok(())
}

/// Who answers so many calls.
async fn answered(cluster: &Cluster, endpoint: &str, calls: u32) -> anyhow::Result<BTreeMap<String, u32>> {
    let node = cluster.client(0).await?;
    let mut by = BTreeMap::new();
    for _ in 0..calls {
        let signed = node.call("worker", endpoint, json!({})).await?;
        *by.entry(signed["by"].as_str().context("signed")?.to_owned()).or_default() += 1;
    }
    Ok(by)
}

#[tokio::test]
async fn what_may_be_done_twice_is_tried_again_and_nothing_else_is() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let one = Running::start(&cluster, 0, "one", "1", 64)?;
    let two = Running::start(&cluster, 0, "two", "1", 64)?;
    known(&cluster, 2).await?;
    policy(&cluster, "idempotent = [\"Worker.look\"]\n[retry]\nburst = 3\nbudget = 0.0\n").await?;
    for running in [&one, &two] {
        running.mood.failures.store(1, Ordering::SeqCst);
    }
    let node = cluster.client(0).await?;
    ensure!(node.call("worker", "look", json!({})).await.is_ok(), "two failures, three attempts");
    ensure!(one.calls() + two.calls() == 3, "{} and {}", one.calls(), two.calls());
    one.mood.failures.store(10, Ordering::SeqCst);
    two.mood.failures.store(10, Ordering::SeqCst);
    let before = one.calls() + two.calls();
    let fault = node.call("worker", "pay", json!({})).await.expect_err("it fails");
    ensure!(fault.effect == micro_sdk::wire::Effect::Unknown, "{fault:?}");
    ensure!(one.calls() + two.calls() == before + 1, "it was done again");
    // Of three tokens two are spent, and a tenth of them comes back each second: one or two are there.
    let before = one.calls() + two.calls();
    for _ in 0..4 {
        ensure!(node.call("worker", "look", json!({})).await.is_err(), "all fail");
    }
    let made = one.calls() + two.calls() - before;
    ensure!((4..=7).contains(&made), "{made} attempts of 4 calls, with a budget of hardly one more");
    // The caller may want none.
    one.mood.failures.store(1, Ordering::SeqCst);
    two.mood.failures.store(1, Ordering::SeqCst);
    sleep(Duration::from_secs(4)).await;
    ensure!(node.call("worker", "look", json!({})).retry(0).await.is_err(), "it wants one attempt");
    Ok(())
}

#[tokio::test]
async fn a_second_instance_is_asked_when_the_first_is_slow() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let one = Running::start(&cluster, 0, "one", "1", 64)?;
    let two = Running::start(&cluster, 0, "two", "1", 64)?;
    known(&cluster, 2).await?;
    policy(&cluster, "idempotent = [\"Worker.look\"]\n[hedge]\nleast = \"20ms\"\n").await?;
    answered(&cluster, "look", 60).await?;
    let before = (one.calls(), two.calls());
    // Whichever is asked first takes very long: the other one answers.
    one.mood.ms.store(5000, Ordering::SeqCst);
    let node = cluster.client(0).await?;
    for _ in 0..8 {
        let signed = node.call("worker", "look", json!({})).timeout(Duration::from_secs(3)).await?;
        ensure!(signed["by"] == "two", "{signed}");
    }
    ensure!(one.calls() > before.0 || two.calls() == before.1 + 8, "nobody else is there");
    // So it is with gRPC, whose messages nobody looks into.
    let proxy = Endpoint::from_shared(format!("http://{}", cluster.members[0].at().proxy))?.connect().await?;
    let mut grpc: Grpc<Channel> = Grpc::new(proxy);
    for _ in 0..8 {
        grpc.ready().await?;
        let mut ask = tonic::Request::new(Bytes::from_static(b"{}"));
        ask.set_timeout(Duration::from_secs(3));
        let signed = grpc.unary(ask, PathAndQuery::from_static("/worker.Worker/Look"), RawCodec).await?;
        ensure!(signed.get_ref().as_ref() == br#"{"by":"two"}"#, "{signed:?}");
    }
    let told = cluster
        .cli(0)?
        .json(&["policy", "check", "--service", "worker", &path(&cluster)?, "-o", "json"])
        .await?;
    ensure!(told["item"]["calls"].as_u64() >= Some(76) && told["item"]["failed"] == 0, "{told}");
    Ok(())
}

#[tokio::test]
async fn calls_by_grpc_have_no_more_time_than_the_policy_gives() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let one = Running::start(&cluster, 0, "one", "1", 64)?;
    known(&cluster, 1).await?;
    policy(&cluster, "timeout = \"300ms\"\n").await?;
    one.mood.ms.store(600_000, Ordering::SeqCst);
    let proxy = Endpoint::from_shared(format!("http://{}", cluster.members[0].at().proxy))?.connect().await?;
    let mut grpc: Grpc<Channel> = Grpc::new(proxy);
    grpc.ready().await?;
    let ask = tonic::Request::new(Bytes::from_static(b"{}"));
    let late = grpc.unary(ask, PathAndQuery::from_static("/worker.Worker/Look"), RawCodec).await;
    let status = late.expect_err("it takes ten minutes");
    ensure!(status.code() == tonic::Code::DeadlineExceeded, "{status:?}");
    Ok(())
}

fn path(cluster: &Cluster) -> anyhow::Result<String> {
    Ok(cluster.root().join("policy.toml").to_str().context("a path is text")?.to_owned())
}

#[tokio::test]
async fn versions_get_their_shares_and_keys_stay_with_one_instance() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let _stable = Running::start(&cluster, 0, "stable", "1.0", 64)?;
    let _canary = Running::start(&cluster, 1, "canary", "2.0", 64)?;
    known(&cluster, 2).await?;
    let near = answered(&cluster, "look", 40).await?;
    ensure!(near.get("stable") == Some(&40), "the near one is as good: {near:?}");
    policy(
        &cluster,
        "[[route]]\nweight = 80\nversion = \"1.*\"\n[[route]]\nweight = 20\nversion = \"2.0\"\n",
    )
    .await?;
    let split = answered(&cluster, "look", 300).await?;
    ensure!((20..=110).contains(split.get("canary").unwrap_or(&0)), "{split:?}");
    let file = path(&cluster)?;
    std::fs::write(&file, "[[route]]\nweight = 1\nversion = \"2.0\"\n")?;
    let told = cluster.cli(0)?.json(&["policy", "set", "worker", &file, "--dry-run", "-o", "json"]).await?;
    let canary =
        told["item"]["versions"].as_array().context("versions")?.iter().find(|of| of["version"] == "2.0");
    ensure!(canary.context("it is there")?["after"] == told["item"]["calls"], "{told}");
    let kept = cluster.cli(2)?.json(&["policy", "get", "worker", "-o", "json"]).await?;
    ensure!(kept["item"]["document"]["route"][0]["weight"] == 80, "a dry run changes nothing: {kept}");

    policy(&cluster, "sticky = \"header:user-id\"\n").await?;
    let mut of_user = BTreeMap::new();
    for call in 0..60 {
        let user = format!("user-{}", call % 12);
        // Each node sends it to the same one.
        let node = cluster.client(call % 3).await?;
        let signed = node.call("worker", "look", json!({})).metadata("user-id", user.clone()).await?;
        let by = of_user.entry(user).or_insert_with(|| signed["by"].clone());
        ensure!(*by == signed["by"], "{by} and {}", signed["by"]);
    }
    let used: std::collections::BTreeSet<String> = of_user.values().map(ToString::to_string).collect();
    ensure!(used.len() == 2, "12 users, and all with {used:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_too_much_is_refused_at_once_and_a_lost_instance_gets_nothing_for_a_while()
-> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let one = Running::start(&cluster, 0, "one", "1", 64)?;
    known(&cluster, 1).await?;
    policy(
        &cluster,
        "[retry]\nattempts = 1\n[limit]\nmost = 2\nleast = 1\n[breaker]\nfailures = 3\nopen = \"2s\"\n",
    )
    .await?;
    one.mood.ms.store(400, Ordering::SeqCst);
    let node = cluster.client(0).await?;
    let mut calls = JoinSet::new();
    for _ in 0..6 {
        let node = node.clone();
        calls.spawn(async move { node.call("worker", "look", json!({})).await });
    }
    let answers = calls.join_all().await;
    let refused: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
    ensure!(refused.len() == 4 && one.calls() == 2, "{refused:?}, {} done", one.calls());
    ensure!(refused.iter().all(|fault| fault.code == Code::Overloaded), "{refused:?}");
    let answer = micro_tests::post(cluster.members[0].at().api, "/worker/look", "{}").await?;
    ensure!(answer.status == 200, "{}", answer.body);

    one.mood.ms.store(0, Ordering::SeqCst);
    one.mood.failures.store(3, Ordering::SeqCst);
    for _ in 0..3 {
        ensure!(node.call("worker", "look", json!({})).await.is_err(), "it fails");
    }
    let before = one.calls();
    let fault = node.call("worker", "look", json!({})).await.expect_err("its circuit is open");
    ensure!(fault.code == Code::Unavailable && fault.effect == micro_sdk::wire::Effect::None, "{fault:?}");
    ensure!(one.calls() == before, "it was called");
    let told = |status: &serde_json::Value| status["problems"].to_string();
    let status = cluster.cli(0)?.json(&["status", "-o", "json"]).await?;
    ensure!(told(&status).contains("of service worker on alpha lost the last 3 calls"), "{status}");
    let one_service = cluster.cli(0)?.json(&["status", "worker", "-o", "json"]).await?;
    ensure!(told(&one_service).contains("lost the last 3 calls"), "{one_service}");
    sleep(Duration::from_millis(2100)).await;
    ensure!(answered(&cluster, "look", 5).await?.get("one") == Some(&5), "it is well again");
    let status = cluster.cli(0)?.json(&["status", "-o", "json"]).await?;
    ensure!(!told(&status).contains("of service worker"), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_lost_with_its_link_names_the_node_and_says_what_is_known() -> anyhow::Result<()> {
    let extra = ["--link-timeout", "1s"].map(str::to_owned).to_vec();
    let mut cluster = Cluster::start(Plan { size: 2, extra, ..Plan::default() }, &mut |_| ()).await?;
    let far = Running::start(&cluster, 1, "far", "1", 8)?;
    known(&cluster, 1).await?;
    far.mood.ms.store(30_000, Ordering::SeqCst);
    let node = cluster.client(0).await?;
    let call =
        tokio::spawn(
            async move { node.call("worker", "pay", json!({})).timeout(Duration::from_secs(30)).await },
        );
    until("it is under way", Duration::from_secs(20), async || {
        ensure!(far.calls() == 1, "it is not");
        Ok(())
    })
    .await?;
    cluster.members[1].kill().await?;
    let fault = call.await?.expect_err("nobody is there to answer it");
    let known = (fault.code, fault.effect) == (Code::Unreachable, micro_sdk::wire::Effect::Unknown);
    ensure!(known && fault.message.starts_with("the link to node bravo is gone"), "{fault:?}");
    ensure!(fault.help.iter().any(|line| line.starts_with("it may have been done")), "{fault:?}");
    Ok(())
}

#[tokio::test]
async fn what_a_policy_names_that_nothing_is_called_is_warned_of() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, file) = (cluster.cli(0)?, path(&cluster)?);
    let _one = Running::start(&cluster, 0, "one", "1.0", 8)?;
    known(&cluster, 1).await?;
    let slips = "idempotent = [\"Worker.loook\", \"Worker.*\"]\n[[route]]\nweight = 1\nversion = \"2.*\"\n";
    std::fs::write(&file, slips)?;
    for words in [
        &["policy", "set", "worker", &file, "--dry-run"][..],
        &["policy", "check", &file, "--service", "worker"],
        &["policy", "set", "worker", &file],
    ] {
        let told = cli.run(words).await?;
        ensure!(told.code == 0 && !told.stdout.contains("warning"), "{words:?}: {told:?}");
        for part in [
            "warning: idempotent: no instance of worker has an endpoint \"Worker.loook\" (did you mean `Worker.look`?)",
            "warning: route[0]: no instance of worker has a version 2.* (there are: 1.0)",
        ] {
            ensure!(told.stderr.contains(part), "{words:?}: {told:?}");
        }
        ensure!(told.stderr.matches("warning").count() == 2, "{words:?}: {told:?}");
    }
    let told = cli.run(&["policy", "set", "wroker", &file]).await?;
    ensure!(told.code == 0 && told.stderr.contains("did you mean `worker`?"), "{told:?}");
    std::fs::write(&file, "[[route]]\nweight = 1\nversion = \"[\"\n")?;
    let told = cli.run(&["policy", "set", "worker", &file]).await?;
    ensure!(told.code == 2 && told.stderr.contains("at route[0].version: \"[\" is no version"), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_policy_is_refused_with_its_place_and_another_s_change_is_seen() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let file = path(&cluster)?;
    std::fs::write(&file, "[retry]\nattempts = 30\n")?;
    let refused = cli.run(&["policy", "check", &file]).await?;
    ensure!(refused.code == 2 && refused.stderr.contains("retry.attempts"), "{}", refused.stderr);
    let refused = cli.run(&["policy", "set", "shop", &file]).await?;
    ensure!(refused.code == 2 && refused.stderr.contains("retry.attempts"), "{}", refused.stderr);
    std::fs::write(&file, "timeout = \"2s\"\n")?;
    let set = cli.json(&["policy", "set", "shop", &file, "--if-version", "0", "-o", "json"]).await?;
    ensure!(cli.run(&["policy", "set", "shop", &file, "--if-version", "0"]).await?.code == 6, "it is there");
    let shown = cli.run(&["policy", "get", "shop"]).await?;
    ensure!(
        shown.stdout.contains("timeout = \"2s\"") && shown.stdout.contains("attempts = 3"),
        "{}",
        shown.stdout
    );
    let listed = cli.json(&["policy", "list", "-o", "json"]).await?;
    ensure!(
        listed["items"][0]["service"] == "shop" && listed["items"][0]["revision"] == set["item"]["revision"],
        "{listed}"
    );
    ensure!(cli.run(&["policy", "delete", "shop", "--yes"]).await?.code == 0, "it goes");
    ensure!(cli.run(&["policy", "delete", "shop", "--yes"]).await?.code == 5, "it is gone");
    Ok(())
}

#[tokio::test]
async fn a_policy_chooses_by_where_the_nodes_stand() -> anyhow::Result<()> {
    let extra = ["--region", "eu-1", "--gateway"].map(str::to_owned).to_vec();
    let mut cluster = Cluster::start(Plan { size: 1, extra, ..Plan::default() }, &mut |_| ()).await?;
    let mut bravo = cluster.further("bravo")?;
    let mut words = cluster.invitation("bravo").await?;
    words.extend(["--region", "us-1"].map(str::to_owned));
    bravo.start(&words).await?;
    cluster.members.push(bravo);
    let _one = Running::start(&cluster, 0, "one", "1", 64)?;
    let _two = Running::start(&cluster, 1, "two", "1", 64)?;
    known(&cluster, 2).await?;
    let all_by = async |name: &str| {
        let by = answered(&cluster, "look", 20).await?;
        ensure!(by.len() == 1 && by.contains_key(name), "{by:?}");
        Ok(())
    };
    all_by("one").await.context("the nearest")?;
    policy(&cluster, "[[route]]\nweight = 1\nnode = { region = \"us-*\" }\n").await?;
    all_by("two").await?;
    policy(&cluster, "[[route]]\nweight = 1\nnode = { name = \"alpha\", region = \"eu-1\" }\n").await?;
    all_by("one").await?;
    policy(&cluster, "[[route]]\nweight = 1\nnode = { zone = \"nowhere\" }\n").await?;
    all_by("one").await.context("where nobody is, others are better than none")?;

    let file = cluster.root().join("wrong.toml");
    std::fs::write(&file, "[[route]]\nweight = 1\nnode = { zone = \"a*b\" }\n")?;
    let file = file.to_str().context("a path is text")?;
    let outcome = cluster.cli(0)?.run(&["policy", "check", file]).await?;
    ensure!(outcome.code == 2 && outcome.stderr.contains("at route[0].node.zone"), "{outcome:?}");

    // Which of them others reach is told to whoever looks.
    let status = cluster.status(1).await?;
    let gateways = status["nodes"].as_array().context("status has nodes")?.iter();
    let gateways: Vec<_> = gateways.map(|node| (node["name"].as_str(), node["gateway"].as_bool())).collect();
    ensure!(gateways == [(Some("bravo"), Some(false)), (Some("alpha"), Some(true))], "{gateways:?}");
    let wide = cluster.cli(1)?.ok(&["status", "-o", "wide"]).await?;
    ensure!(wide.contains("GATEWAY") && wide.contains("  yes  "), "{wide}");
    Ok(())
}
