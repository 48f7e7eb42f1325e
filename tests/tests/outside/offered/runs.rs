//! `micro-node service --endpoint exec://…`: a program that is run once a call.

use super::{Offered, SOON, script};
use crate::http::ask;
use anyhow::{Context, ensure};
use micro_tests::{Cluster, until};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use std::{fs, path::Path};

const JSON: &str = "content-type: application/json";

#[tokio::test]
async fn a_program_is_run_once_a_call() -> anyhow::Result<()> {
    let cluster = Cluster::of(2).await?;
    let text = "case $1 in\n\
        echo) cat ;;\n\
        words) shift; echo \"$# $*\" ;;\n\
        env) echo \"$MICRO_SERVICE $MICRO_ENDPOINT $MICRO_NAMESPACE $MICRO_CALLER ${#MICRO_TRACE_ID}\" ;;\n\
        fail) echo one >&2; printf '\\033[31mno paper\\033[0m\\n' >&2; exit 3 ;;\n\
        long) yes ;;\n\
        bytes) printf '\\377' ;;\n\
        quiet) ;;\nesac";
    let endpoint = script(cluster.root(), "tool", text)?;
    let (mut offered, cli) = (Vec::new(), cluster.cli(1)?);
    for arguments in [
        &["echo"][..],
        &["words", "a b", "--width", "2"],
        &["env"],
        &["fail"],
        &["long"],
        &["bytes"],
        &["quiet"],
    ] {
        let words = [&["--endpoint", &endpoint, "--"], arguments].concat();
        offered.push(Offered::start(&cluster, 0, arguments[0], &words).await?);
    }
    assert_eq!(cli.ok(&["call", "echo", "call", r#"{"a":[1]}"#]).await?, r#"{"a":[1]}"#);
    assert_eq!(cli.ok(&["call", "words", "call"]).await?, r#""3 a b --width 2""#);
    assert_eq!(cli.ok(&["call", "env", "call"]).await?, r#""env call default admin 32""#);
    assert_eq!(cli.ok(&["call", "quiet", "call"]).await?, "null");
    for (name, told) in [
        ("fail", "fail ended with exit status: 3: one | no paper"),
        ("long", "more than an answer may have"),
        ("bytes", "neither JSON nor text"),
    ] {
        let outcome = cli.run(&["call", name, "call"]).await?;
        ensure!(outcome.code != 0 && outcome.stderr.contains(told), "{name}: {outcome:?}");
    }
    let api = cluster.members[1].at().api;
    for line in ["POST /echo/call", "POST /echo"] {
        let answer = ask(api, line, &[JSON], r#"{"a": 1}"#).await?;
        ensure!(answer.status == 200 && answer.json()? == json!({"a": 1}), "{line}: {answer:?}");
    }
    let answer = ask(api, "GET /env", &[], "").await?;
    assert_eq!(answer.json()?, json!("env call default anonymous 32"));
    let answer = ask(api, "POST /fail/call", &[JSON], "{}").await?;
    ensure!(answer.status == 500 && answer.body.contains("no paper"), "{answer:?}");
    let answer = ask(api, "POST /echo/other", &[JSON], "{}").await?;
    ensure!(answer.status == 404, "{answer:?}");
    kill_process(offered[0].pid()?, Signal::TERM)?;
    assert_eq!(offered[0].code().await?, Some(0), "{}", offered[0].told());
    Ok(())
}

/// Waits until a file says a process, and gives that.
async fn started(file: &Path) -> anyhow::Result<String> {
    until("it runs", SOON, async || {
        let pid = fs::read_to_string(file)?;
        ensure!(pid.ends_with('\n'), "it is being written");
        Ok(pid.trim().to_owned())
    })
    .await
}

/// Waits until there is no such process.
async fn ended(pid: &str) -> anyhow::Result<()> {
    until(&format!("{pid} is gone"), SOON, async || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        ensure!(stat.is_empty() || stat.contains(") Z "), "{stat}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_program_ends_with_its_call_and_with_its_command() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let (pid, below) = (cluster.root().join("pid"), cluster.root().join("below"));
    // With what it has started: a shell that waits leaves that behind.
    let text = format!("sleep 600 & echo $! > {}; echo $$ > {}; wait", below.display(), pid.display());
    let endpoint = script(cluster.root(), "slow", &text)?;
    let offered = Offered::start(&cluster, 0, "slow", &["--endpoint", &endpoint]).await?;
    let cli = cluster.cli(0)?;
    let outcome = cli.run(&["call", "slow", "call", "--request-timeout", "2s"]).await?;
    ensure!(outcome.code == 7, "{outcome:?}");
    for file in [&pid, &below] {
        ended(&started(file).await?).await?;
        fs::remove_file(file)?;
    }
    // The caller goes away.
    let gone = cli.clone();
    let call =
        tokio::spawn(async move { gone.run(&["call", "slow", "call", "--request-timeout", "5m"]).await });
    let own = [started(&pid).await?, started(&below).await?];
    call.abort();
    for own in &own {
        ended(own).await?;
    }
    fs::remove_file(&pid)?;
    // The command is killed.
    let call =
        tokio::spawn(async move { cli.run(&["call", "slow", "call", "--request-timeout", "5m"]).await });
    let own = started(&pid).await?;
    kill_process(offered.pid()?, Signal::KILL)?;
    ended(&own).await?;
    let outcome = call.await??;
    ensure!(outcome.code != 0, "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn no_more_than_so_many_are_run_at_once() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let root = cluster.root().to_owned();
    let (go, running) = (root.join("go"), root.join("running"));
    // Says when another one runs beside it.
    let (go_shown, running_shown) = (go.display(), running.display());
    let text = format!(
        "mkdir {running_shown} || exit 9\n\
         while ! test -e {go_shown}; do sleep 0.1; done\n\
         rmdir {running_shown}\n\
         echo done"
    );
    let endpoint = script(&root, "one", &text)?;
    let _offered = Offered::start(&cluster, 0, "one", &["--endpoint", &endpoint, "--at-once", "1"]).await?;
    let cli = cluster.cli(0)?;
    let (sender, mut outcomes) = tokio::sync::mpsc::channel(8);
    for _ in 0..8 {
        let (cli, sender) = (cli.clone(), sender.clone());
        tokio::spawn(async move {
            let outcome = cli.run(&["call", "one", "call", "--request-timeout", "2m"]).await;
            sender.send(outcome).await
        });
    }
    // One is worked on and four wait: the others are told at once, and nothing was done for them.
    for _ in 0..3 {
        let outcome = outcomes.recv().await.context("eight are called")??;
        ensure!(outcome.code == 8 && outcome.stderr.contains("[overloaded]"), "{outcome:?}");
    }
    fs::write(&go, "")?;
    for _ in 0..5 {
        let outcome = outcomes.recv().await.context("eight are called")??;
        ensure!(outcome.code == 0 && outcome.stdout.trim() == "\"done\"", "{outcome:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_program_that_is_gone_is_not_called() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let endpoint = script(cluster.root(), "tool", "echo yes")?;
    let words = ["--endpoint", &endpoint, "--health-interval", "200ms", "--unhealthy-after", "1"];
    let _offered = Offered::start(&cluster, 0, "tool", &words).await?;
    let cli = cluster.cli(0)?;
    assert_eq!(cli.ok(&["call", "tool", "call"]).await?, "\"yes\"");
    fs::rename(cluster.root().join("tool"), cluster.root().join("away"))?;
    until("it is failing", SOON, async || {
        let shown = cli.ok(&["services", "tool"]).await?;
        ensure!(shown.contains("cannot run") && shown.contains("No such file"), "{shown}");
        Ok(())
    })
    .await?;
    fs::rename(cluster.root().join("away"), cluster.root().join("tool"))?;
    until("it is back", SOON, async || cli.ok(&["call", "tool", "call"]).await).await?;
    Ok(())
}

#[tokio::test]
async fn a_check_that_fails_is_told_by_what_it_said_last() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let endpoint = script(cluster.root(), "tool", "echo yes")?;
    let check = r"command:echo first; printf '\033[1mthe till is open\033[0m\n'; exit 4";
    let words = ["--endpoint", &endpoint, "--health", check, "--unhealthy-after", "1"];
    let _offered = Offered::start(&cluster, 0, "tool", &words).await?;
    let cli = cluster.cli(0)?;
    until("it is failing", SOON, async || {
        let shown = cli.ok(&["services", "tool"]).await?;
        ensure!(shown.contains("exit status: 4: the till is open"), "{shown}");
        Ok(())
    })
    .await
}
