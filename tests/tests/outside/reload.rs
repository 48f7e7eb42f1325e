//! SIGHUP: what a running node takes up anew, and what it says of that.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, Member, get, until};
use rustix::process::Signal;
use serde_json::json;
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
    let file = cluster.root().join("node.toml");
    let shown = file.display().to_string();
    cluster.members[0].stop().await?;
    fs::write(&file, "[limits]\nunknown = \"off\"\n")?;
    let flags = ["--config", &shown, "--limit-account", "30"].map(str::to_owned);
    cluster.members[0].start(&flags).await?;
    let member = &cluster.members[0];
    assert_eq!(refused(member).await?, 0);

    let settings = "[limits]\nunknown = 2\naccount = 4\n[mesh]\nvoters = 5\n";
    reload(member, &file, settings, "limit-unknown was off and is 2").await?;
    let log = fs::read_to_string(member.log())?;
    for line in [
        format!("voters is 3 and would be 5 by {shown}:5: that takes a restart"),
        format!("limit-account of {shown}:3 does not count: --limit-account says it"),
    ] {
        ensure!(log.contains(&line), "it does not say {line}: {log}");
    }
    assert!(refused(member).await? > 0);
    let told = cluster.cli(0)?.json(&["config", "view", "-o", "json"]).await?;
    let told = told["items"].as_array().context("it has settings")?.clone();
    let find = |name: &str| told.iter().find(|setting| setting["name"] == name).cloned();
    let unknown =
        json!({"name": "limit-unknown", "value": "2", "source": "file", "place": format!("{shown}:2")});
    assert_eq!(find("limit-unknown"), Some(unknown));
    assert_eq!(find("voters").map(|setting| setting["value"].clone()), Some(json!("3")));
    // What is not understood changes nothing, and is told with its place.
    let line = format!("{shown}:2:11: limits.unknown");
    reload(member, &file, "[limits]\nunknown = 0\n", &line).await?;
    assert!(
        refused(member).await? > 0
            && fs::read_to_string(member.log())?.contains("the settings stay as they were")
    );
    reload(member, &file, "", "limit-unknown was 2 and is as usual").await?;
    reload(member, &file, "[log]\nfilter = \"debug\"\n", "and is debug").await?;
    let noise = |log: &str| log.lines().filter(|line| line.contains("DEBUG")).count();
    until("it logs more", SOON, async || {
        ensure!(noise(&fs::read_to_string(member.log())?) > 3);
        Ok(())
    })
    .await?;
    fs::remove_file(&file)?;
    member.signal(Signal::HUP)?;
    until("it says that the file is gone", SOON, async || {
        let log = fs::read_to_string(member.log())?;
        ensure!(log.contains("can't be read"), "{log}");
        Ok(())
    })
    .await?;
    cluster.cli(0)?.ok(&["store", "write", "still", "here"]).await?;
    Ok(())
}
