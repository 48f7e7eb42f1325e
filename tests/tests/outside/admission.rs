//! Who gets into a mesh, and who does not.

use micro_tests::{Cluster, Member};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

/// Starts a node with this token and expects that it is refused; returns what it said.
async fn refused(cluster: &Cluster, name: &str, token: &str) -> anyhow::Result<String> {
    let file = cluster.root().join(format!("{name}.token"));
    fs::write(&file, token)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let mesh = cluster.members[0].at().mesh.to_string();
    let join = ["--join", &mesh, "--join-token", &format!("@{}", file.display())].map(String::from);
    let mut member = cluster.further(name)?;
    match member.start(&join).await {
        Ok(()) => anyhow::bail!("{name} got in"),
        Err(error) => Ok(error.to_string()),
    }
}

async fn token(cluster: &Cluster, ttl: &str) -> anyhow::Result<String> {
    let made = cluster.cli(0)?.json(&["token", "create", "--local", "--ttl", ttl, "-o", "json"]).await?;
    Ok(made["item"]["token"].as_str().expect("a token").to_owned())
}

#[tokio::test]
async fn a_token_admits_one_node_once() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let mut second = cluster.further("second")?;
    let invitation = cluster.invitation("second").await?;
    second.start(&invitation).await?;
    let file: PathBuf = invitation.last().and_then(|last| last.strip_prefix('@')).expect("@FILE").into();
    let said = refused(&cluster, "third", &fs::read_to_string(file)?).await?;
    assert!(said.contains("used"), "{said}");
    Ok(())
}

#[tokio::test]
async fn an_expired_token_is_refused_and_says_so() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let token = token(&cluster, "1s").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let said = refused(&cluster, "late", &token).await?;
    assert!(said.contains("expired"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_token_of_another_mesh_is_refused() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let other = Cluster::of(1).await?;
    let said = refused(&cluster, "stranger", &token(&other, "15m").await?).await?;
    assert!(said.contains("another") || said.contains("cluster"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_garbled_token_is_refused_before_anything_is_sent() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let good = token(&cluster, "15m").await?;
    // Every tenth character changed in turn: checksum, pin, secret and address all get their share.
    for at in (0..good.len()).step_by(good.len().div_ceil(6)) {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let said = refused(&cluster, &format!("garbled-{at}"), &String::from_utf8(bytes)?).await?;
        assert!(said.contains("error:"), "{said}");
    }
    for nonsense in ["", "x", "mn1_", &"A".repeat(100_000)] {
        refused(&cluster, &format!("nonsense-{}", nonsense.len()), nonsense).await?;
    }
    // The token itself was not used up by those that looked like it.
    let mut member = cluster.further("good")?;
    let file = cluster.root().join("good.token");
    fs::write(&file, &good)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let mesh = cluster.members[0].at().mesh.to_string();
    member.start(&["--join".into(), mesh, "--join-token".into(), format!("@{}", file.display())]).await
}

#[tokio::test]
async fn a_node_of_one_mesh_cannot_be_started_into_another() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let mut other = Cluster::of(1).await?;
    other.members[0].stop().await?;
    let invitation = cluster.invitation("defector").await?;
    let error = other.members[0].start(&invitation).await.expect_err("it changed sides");
    assert!(error.to_string().contains("cluster"), "{error}");
    let status = cluster.status(0).await?;
    assert_eq!(status["nodes"].as_array().map(Vec::len), Some(1), "{status}");
    // Left alone, it serves its own mesh as before.
    other.members[0].start(&[]).await
}

#[tokio::test]
async fn two_meshes_side_by_side_never_meet() -> anyhow::Result<()> {
    let one = Cluster::of(1).await?;
    let other = Cluster::of(1).await?;
    let (a, b) = (one.status(0).await?, other.status(0).await?);
    assert_ne!(a["cluster"], b["cluster"]);
    assert_eq!(a["nodes"].as_array().map(Vec::len), Some(1));
    assert_eq!(b["nodes"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn a_reset_node_joins_again_under_a_new_id() -> anyhow::Result<()> {
    let cluster = Cluster::of(1).await?;
    let mut second: Member = cluster.further("second")?;
    second.start(&cluster.invitation("second").await?).await?;
    let first_id = second.at().node.clone();
    second.cli()?.ok(&["leave", "--yes"]).await?;
    let data = second.data_dir().display().to_string();
    second.ended().await?;
    let reset = second.cli()?;
    reset.ok(&["reset", "--data-dir", &data, "--yes"]).await?;
    second.start(&cluster.invitation("again").await?).await?;
    assert_ne!(second.at().node, first_id);
    Ok(())
}
