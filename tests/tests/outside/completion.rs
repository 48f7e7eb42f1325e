//! What a shell is told when a person presses the key for completion.

use crate::http::clerk;
use anyhow::Context;
use micro_tests::{Cluster, CommandLine, program};
use std::{path::Path, process::Stdio};
use tokio::process::Command;

/// What may stand at the end of a line, as fish asks for it.
async fn candidates(home: &Path, address: &str, line: &str) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(program("micro-node")?);
    command
        .env_clear()
        .env("HOME", home)
        .env("MICRO_NODE_ADDRESS", address)
        .env("MICRO_NODE_COMPLETE", "fish");
    command.arg("--").args(line.split(' ')).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("micro-node")?;
    anyhow::ensure!(output.status.success(), "{line}: {output:?}");
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect())
}

#[tokio::test]
async fn shells_are_told_of_commands_services_endpoints_and_fields() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let _clerk = clerk::serve(&cluster, 0, "default", 64).await?;
    let address = cluster.members[0].address();
    cluster.cli(0)?.ok(&["auth", "create", "account", "jane"]).await?;
    // What takes HTTP as it is has no endpoint to call.
    let raw = ["registry", "register", "--name", "clock", "--endpoint", "http://127.0.0.1:5000"];
    cluster.cli(0)?.ok(&[&raw[..], &["--ttl", "5m", "--health", "none"]].concat()).await?;
    for (line, expected) in [
        ("micro-node sto", &["store"][..]),
        ("micro-node store wri", &["write"]),
        ("micro-node kv wri", &["write"]),
        ("micro-node drain al", &[cluster.members[0].name()]),
        ("micro-node audit verify --node al", &[cluster.members[0].name()]),
        ("micro-node auth delete rule lo", &["loopback"]),
        ("micro-node auth revoke ja", &["jane"]),
        ("micro-node auth check --account ja", &["jane"]),
        ("micro-node cle", &["clerk"]),
        ("micro-node -o json cle", &["clerk"]),
        ("micro-node clerk ec", &["echo"]),
        ("micro-node clerk echo --place", &["--place.zip"]),
        ("micro-node -o json clerk echo --op", &["--open"]),
        ("micro-node call cl", &["clerk"]),
        ("micro-node call clerk Clerk.op", &["Clerk.open_orders"]),
        ("micro-node services c", &["clerk", "clock"]),
        ("micro-node clo", &[]),
        ("micro-node -t lo", &["local"]),
        ("micro-node -o ya", &["yaml"]),
    ] {
        assert_eq!(candidates(cluster.root(), &address, line).await?, expected, "{line}");
    }
    // Without a node there are still the commands.
    let nobody = format!("unix:{}", cluster.root().join("nobody.sock").display());
    assert_eq!(candidates(cluster.root(), &nobody, "micro-node sta").await?, ["start", "status"]);
    let cli = CommandLine::new(None, cluster.root())?;
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli.ok(&["completion", shell]).await?;
        assert!(script.contains("MICRO_NODE_COMPLETE") && script.contains("micro-node"), "{shell}: {script}");
    }
    Ok(())
}
