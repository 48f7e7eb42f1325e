//! One node, with nothing configured but its folders and ports.

use micro_tests::Cluster;
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

#[tokio::test]
async fn a_restart_serves_the_old_data_on_the_old_addresses() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(1).await?;
    cluster.cli(0)?.ok(&["store", "write", "greeting", "hello"]).await?;
    let before = cluster.members[0].at().clone();
    assert_eq!(cluster.members[0].stop().await?, 0);
    cluster.members[0].start(&[]).await?;
    // What a mesh allows is told when it is founded, and then no more.
    let said = fs::read_to_string(cluster.members[0].log())?;
    assert_eq!(said.matches("a rule to begin with").count(), 3, "{said}");
    assert!(said.contains("accounts with the scope admin may do everything"), "{said}");
    let after = cluster.members[0].at();
    assert_eq!(
        (before.node, before.api, before.proxy, before.mesh),
        (after.node.clone(), after.api, after.proxy, after.mesh)
    );
    assert_eq!(cluster.cli(0)?.ok(&["store", "read", "greeting"]).await?, "hello");
    Ok(())
}

#[tokio::test]
async fn secrets_are_readable_by_their_owner_only_and_never_printed() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let member = &cluster.members[0];
    let file = &member.at().admin_secret_file;
    let mode = |path: &Path| -> anyhow::Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    assert_eq!(mode(file)?, 0o600, "{}", file.display());
    assert_eq!(mode(&member.data_dir())? & 0o077, 0, "others may look into the data directory");
    assert_eq!(mode(&member.at().socket)? & 0o077, 0, "others may use the socket");
    let secret = fs::read_to_string(file)?.trim().to_owned();
    assert!(secret.len() >= 32, "a secret of {} characters", secret.len());
    let said = fs::read_to_string(member.log())?;
    assert!(!said.contains(&secret), "the banner shows the secret");
    assert!(said.contains(&member.at().api.to_string()), "the addresses are not told: {said}");
    Ok(())
}

#[tokio::test]
async fn the_proxy_takes_the_admin_secret_and_nothing_less() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let member = &cluster.members[0];
    let proxy = member.at().proxy.to_string();
    let cli = micro_tests::CommandLine::new(Some(proxy), cluster.root())?;
    let outcome = cli.run(&["store", "read", "x"]).await?;
    assert_eq!(outcome.code, 4, "without a secret: {}", outcome.stderr);
    let wrong = cluster.root().join("wrong");
    fs::write(&wrong, "not the secret")?;
    let outcome = cli.run(&["--token", &format!("@{}", wrong.display()), "store", "read", "x"]).await?;
    assert_eq!(outcome.code, 4, "with a wrong secret: {}", outcome.stderr);

    let right = format!("@{}", member.at().admin_secret_file.display());
    cli.ok(&["--token", &right, "store", "write", "x", "1"]).await?;
    assert_eq!(cli.ok(&["--token", &right, "store", "read", "x"]).await?, "1");
    Ok(())
}
