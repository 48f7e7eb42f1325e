//! SIGHUP: what a running node takes up anew, and what it says of that.

use anyhow::ensure;
use micro_tests::{Cluster, Member, get, until};
use rustix::process::Signal;
use std::{fs, time::Duration};

const SOON: Duration = Duration::from_secs(20);

/// Has the node take up `settings`, and waits until its log says `line`.
async fn reload(member: &Member, file: &std::path::Path, settings: &str, line: &str) -> anyhow::Result<()> {
    fs::write(file, settings)?;
    let before = fs::read_to_string(member.log())?.len();
    member.signal(Signal::HUP)?;
    until(line, SOON, async || {
        let log = fs::read_to_string(member.log())?;
        ensure!(log[before..].contains(line), "{}", &log[before..]);
        Ok(())
    })
    .await
}

/// How many of many requests are refused because there are too many.
async fn refused(member: &Member) -> anyhow::Result<usize> {
    let mut refused = 0;
    for _ in 0..50 {
        refused += usize::from(get(member.at().api, "/-/v1/registry/list-services").await?.status == 429);
    }
    Ok(refused)
}

#[tokio::test]
async fn sighup_takes_up_limits_and_the_log_and_says_what_needs_a_restart() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    let file = cluster.root().join("live.toml");
    // Without a file it has nothing to take up, and goes on.
    let bare = &cluster.members[0];
    bare.signal(Signal::HUP)?;
    until("nothing has changed", SOON, async || {
        ensure!(fs::read_to_string(bare.log())?.contains("no setting has changed"));
        Ok(())
    })
    .await?;
    cluster.members[0].stop().await?;
    fs::write(&file, "limit-unknown = \"off\"\n")?;
    let flags = ["--live-settings", &file.display().to_string(), "--limit-unknown", "3"].map(str::to_owned);
    cluster.members[0].start(&flags).await?;
    let member = &cluster.members[0];
    assert_eq!(refused(member).await?, 0, "the file goes before the flag");

    reload(member, &file, "limit-unknown = 2\nvoters = 5\n", "limit-unknown was off and is 2").await?;
    assert!(fs::read_to_string(member.log())?.contains("voters is settled when the node starts"));
    assert!(refused(member).await? > 0);
    // What is not understood changes nothing.
    reload(member, &file, "limit-unknown = 0\n", "the settings stay as they were").await?;
    assert!(refused(member).await? > 0);
    reload(member, &file, "", "limit-unknown was 2 and is 3").await?;
    reload(member, &file, "log = \"debug\"\n", "log was as at the start and is debug").await?;
    let noise = |log: &str| log.lines().filter(|line| line.contains("DEBUG")).count();
    until("it logs more", SOON, async || {
        ensure!(noise(&fs::read_to_string(member.log())?) > 3);
        Ok(())
    })
    .await?;
    cluster.cli(0)?.ok(&["store", "write", "still", "here"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_there_or_not_understood_keeps_a_node_from_starting() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    cluster.members[0].stop().await?;
    let file = cluster.root().join("live.toml");
    let flags = ["--live-settings", &file.display().to_string()].map(str::to_owned);
    let error = cluster.members[0].start(&flags).await.expect_err("it is not there");
    assert!(error.to_string().contains("live.toml"), "{error}");
    fs::write(&file, "limit-login = \"many\"\n")?;
    let error = cluster.members[0].start(&flags).await.expect_err("it is no limit");
    assert!(error.to_string().contains("limit-login"), "{error}");
    Ok(())
}
