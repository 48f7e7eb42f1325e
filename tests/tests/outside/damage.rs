//! Bits that are not what was written.

use anyhow::{Context, ensure};
use micro_sdk::Node;
use micro_tests::{
    Cluster, Member, Writers, check_acknowledged,
    torture::{flip_each_file, flip_tables},
    until,
};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};

/// From the first read that meets damage to the end of the process, and what of it others are told.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_flipped_bit_in_any_file_is_refused_or_harmless_and_never_believed() -> anyhow::Result<()> {
    let flips = flip_each_file().await?;
    println!("{flips:#?}");
    let refused = |part: &str| flips.refused.iter().any(|file| file.to_string_lossy().contains(part));
    for part in ["identity", ".log", ".sst"] {
        assert!(refused(part), "a flipped bit in {part} was not noticed: {:?}", flips.served);
    }
    Ok(())
}

/// Three nodes with records that all have on their disks, in tables that no node has read yet.
async fn filled() -> anyhow::Result<(Cluster, Vec<String>)> {
    let mut cluster = Cluster::of(3).await?;
    let writers = Writers::start("damage", [cluster.client(0).await?, cluster.client(1).await?]);
    writers.more(2000).await?;
    let acknowledged = writers.finish().await;
    cluster.stop().await?;
    for member in &mut cluster.members {
        member.spawn(&[])?;
    }
    for member in &mut cluster.members {
        member.wait_ready().await?;
    }
    Ok((cluster, acknowledged))
}

/// Waits until `status`, as the node `seen_by` prints it, tells of a problem with all of `words`.
async fn told(cluster: &Cluster, seen_by: usize, words: &[&str]) -> anyhow::Result<()> {
    until(&format!("the problem {words:?} in the status"), NOTICE_LIMIT, async || {
        let status = cluster.status(seen_by).await?;
        let problems = status["problems"].as_array().context("status has no problems")?;
        let told = problems.iter().any(|problem| {
            let text = problem["message"].as_str().unwrap_or("");
            words.iter().all(|word| text.contains(word))
        });
        ensure!(told, "{problems:?}");
        Ok(())
    })
    .await
}

/// Reads everything on the node with this index, and sees that what was damaged lies aside and is named.
async fn is_mended(cluster: &Cluster, index: usize, acknowledged: &[String]) -> anyhow::Result<()> {
    check_acknowledged(&cluster.client(index).await?, acknowledged).await?;
    let member = &cluster.members[index];
    ensure!(member.data_dir().join("state.damaged-1").is_dir(), "the damaged state is not there any more");
    told(cluster, index, &[member.name(), "state.damaged-1"]).await?;
    fs::remove_dir_all(member.data_dir().join("state.damaged-1"))?;
    until("nothing is aside any more", NOTICE_LIMIT, async || {
        let problems = cluster.status(index).await?["problems"].to_string();
        ensure!(!problems.contains("state.damaged"), "{problems}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_state_that_is_damaged_at_the_start_is_fetched_from_a_peer() -> anyhow::Result<()> {
    let (mut cluster, acknowledged) = filled().await?;
    // The first one, which joined nobody, and one that did.
    for index in [0, 2] {
        let member = &mut cluster.members[index];
        member.stop().await?;
        flip_tables(&member.data_dir().join("state"))?;
        member.start(&[]).await?;
        is_mended(&cluster, index, &acknowledged).await?;
    }
    cluster.stop().await
}

#[tokio::test]
async fn damage_that_a_read_meets_ends_the_node_and_the_next_start_mends_it() -> anyhow::Result<()> {
    let (mut cluster, acknowledged) = filled().await?;
    let state = cluster.members[1].data_dir().join("state");
    flip_tables(&state)?;
    let read = check_acknowledged(&cluster.client(1).await?, &acknowledged).await;
    let error = format!("{:#}", read.expect_err("it reads what is damaged"));
    ensure!(error.contains("is corrupt") && error.contains(".sst"), "{error}");
    told(&cluster, 0, &["bravo", "is corrupt", ".sst"]).await?;
    let code = cluster.members[1].ended().await?;
    let said = cluster.members[1].last_words();
    ensure!(code == 1 && said.contains("offset") && said.contains("start it again"), "{code}\n{said}");
    check_acknowledged(&cluster.client(0).await?, &acknowledged).await?;
    cluster.members[1].start(&[]).await?;
    is_mended(&cluster, 1, &acknowledged).await?;
    cluster.stop().await
}

#[tokio::test]
async fn a_node_that_is_asked_for_its_state_finds_out_that_it_is_damaged_too() -> anyhow::Result<()> {
    let (mut cluster, acknowledged) = filled().await?;
    cluster.members[1].stop().await?;
    cluster.members[2].stop().await?;
    for index in [0, 2] {
        flip_tables(&cluster.members[index].data_dir().join("state"))?;
    }
    // The one that is whole is away: nobody has what this one wants, and the other hears of it.
    cluster.members[2].spawn(&[])?;
    let code = cluster.members[0].ended().await?;
    let said = cluster.members[0].last_words();
    ensure!(code == 1 && said.contains("is corrupt") && said.contains("start it again"), "{code}\n{said}");
    // Now it is there, and each gets its state from it.
    cluster.members[1].spawn(&[])?;
    cluster.members[0].spawn(&[])?;
    for member in &mut cluster.members {
        if !member.is_running() {
            member.spawn(&[])?;
        }
        member.wait_ready().await?;
    }
    for index in 0..3 {
        check_acknowledged(&cluster.client(index).await?, &acknowledged).await?;
        let aside = cluster.members[index].data_dir().join("state.damaged-1").is_dir();
        ensure!(
            aside == (index != 1),
            "what is damaged is kept aside, and what is whole in its place: {index}"
        );
    }
    cluster.stop().await
}

/// All files below a folder, with what is in them.
fn contents(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() {
            found.insert(path.display().to_string(), fs::read(&path)?);
        }
    }
    Ok(found)
}

#[tokio::test]
async fn a_node_alone_with_a_damaged_state_is_refused_and_left_as_it_was() -> anyhow::Result<()> {
    let scratch = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let mut member = Member::new(scratch.path(), "alpha", Vec::new())?;
    member.start(&[]).await?;
    let client: Node = member.client().await?;
    client.store().table("t").put("k", "v").await?;
    member.stop().await?;
    let state = member.data_dir().join("state");
    flip_tables(&state)?;
    let before = contents(&state)?;
    for _ in 0..2 {
        member.spawn(&[])?;
        let (code, said) = (member.ended().await?, member.last_words());
        ensure!(
            code == 1 && said.contains("is corrupt") && said.contains("cluster restore"),
            "{code}\n{said}"
        );
        let tables = |files: &BTreeMap<String, Vec<u8>>| -> Vec<_> {
            files.clone().into_iter().filter(|(name, _)| name.ends_with(".sst")).collect()
        };
        ensure!(tables(&contents(&state)?) == tables(&before), "the state was changed");
        ensure!(!member.data_dir().join("state.damaged-1").exists(), "it was moved aside");
    }
    Ok(())
}
