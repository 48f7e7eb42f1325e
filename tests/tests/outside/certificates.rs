//! Certificates of nodes end soon and are renewed; the authority is replaced while the mesh works.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, Member, Plan, get, until};
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

/// Short enough to see several of them, long enough for a machine that is busy compiling.
const LIFE: Duration = Duration::from_secs(21);
const SOON: Duration = Duration::from_secs(45);

async fn cluster(size: usize) -> anyhow::Result<Cluster> {
    let extra = vec!["--certificate-life".to_owned(), format!("{}s", LIFE.as_secs())];
    Cluster::start(Plan { size, extra, ..Plan::default() }, &mut |_| ()).await
}

/// The certificates of all members as a node sees them, by name: authority and time of issue.
async fn certificates(cluster: &Cluster, seen_by: usize) -> anyhow::Result<BTreeMap<String, (String, u64)>> {
    let members = cluster.cli(seen_by)?.json(&["cluster", "members", "-o", "json"]).await?;
    let members = members["items"].as_array().context("there are no members")?;
    let one = |member: &serde_json::Value| {
        let certificate = &member["certificate"];
        let name = member["name"].as_str()?.to_owned();
        Some((name, (certificate["authority"].as_str()?.to_owned(), certificate["issued_s"].as_u64()?)))
    };
    Ok(members.iter().filter_map(one).collect())
}

/// Work on all nodes that fails the test when any of it fails.
struct Work {
    done: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    workers: JoinSet<anyhow::Result<()>>,
}

impl Work {
    /// Writes through each of these nodes, and calls a service that one of them has.
    async fn start(members: &[Member]) -> anyhow::Result<Self> {
        let (done, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut workers = JoinSet::new();
        for member in members {
            let (node, name) = (member.client().await?, member.name().to_owned());
            let (done, over) = (done.clone(), over.clone());
            workers.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let number = done.fetch_add(1, Ordering::Relaxed);
                    let key = format!("{name}-{number}");
                    node.store().table("work").put(key, "1").await.with_context(|| name.clone())?;
                    let hello = serde_json::json!({ "name": "Jane" });
                    node.call("helloworld", "Greeter.call", hello).await.with_context(|| name.clone())?;
                    sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            });
        }
        Ok(Work { done, over, workers })
    }

    /// Ends it. Returns how much was done.
    async fn end(mut self) -> anyhow::Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(worker) = self.workers.join_next().await {
            worker??;
        }
        Ok(self.done.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn certificates_are_renewed_again_and_again_and_no_call_fails() -> anyhow::Result<()> {
    let cluster = cluster(4).await?;
    let _greeter = cluster.greeter(1).await?;
    let first = until("all have told their certificates", SOON, async || {
        let all = certificates(&cluster, 0).await?;
        ensure!(all.len() == 4, "{all:?}");
        Ok(all)
    })
    .await?;
    let work = Work::start(&cluster.members).await?;
    until("each node has another certificate, and then another one still", 3 * SOON, async || {
        let all = certificates(&cluster, 3).await?;
        let renewed = |name: &String| all[name].1 >= first[name].1 + LIFE.as_secs();
        ensure!(first.keys().all(renewed), "{first:?} {all:?}");
        Ok(())
    })
    .await?;
    assert!(work.end().await? > 100);
    let table = cluster.cli(0)?.ok(&["cluster", "members"]).await?;
    assert!(table.contains("CERTIFICATE") && table.contains("ends in"), "{table}");
    let metrics = get(cluster.members[2].at().api, "/metrics").await?.body;
    let name = "micro_node_certificate_end_timestamp_seconds ";
    let ends = metrics.lines().find_map(|line| line.strip_prefix(name)).context(metrics.clone())?;
    assert!(ends.parse::<u64>()? > first["charlie"].1 + LIFE.as_secs(), "{ends}");
    Ok(())
}

#[tokio::test]
async fn nodes_that_were_off_for_longer_than_their_certificates_come_back() -> anyhow::Result<()> {
    let mut cluster = cluster(4).await?;
    let status = cluster.status(0).await?;
    let nodes = status["nodes"].as_array().context("status has no nodes")?;
    let learner = nodes.iter().find(|node| node["role"] == "learner").context("a learner")?;
    let learner = cluster.members.iter().position(|member| learner["name"] == member.name());
    let learner = learner.context("it is one of these")?;
    let (voter, other) = ((learner + 1) % 4, (learner + 2) % 4);
    // A learner can't certify itself, and is not let in with what it has.
    for off in [learner, voter] {
        cluster.members[off].stop().await?;
    }
    sleep(LIFE + Duration::from_secs(2)).await;
    for off in [learner, voter] {
        cluster.members[off].start(&[]).await?;
        let key = format!("through-{off}");
        cluster.cli(off)?.ok(&["store", "write", &key, "1"]).await?;
        assert_eq!(cluster.cli(other)?.ok(&["store", "read", &key]).await?, "1");
    }
    // All of them: nobody is there who could certify anybody but the voters themselves.
    cluster.stop().await?;
    sleep(LIFE + Duration::from_secs(2)).await;
    for member in &mut cluster.members {
        member.spawn(&[])?;
    }
    for member in &mut cluster.members {
        member.wait_ready().await?;
    }
    for index in 0..4 {
        assert_eq!(cluster.cli(index)?.ok(&["store", "read", &format!("through-{learner}")]).await?, "1");
    }
    until("no problems", SOON, async || {
        let status = cluster.status(0).await?;
        ensure!(status["problems"].as_array().is_some_and(Vec::is_empty), "{}", status["problems"]);
        Ok(())
    })
    .await
}

/// The pin of the authority, and that of the former one.
async fn authority(cluster: &Cluster, index: usize) -> anyhow::Result<(String, Option<String>)> {
    let shown = cluster.cli(index)?.json(&["cluster", "ca", "show", "-o", "json"]).await?;
    let pin = |value: &serde_json::Value| value["pin"].as_str().map(str::to_owned);
    Ok((pin(&shown["item"]).context("it has a pin")?, pin(&shown["item"]["former"])))
}

/// Waits until these nodes show nothing of a former authority any more: they look every two seconds.
async fn dropped(members: &[Member]) -> anyhow::Result<()> {
    until("the nodes believe one authority", SOON, async || {
        for member in members {
            let log = fs::read_to_string(member.log())?;
            ensure!(log.contains("the node believes one authority"), "{}", member.last_words());
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_authority_is_replaced_under_load_with_leaders_and_nodes_that_go_and_come() -> anyhow::Result<()>
{
    let mut cluster = Cluster::of(3).await?;
    let _greeter = cluster.greeter(1).await?;
    let (old, none) = authority(&cluster, 0).await?;
    assert_eq!(none, None);
    let invitations = [cluster.invitation("delta").await?, cluster.invitation("echo").await?];
    // One is off, and holds up the end.
    cluster.members[2].stop().await?;
    let work = Work::start(&cluster.members[..2]).await?;
    cluster.cli(1)?.ok(&["cluster", "ca", "rotate"]).await?;
    let again = cluster.cli(0)?.run(&["cluster", "ca", "rotate"]).await?;
    assert_eq!(again.code, 6, "{}", again.stderr);
    let renewed = async |cluster: &Cluster, wanted: &[&str]| {
        let (pin, former) = authority(cluster, 0).await?;
        ensure!(pin != old && former.as_ref() == Some(&old), "{pin} {former:?}");
        let all = certificates(cluster, 0).await?;
        let has_it = |name: &&&str| all.get(**name).is_some_and(|(authority, _)| *authority == pin);
        ensure!(wanted.iter().filter(has_it).count() == wanted.len(), "{all:?}");
        Ok(pin)
    };
    let new = until("both have renewed", SOON, async || renewed(&cluster, &["alpha", "bravo"]).await).await?;
    assert!(work.end().await? > 10);
    // A token of before is good while the former authority is believed.
    let mut delta = cluster.further("delta")?;
    delta.start(&invitations[0]).await?;
    cluster.members.push(delta);
    until("it has renewed too", SOON, async || renewed(&cluster, &["alpha", "bravo", "delta"]).await).await?;
    let finish = ["cluster", "ca", "rotate", "--finish"];
    let refused = cluster.cli(0)?.run(&finish).await?;
    assert_eq!(refused.code, 6, "{}", refused.stderr);
    assert!(refused.stderr.contains("charlie"), "{}", refused.stderr);
    let told = cluster.cli(1)?.ok(&["status"]).await?;
    assert!(told.contains("goes over to another authority"), "{told}");
    // Half-way, the leader is another one, and everything starts anew.
    for index in [0, 1, 3] {
        cluster.members[index].stop().await?;
        cluster.members[index].start(&[]).await?;
    }
    assert_eq!(authority(&cluster, 3).await?, (new.clone(), Some(old.clone())));
    cluster.members[2].start(&[]).await?;
    until("the former one is dropped", SOON, async || {
        for index in 0..4 {
            let found = authority(&cluster, index).await?;
            ensure!(found == (new.clone(), None), "{index}: {found:?}");
        }
        Ok(())
    })
    .await?;
    dropped(&cluster.members).await?;
    let mut echo = cluster.further("echo")?;
    let error = echo.start(&invitations[1]).await.expect_err("its token names the former one");
    assert!(error.to_string().contains("has another one since"), "{error}");
    let invitation = cluster.invitation("echo").await?;
    echo.start(&invitation).await?;
    assert_eq!(
        echo.cli()?.ok(&["cluster", "leader"]).await?,
        cluster.cli(0)?.ok(&["cluster", "leader"]).await?
    );
    Ok(())
}

#[tokio::test]
async fn nodes_that_are_down_are_left_behind_only_when_somebody_says_so() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    cluster.members[2].stop().await?;
    cluster.cli(0)?.ok(&["cluster", "ca", "rotate"]).await?;
    let leave = ["cluster", "ca", "rotate", "--finish", "--even-if-nodes-are-left-behind", "--yes"];
    until("both have renewed", SOON, async || cluster.cli(0)?.ok(&leave).await.map(drop)).await?;
    assert_eq!(authority(&cluster, 1).await?.1, None);
    let nothing = cluster.cli(0)?.run(&["cluster", "ca", "rotate", "--finish"]).await?;
    assert_eq!(nothing.code, 6, "{}", nothing.stderr);
    cluster.cli(1)?.ok(&["store", "write", "after", "1"]).await?;
    dropped(&cluster.members[..2]).await?;
    // It believes the former authority only, and has a certificate of that.
    cluster.members[2].spawn(&[])?;
    let log = cluster.members[2].log();
    until("it says that it is cut off", SOON, async || {
        let text = fs::read_to_string(&log)?;
        ensure!(text.contains("no other node is linked, and none certifies this one anew"), "{text}");
        Ok(())
    })
    .await?;
    let status = cluster.status(0).await?;
    let charlie = status["nodes"].as_array().context("nodes")?.iter().find(|node| node["name"] == "charlie");
    assert_eq!(charlie.context("it is a member")?["state"], "down", "{status}");
    Ok(())
}
