//! Coming, going, and being too few.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, Member, Plan, post, until};
use std::{fs, net::UdpSocket, time::Duration};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn sigterm_hands_leadership_over_and_keeps_membership() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let other = (leader + 1) % 3;
    assert_eq!(cluster.members[leader].stop().await?, 0);
    // Handed over, not timed out: the first write after it goes through at once.
    cluster.cli(other)?.ok(&["--timeout", "2s", "store", "write", "after", "1"]).await?;
    let status = cluster.status(other).await?;
    assert_eq!(status["consensus"]["voters"].as_array().map(Vec::len), Some(3), "{status}");
    cluster.members[leader].start(&[]).await?;
    assert_eq!(cluster.cli(leader)?.ok(&["store", "read", "after"]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn a_rolling_restart_loses_nothing_and_removes_nobody() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    for round in 0..3 {
        let through = (round + 1) % 3;
        assert_eq!(cluster.members[round].stop().await?, 0);
        cluster.cli(through)?.ok(&["store", "write", &format!("round-{round}"), "1"]).await?;
        cluster.members[round].start(&[]).await?;
    }
    for round in 0..3 {
        assert_eq!(cluster.cli(round)?.ok(&["store", "read", &format!("round-{round}")]).await?, "1");
    }
    let status = cluster.status(0).await?;
    assert_eq!(status["consensus"]["voters"].as_array().map(Vec::len), Some(3), "{status}");
    Ok(())
}

#[tokio::test]
async fn leaving_gives_membership_up() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    cluster.cli(2)?.ok(&["leave", "--yes"]).await?;
    cluster.members[2].ended().await?;
    until("two members", SOON, async || {
        let status = cluster.status(0).await?;
        let members: usize = ["voters", "learners"]
            .iter()
            .map(|kind| status["consensus"][*kind].as_array().map_or(0, Vec::len))
            .sum();
        ensure!(members == 2, "{}", status["consensus"]);
        Ok(())
    })
    .await?;
    cluster.cli(0)?.ok(&["store", "write", "after", "1"]).await?;
    assert_eq!(cluster.cli(1)?.ok(&["store", "read", "after"]).await?, "1");
    let error = cluster.members[2].start(&[]).await.expect_err("it has left");
    assert!(error.to_string().contains("reset"), "{error}");
    Ok(())
}

#[tokio::test]
async fn nobody_leaves_when_the_others_would_have_no_quorum() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let (other, down) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.members[down].kill().await?;
    for leaving in [other, leader] {
        let outcome = cluster.cli(leaving)?.run(&["leave", "--yes"]).await?;
        assert_eq!(outcome.code, 6, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("would have no quorum"), "{}", outcome.stderr);
        assert!(outcome.stderr.contains(cluster.members[down].name()), "{}", outcome.stderr);
        cluster.cli(leaving)?.ok(&["--timeout", "5s", "store", "write", "still", "here"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_learner_takes_the_vote_of_one_that_leaves_while_another_is_down() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(4).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let with_role = async |role: &str| {
        let status = cluster.status(leader).await?;
        let nodes = status["nodes"].as_array().context("status has no nodes")?;
        let has_it =
            |member: &Member| nodes.iter().any(|node| node["name"] == member.name() && node["role"] == role);
        let found = (0..4).filter(|index| has_it(&cluster.members[*index]));
        anyhow::Ok(found.collect::<Vec<usize>>())
    };
    // Whoever has caught up first is a voter.
    let (voters, learners) = (with_role("voter").await?, with_role("learner").await?);
    cluster.members[voters[0]].kill().await?;
    cluster.cli(voters[1])?.ok(&["leave", "--yes"]).await?;
    cluster.members[voters[1]].ended().await?;
    cluster.cli(learners[0])?.ok(&["--timeout", "5s", "store", "write", "after", "1"]).await?;
    let status = cluster.status(leader).await?;
    assert_eq!(status["consensus"]["voters"].as_array().map(Vec::len), Some(3), "{status}");
    assert_eq!(status["consensus"]["learners"].as_array().map(Vec::len), Some(0), "{status}");
    Ok(())
}

#[tokio::test]
async fn without_a_quorum_status_says_so_and_nothing_is_acknowledged() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    // Only the leader can know that nothing was done: another one has sent it off when it learns that nobody leads.
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    cluster.cli(leader)?.ok(&["store", "write", "before", "1"]).await?;
    for other in others {
        cluster.members[other].kill().await?;
    }
    until("the loss noticed", SOON, async || {
        let status = cluster.status(leader).await?;
        ensure!(status["consensus"]["quorum"] == false, "quorum is still claimed");
        ensure!(status["problems"][0]["severity"] == "critical", "{}", status["problems"]);
        Ok(())
    })
    .await?;
    assert!(cluster.cli(leader)?.ok(&["status"]).await?.to_lowercase().contains("quorum"));

    let write = cluster.cli(leader)?.run(&["--timeout", "2s", "store", "write", "lost", "1"]).await?;
    // Not "timeout" nor "unknown": nothing was taken in, and that can be said.
    assert_eq!(write.code, 8, "{}", write.stderr);
    let read = cluster.cli(leader)?.run(&["--timeout", "2s", "store", "read", "before"]).await?;
    assert_eq!(read.code, 8, "{} {}", read.stdout, read.stderr);
    assert!(read.stderr.contains("--stale"), "{}", read.stderr);
    // What has no such flag is not told of it.
    let check = ["auth", "check", "--account", "jane", "service:a:b"];
    for command in [&["config", "set", "shop.a", "1"][..], &["auth", "list", "rules"], &check] {
        let refused = cluster.cli(leader)?.run(&[&["--timeout", "2s"], command].concat()).await?;
        assert_eq!(refused.code, 8, "{command:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("--stale"), "{command:?}: {}", refused.stderr);
    }
    assert_eq!(cluster.cli(leader)?.ok(&["store", "read", "--stale", "before"]).await?, "1");

    cluster.members[others[0]].start(&[]).await?;
    until("an answer again", SOON, async || {
        ensure!(cluster.cli(leader)?.ok(&["store", "read", "before"]).await? == "1");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_node_that_has_joined_starts_without_its_join_line() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let invitation = cluster.invitation("second").await?;
    let mut second = cluster.further("second")?;
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = ["--mesh-listen".to_owned(), format!("0.0.0.0:{port}")];
    let advertise = ["--advertise".to_owned(), format!("127.0.0.1:{port}")];
    second.start(&[&invitation[..], &listen, &advertise].concat()).await?;
    let before = second.at().clone();
    let seen = async |cluster: &Cluster| -> anyhow::Result<serde_json::Value> {
        let status = cluster.status(0).await?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        Ok(nodes.into_iter().find(|node| node["name"] == "second").unwrap_or_default()["address"].clone())
    };
    let address = seen(&cluster).await?;
    assert_eq!(address, advertise[1]);

    // The token is spent, and its file may be gone or hold something else.
    let token = invitation.last().and_then(|last| last.strip_prefix('@')).expect("@FILE").to_owned();
    let any_port = ["--mesh-listen", "0.0.0.0:0"].map(String::from);
    fs::write(&token, "nonsense")?;
    for again in [&[&invitation[..], &listen].concat()[..], &any_port] {
        assert_eq!(second.stop().await?, 0);
        second.start(again).await?;
        assert_eq!((&second.at().node, second.at().mesh), (&before.node, before.mesh));
        assert_eq!(seen(&cluster).await?, address);
        fs::remove_file(&token).ok();
    }
    until("a read through it", SOON, async || second.cli()?.ok(&["services"]).await.map(drop)).await?;
    cluster.stop().await
}

#[tokio::test]
async fn a_voter_that_lost_the_key_of_the_seal_says_so_and_is_given_it_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let key = cluster.members[leader].data_dir().join("files/seal.key");
    let good = fs::read(&key)?;
    // Damaged on the leader, which the others mend, and missing on another one, which the leader mends.
    for (victim, damage) in [(leader, Some("damaged")), ((leader + 1) % 3, None)] {
        let key = cluster.members[victim].data_dir().join("files/seal.key");
        cluster.members[victim].stop().await?;
        match damage {
            Some(bytes) => fs::write(&key, bytes)?,
            None => fs::remove_file(&key)?,
        }
        cluster.members[victim].start(&[]).await?;
        until("the key back", SOON, async || {
            ensure!(fs::read(&key)? == good, "not yet");
            Ok(())
        })
        .await?;
    }
    until("no problems", SOON, async || {
        let status = cluster.status(leader).await?;
        ensure!(status["problems"].as_array().is_some_and(Vec::is_empty), "{}", status["problems"]);
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_leader_that_has_just_died_is_removed_once_another_one_leads() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let name = cluster.members[leader].name().to_owned();
    cluster.members[leader].kill().await?;
    let other = (leader + 1) % 3;
    cluster.cli(other)?.ok(&["cluster", "remove", &name, "--yes"]).await?;
    let status = cluster.status(other).await?;
    assert_eq!(status["consensus"]["voters"].as_array().map(Vec::len), Some(2), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_voter_whose_host_is_lost_is_removed_replaced_and_not_let_in_again() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(4).await?;
    let members = cluster.cli(0)?.json(&["cluster", "members", "-o", "json"]).await?;
    assert_eq!(members["summary"], serde_json::json!({"voters": 3, "learners": 1}), "{members}");
    let index_of = |role: &str| {
        let items = members["items"].as_array()?;
        let found = items.iter().find(|node| node["role"] == role)?;
        cluster.members.iter().position(|member| found["name"] == member.name())
    };
    let (lost, learner) = (index_of("voter").context("a voter")?, index_of("learner").context("a learner")?);
    let name = cluster.members[lost].name().to_owned();
    let up = cluster.cli(learner)?.run(&["cluster", "remove", &name, "--yes"]).await?;
    assert_eq!(up.code, 6, "{}", up.stderr);
    assert!(up.stderr.contains("is up") && up.stderr.contains("micro-node leave"), "{}", up.stderr);
    let nobody = cluster.cli(learner)?.run(&["cluster", "remove", "nobody", "--yes"]).await?;
    assert_eq!(nobody.code, 5, "{}", nobody.stderr);

    cluster.members[lost].kill().await?;
    // Asked of a node that neither leads nor votes.
    cluster.cli(learner)?.ok(&["cluster", "remove", &name, "--yes"]).await?;
    let members = cluster.cli(learner)?.json(&["cluster", "members", "-o", "json"]).await?;
    assert_eq!(members["summary"], serde_json::json!({"voters": 3, "learners": 0}), "{members}");
    cluster.cli(learner)?.ok(&["store", "write", "after", "1"]).await?;

    cluster.members[lost].spawn(&[])?;
    assert_eq!(cluster.members[lost].ended().await?, 6, "{}", cluster.members[lost].last_words());
    assert!(cluster.members[lost].last_words().contains("was removed from its mesh"));
    Ok(())
}

#[tokio::test]
async fn leadership_goes_where_it_is_sent() -> anyhow::Result<()> {
    let cluster = Cluster::of(3).await?;
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let next = cluster.members[(leader + 1) % 3].name().to_owned();
    // Asked of the third.
    cluster.cli((leader + 2) % 3)?.ok(&["cluster", "transfer", &next]).await?;
    assert_eq!(cluster.cli((leader + 1) % 3)?.ok(&["cluster", "leader"]).await?, next);
    cluster.cli(leader)?.ok(&["cluster", "transfer", &next]).await?;
    cluster.cli(leader)?.ok(&["cluster", "transfer"]).await?;
    let leads = async || {
        let now = cluster.cli(leader)?.ok(&["cluster", "leader"]).await?;
        ensure!(now != next, "{now} still leads");
        Ok(())
    };
    until("another leads", SOON, leads).await?;

    cluster.cli(leader)?.ok(&["drain", &next]).await?;
    let refused = async || {
        let outcome = cluster.cli(leader)?.run(&["cluster", "transfer", &next]).await?;
        ensure!(outcome.code == 6 && outcome.stderr.contains("--undo"), "{outcome:?}");
        Ok(())
    };
    until("it is known that the node is drained", SOON, refused).await
}

#[tokio::test]
async fn nodes_that_join_while_another_leaves_are_all_let_in() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let mut joining = Vec::new();
    for name in ["delta", "echo"] {
        let invitation = cluster.invitation(name).await?;
        joining.push((cluster.further(name)?, invitation));
    }
    for (member, invitation) in &mut joining {
        member.spawn(invitation)?;
    }
    // The voters change meanwhile: one goes, and somebody takes its vote.
    let cli = cluster.cli(2)?;
    until("it has left", SOON, async || cli.ok(&["leave", "--yes"]).await).await?;
    cluster.members[2].ended().await?;
    for (member, _) in joining {
        cluster.members.push(member);
    }
    for member in &mut cluster.members[3..] {
        member.wait_ready().await?;
    }
    until("three voters of four members", SOON, async || {
        let consensus = &cluster.status(0).await?["consensus"];
        let count = |kind: &str| consensus[kind].as_array().map_or(0, Vec::len);
        ensure!(count("voters") == 3 && count("learners") == 1, "{consensus}");
        Ok(())
    })
    .await?;
    for index in [0, 1, 3, 4] {
        let key = format!("from-{index}");
        cluster.cli(index)?.ok(&["store", "write", &key, "1"]).await?;
        assert_eq!(cluster.cli(0)?.ok(&["store", "read", &key]).await?, "1");
    }
    Ok(())
}

#[tokio::test]
async fn a_zone_that_comes_later_gets_a_voter() -> anyhow::Result<()> {
    let zone = |name: &str| vec!["--zone".to_owned(), name.to_owned()];
    let plan = Plan { size: 3, extra: zone("a"), ..Plan::default() };
    let mut cluster = Cluster::start(plan, &mut |_| ()).await?;
    let mut elsewhere = cluster.further("delta")?;
    elsewhere.start(&[cluster.invitation("delta").await?, zone("b")].concat()).await?;
    cluster.members.push(elsewhere);
    until("it votes in the place of another", SOON, async || {
        let status = cluster.status(3).await?;
        let voters = status["consensus"]["voters"].as_array().context("a list")?;
        ensure!(voters.len() == 3 && voters.contains(&status["seen_by"]), "{}", status["consensus"]);
        Ok(())
    })
    .await?;
    cluster.cli(3)?.ok(&["store", "write", "k", "1"]).await?;
    Ok(())
}

#[tokio::test]
async fn who_leaves_waits_for_one_that_has_just_joined_to_take_its_blobs() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    for number in 0..3 {
        let name = format!("blob-{number}");
        cluster.cli(0)?.run_with_input(&["blob", "put", &name, "-", "--copies", "3"], &name).await?;
    }
    let mut joining = cluster.further("delta")?;
    joining.start(&cluster.invitation("delta").await?).await?;
    // At once, without the time that the mesh takes to see that the new one may be given something.
    cluster.cli(1)?.ok(&["leave", "--yes"]).await?;
    cluster.members[1].ended().await?;
    cluster.members.push(joining);
    for index in [0, 2, 3] {
        assert_eq!(cluster.cli(index)?.ok(&["blob", "get", "blob-1", "-"]).await?, "blob-1");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_joins_by_any_address_of_another_and_uses_the_one_that_works() -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let works = format!("127.0.0.1:{port}");
    // Nobody is at the address that is dialled first.
    let line = ["--mesh-listen", &works, "--advertise", &format!("127.0.0.1:1,{works}")].map(String::from);
    let mut first = Member::new(root.path(), "first", line.to_vec())?;
    first.start(&[]).await?;
    let mut second = Member::new(root.path(), "second", Vec::new())?;
    second.start(&first.invite("second").await?).await?;
    until("it says where it reaches the other", SOON, async || {
        let status = second.cli()?.json(&["status", "-o", "json"]).await?;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let path = nodes.iter().find(|node| node["name"] == "first").map(|node| node["path"].clone());
        ensure!(path == Some(format!("direct {works}").into()), "{path:?}");
        Ok(())
    })
    .await?;
    let links = second.cli()?.json(&["network", "connections", "-o", "json"]).await?;
    ensure!(links["items"][0]["address"] == works.as_str(), "{links}");
    Ok(())
}

#[tokio::test]
async fn a_service_of_a_node_that_is_down_is_not_forgotten() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let _greeter = cluster.greeter(1).await?;
    cluster.members[1].kill().await?;
    let api = cluster.members[0].at().api;
    until("it is said who had it", SOON, async || {
        let answer = post(api, "/helloworld/call", r#"{"name":"Jane"}"#).await?;
        ensure!(answer.status == 503 && answer.body.contains("down or cut off"), "{answer:?}");
        Ok(())
    })
    .await?;
    let answer = post(api, "/helloworlds/call", "{}").await?;
    ensure!(answer.status == 404, "{answer:?}");
    Ok(())
}
