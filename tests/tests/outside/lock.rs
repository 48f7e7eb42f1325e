//! What becomes of a command whose lock nobody can hold any more.

use anyhow::{Context, ensure};
use micro_tests::{Cluster, until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::{fs, process::Stdio, time::Duration};
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_command_does_not_outlive_the_process_that_holds_its_lock() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let file = cluster.root().join("pid");
    // A program that takes its time to end, if it is asked.
    let script = format!(
        "trap '' TERM INT; echo $$ > {0}.part; mv {0}.part {0}; while :; do sleep 1; done",
        file.display()
    );
    let mut command = Command::new(micro_tests::program("micro-node")?);
    command.args(["--address", &cluster.members[0].address(), "lock", "nightly", "--", "sh", "-c", &script]);
    let mut holder = command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn()?;
    let running = until("the program runs", SOON, async || {
        let text = fs::read_to_string(&file).context("no pid yet")?;
        Pid::from_raw(text.trim().parse()?).context("a pid")
    })
    .await?;
    let pid = holder.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("it runs")?;
    ensure!(pid != running && test_kill_process(running).is_ok(), "the program is not there");
    kill_process(pid, Signal::KILL)?;
    holder.wait().await?;
    until("the program has ended", SOON, async || {
        // Whoever takes in orphans may take its time to look at it.
        let state =
            fs::read_to_string(format!("/proc/{}/stat", running.as_raw_nonzero())).unwrap_or_default();
        let dead = state.rsplit(") ").next().is_some_and(|rest| rest.is_empty() || rest.starts_with('Z'));
        ensure!(dead, "{state}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_command_that_cannot_be_run_is_told_of_and_the_lock_is_free_again() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let cli = cluster.cli(0)?;
    let outcome = cli.run(&["lock", "nightly", "--", "/nowhere/at/all", "x"]).await?;
    ensure!(outcome.code == 2 && outcome.stderr.contains("cannot run /nowhere/at/all"), "{outcome:?}");
    cli.ok(&["lock", "nightly", "--wait", "5s", "--", "true"]).await?;
    Ok(())
}

#[tokio::test]
async fn locks_that_are_held_are_listed_with_who_holds_them_and_how_many_wait() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    ensure!(cli.run(&["lock", "--list"]).await?.stderr.contains("no lock is held"));
    let daily = node.lock("jobs/daily").value("host-1").acquire().await?;
    let weekly = node.lock("jobs/weekly").value("host-2").acquire().await?;
    let waits = tokio::spawn(async move { node.lock("jobs/daily").acquire().await });
    let token = daily.token();
    until("it is listed", SOON, async || {
        let listed = cli.json(&["lock", "--list", "-o", "json"]).await?;
        let lock = |name: &str, holder: &str, token: u64, waiting: u32| {
            serde_json::json!({"name": name, "holder": holder, "token": token, "waiting": waiting})
        };
        let held = [
            lock("jobs/daily", "host-1", token, 1),
            lock("jobs/weekly", "host-2", weekly.token(), 0),
        ];
        ensure!(listed["items"] == serde_json::json!(held), "{listed}");
        Ok(())
    })
    .await?;
    daily.release().await?;
    waits.await??.release().await?;
    weekly.release().await?;
    Ok(())
}

#[tokio::test]
async fn what_a_leader_writes_is_written_only_while_it_leads() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (cli, node) = (cluster.cli(0)?, cluster.client(0).await?);
    let lead = node.election("scheduler").campaign("host-1").await?;
    let held = format!("scheduler:{}", lead.token());
    cli.ok(&["store", "write", "plan", "1", "--lead", &held]).await?;
    let compared = format!(
        r#"{{"if":[{{"election":"scheduler","token":{}}}],"then":[{{"write":"plan","value":"2"}}]}}"#,
        lead.token()
    );
    cli.ok(&["store", "txn", &compared]).await?;
    lead.resign().await?;
    let next = node.election("scheduler").campaign("host-2").await?;
    let late = cli.run(&["store", "write", "plan", "3", "--lead", &held]).await?;
    assert!(late.code == 6 && late.stderr.contains("is not held under token"), "{late:?}");
    assert_eq!(cli.run(&["store", "txn", &compared]).await?.code, 6);
    assert_eq!(cli.run(&["store", "delete", "plan", "--lead", &held]).await?.code, 6);
    assert_eq!(cli.ok(&["store", "read", "plan"]).await?, "2");
    let both = ["store", "write", "plan", "3", "--lead", &held, "--fence", "a:1"];
    assert_eq!(cli.run(&both).await?.code, 2);
    next.resign().await?;
    Ok(())
}
