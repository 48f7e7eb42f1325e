//! People's services: found, called, gone.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, Greeter, get, post, until};
use std::time::{Duration, Instant};

/// The promise: known on every node, and gone from every node, within this time.
const PROMISE: Duration = Duration::from_secs(2);

async fn knows(cluster: &Cluster, index: usize, wanted: bool) -> anyhow::Result<()> {
    let services = cluster.client(index).await?.services().await?;
    let found = services.iter().any(|service| service.name == "helloworld");
    ensure!(found == wanted, "helloworld known on {}: {found}", cluster.members[index].name());
    Ok(())
}

#[tokio::test]
async fn a_service_is_found_everywhere_within_two_seconds_and_gone_within_two() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let greeter = Greeter::start(cluster.root(), &cluster.members[1], false)?;
    // Its own start-up is not part of the promise: the clock runs from the first node that knows it.
    until("attached", Duration::from_secs(10), async || knows(&cluster, 1, true).await).await?;
    for index in [0, 2] {
        until("announced", PROMISE, async || knows(&cluster, index, true).await).await?;
    }
    let killed = Instant::now();
    greeter.kill().await?;
    for index in 0..3 {
        let left = PROMISE.saturating_sub(killed.elapsed());
        until("forgotten", left, async || knows(&cluster, index, false).await).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_node_reaches_the_one_instance_by_every_way() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[1], false)?;
    for index in 0..3 {
        until("known", Duration::from_secs(10), async || knows(&cluster, index, true).await).await?;
        let api = cluster.members[index].at().api;
        for path in ["/helloworld/call", "/helloworld/Greeter/call"] {
            let answer = post(api, path, r#"{"name":"Jane"}"#).await?;
            assert_eq!(
                (answer.status, &answer.json()?["msg"]),
                (200, &"Hello Jane".into()),
                "{}",
                answer.body
            );
        }
        let answer = get(api, "/helloworld/call?name=Jane").await?;
        assert_eq!((answer.status, &answer.json()?["msg"]), (200, &"Hello Jane".into()), "{}", answer.body);
        let cli = cluster.cli(index)?;
        for endpoint in ["call", "Greeter.call"] {
            let answer = cli.json(&["call", "helloworld", endpoint, r#"{"name":"Jane"}"#]).await?;
            assert_eq!(answer["msg"], "Hello Jane");
        }
    }
    Ok(())
}

#[tokio::test]
async fn wrong_calls_of_a_right_service_are_explained() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _greeter = Greeter::start(cluster.root(), &cluster.members[0], false)?;
    until("known", Duration::from_secs(10), async || knows(&cluster, 0, true).await).await?;
    let api = cluster.members[0].at().api;
    let answer = post(api, "/helloworld/cal", r#"{"name":"Jane"}"#).await?;
    assert_eq!(answer.status, 404, "{}", answer.body);
    assert!(answer.body.contains("call"), "it does not say what there is: {}", answer.body);
    for body in ["{not json", "{}", r#"{"name":7}"#, "[]"] {
        let answer = post(api, "/helloworld/call", body).await?;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
    let cli = cluster.cli(0)?;
    assert_eq!(cli.run(&["call", "helloworld", "cal", "{}"]).await?.code, 5);
    assert_eq!(cli.run(&["call", "helloworld", "call", "{}"]).await?.code, 2);
    Ok(())
}

#[tokio::test]
async fn a_call_for_one_instance_is_answered_by_no_other() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let _greeters = [
        Greeter::start(cluster.root(), &cluster.members[0], false)?,
        Greeter::start(cluster.root(), &cluster.members[1], false)?,
    ];
    let cli = cluster.cli(0)?;
    let instances = async || {
        let service = cli.json(&["services", "helloworld", "-o", "json"]).await?;
        let instances = service["item"]["instances"].as_array().cloned().unwrap_or_default();
        ensure!(instances.len() == 2, "{service}");
        Ok(instances)
    };
    for instance in until("both are there", Duration::from_secs(10), instances).await? {
        let id = instance["id"].as_str().context("an id")?;
        for _ in 0..5 {
            let call = ["call", "helloworld", "call", r#"{"name":"x"}"#, "--instance", id, "-o", "json"];
            let answer = cli.json(&call).await?;
            assert_eq!(answer["item"]["node"], instance["node"], "{answer}");
        }
    }
    let gone = cli.run(&["call", "helloworld", "call", "--instance", "abc"]).await?;
    ensure!(gone.code == 5 && gone.stderr.contains("there are: "), "{gone:?}");
    let wrong = cli.run(&["call", "helloworld", "call", "--instance", "x"]).await?;
    ensure!(wrong.code == 2 && wrong.stderr.contains("hexadecimal"), "{wrong:?}");
    Ok(())
}
