//! The way back of a node whose log is damaged: as a new one, by the words of its own refusal.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, CommandLine, Writers, check_acknowledged, torture::flip_log, until};
use std::{fs, time::Duration};

/// From the new node's readiness to its vote.
const SOON: Duration = Duration::from_secs(60);

/// The commands in a node's last words: what stands between backticks.
fn commands(said: &str) -> Vec<Vec<&str>> {
    let quoted = said.split('`').skip(1).step_by(2);
    let commands = quoted.filter_map(|text| text.strip_prefix("micro-node "));
    commands.map(|command| command.split_whitespace().collect()).collect()
}

#[tokio::test]
async fn a_node_with_a_damaged_log_comes_back_as_a_new_one_by_the_words_of_its_refusal() -> anyhow::Result<()>
{
    let mut cluster = Cluster::of(3).await?;
    let writers = Writers::start("rejoin", [cluster.client(0).await?, cluster.client(1).await?]);
    writers.more(500).await?;
    let acknowledged = writers.finish().await;
    let only_copy = cluster.root().join("only-copy");
    fs::write(&only_copy, "the only copy")?;
    let path = only_copy.display().to_string();
    cluster.cli(1)?.ok(&["blob", "put", "only-copy", &path, "--copies", "1"]).await?;
    let old = cluster.members[1].at().node.clone();
    cluster.members[1].stop().await?;

    let damaged = flip_log(&cluster.members[1].data_dir().join("raft"))?;
    for _ in 0..2 {
        cluster.members[1].spawn(&[])?;
        let (code, said) = (cluster.members[1].ended().await?, cluster.members[1].last_words());
        ensure!(code == 1 && said.contains("is corrupt"), "{code}\n{said}");
        ensure!(said.contains(&damaged.display().to_string()) && said.contains("at byte"), "{said}");
    }
    let said = cluster.members[1].last_words();
    let advised = commands(&said);
    let rejoin = advised.iter().find(|command| command.contains(&"--rejoin"));
    let rejoin = rejoin.with_context(|| format!("no way back is named: {said}"))?;
    let cli = CommandLine::new(None, cluster.root())?;
    let unasked = cli.run(rejoin).await?;
    ensure!(unasked.code == 2 && unasked.stderr.contains("--yes"), "{unasked:?}");
    let rejoin = [&rejoin[..], &["--yes"]].concat();

    // Two of three voters are a quorum, and this one is not to be missed while another is.
    cluster.members[2].kill().await?;
    let refused = cli.run(&rejoin).await?;
    ensure!(refused.code != 0 && refused.stderr.contains("quorum"), "{refused:?}");
    ensure!(refused.stderr.contains("nothing was changed"), "{refused:?}");
    // What a try has kept that was cut short is not lost by one that gets nowhere: it may have been let go.
    let kept = cluster.members[1].data_dir().join("files/rejoin");
    fs::write(&kept, "kept")?;
    let refused = cli.run(&rejoin).await?;
    ensure!(refused.code != 0 && refused.stderr.contains("run it again"), "{refused:?}");
    ensure!(fs::read_to_string(&kept)? == "kept", "what an earlier try has kept is gone");
    ensure!(!cluster.members[1].data_dir().join("given-up-1").exists(), "it was put aside all the same");
    cluster.members[2].start(&[]).await?;

    cli.ok(&rejoin).await?;
    let aside =
        cluster.members[1].data_dir().join("given-up-1/raft").join(damaged.file_name().context("a file")?);
    ensure!(aside.is_file(), "{} is not there", aside.display());
    cluster.members[1].start(&[]).await?;
    let new = cluster.members[1].at().node.clone();
    ensure!(new != old, "it came back under its old id");
    until("three voters", SOON, async || {
        let status = cluster.status(0).await?;
        let voters = status["consensus"]["voters"].as_array().context("no voters")?;
        ensure!(voters.len() == 3 && voters.iter().any(|voter| *voter == *new), "{voters:?}");
        ensure!(!voters.iter().any(|voter| *voter == *old), "the old one votes still: {voters:?}");
        Ok(())
    })
    .await?;
    check_acknowledged(&cluster.client(1).await?, &acknowledged).await?;
    until("the blob that only the old node had", SOON, async || {
        let got = cluster.cli(0)?.ok(&["blob", "get", "only-copy", "-"]).await?;
        ensure!(got == "the only copy", "{got}");
        Ok(())
    })
    .await?;
    ensure!(!kept.exists(), "what let it in is still there");
    cluster.members[1].stop().await?;
    cluster.members[1].start(&[]).await?;
    ensure!(cluster.members[1].at().node == new, "it is another one once more");
    cluster.stop().await
}
