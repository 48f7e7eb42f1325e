//! Data directories that were copied, or put back from a copy.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, Member, copy, until};
use std::{fs, path::PathBuf, time::Duration};

const SOON: Duration = Duration::from_secs(30);

/// Stops a follower and returns its index, with a copy of its data directory.
async fn copy_of_a_follower(cluster: &mut Cluster) -> anyhow::Result<(usize, PathBuf)> {
    let leader = until("a leader", SOON, async || cluster.leader(0).await).await?;
    let follower = (leader + 1) % 3;
    cluster.members[follower].stop().await?;
    let kept = cluster.root().join("copy");
    copy(&cluster.members[follower].data_dir(), &kept)?;
    cluster.members[follower].start(&[]).await?;
    Ok((follower, kept))
}

async fn is_refused(member: &mut Member) -> anyhow::Result<()> {
    member.spawn(&[])?;
    let code = member.ended().await?;
    ensure!(code == 6, "exit code {code}\n{}", member.last_words());
    let said = member.last_words();
    ensure!(said.contains("is a copy") && said.contains("micro-node reset"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_older_copy_put_back_is_refused_and_stays_refused() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let (follower, kept) = copy_of_a_follower(&mut cluster).await?;
    cluster.cli(follower)?.ok(&["store", "write", "since", "1"]).await?;
    cluster.members[follower].stop().await?;
    let data = cluster.members[follower].data_dir();
    fs::remove_dir_all(&data)?;
    copy(&kept, &data)?;
    is_refused(&mut cluster.members[follower]).await?;
    is_refused(&mut cluster.members[follower]).await?;
    let other = (follower + 1) % 3;
    assert_eq!(cluster.cli(other)?.ok(&["store", "read", "since"]).await?, "1");
    Ok(())
}

#[tokio::test]
async fn of_two_processes_with_one_identity_the_one_that_was_started_later_stays() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let (follower, kept) = copy_of_a_follower(&mut cluster).await?;
    // Started once more than the original, so that it is the later one whoever looks.
    fs::write(kept.join("files/boot"), fs::read(cluster.members[follower].data_dir().join("files/boot"))?)?;
    let mut twin = cluster.further("twin")?;
    copy(&kept, &twin.data_dir())?;
    twin.start(&[]).await?;
    let code = cluster.members[follower].ended().await?;
    ensure!(code == 6, "exit code {code}\n{}", cluster.members[follower].last_words());
    assert!(twin.is_running());
    let other = (follower + 1) % 3;
    cluster.cli(other)?.ok(&["store", "write", "still", "alive"]).await?;
    assert_eq!(twin.cli()?.ok(&["store", "read", "still"]).await?, "alive");
    Ok(())
}

#[tokio::test]
async fn a_voter_whose_disk_lost_what_it_had_acknowledged_is_healed_and_told() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let (follower, kept) = copy_of_a_follower(&mut cluster).await?;
    for number in 0..20 {
        cluster.cli(follower)?.ok(&["store", "write", &format!("k{number}"), "1"]).await?;
    }
    until("all replicas have it", SOON, async || {
        let status = cluster.status(follower).await?;
        let replicas = status["consensus"]["replicas"].as_array().context("no replicas")?;
        ensure!(replicas.len() == 3 && replicas.iter().all(|one| one["lag"] == 0), "{replicas:?}");
        Ok(())
    })
    .await?;
    cluster.members[follower].stop().await?;
    // Log and state go back; the files that count its starts don't, so that it is let in.
    let data = cluster.members[follower].data_dir();
    for part in ["raft", "state"] {
        fs::remove_dir_all(data.join(part))?;
        copy(&kept.join(part), &data.join(part))?;
    }
    cluster.members[follower].start(&[]).await?;
    assert_eq!(cluster.cli(follower)?.ok(&["store", "read", "k19"]).await?, "1");
    until("the loss is told", SOON, async || {
        let status = cluster.status(follower).await?;
        ensure!(status["problems"].to_string().contains("had lost log entries"), "{}", status["problems"]);
        Ok(())
    })
    .await
}
