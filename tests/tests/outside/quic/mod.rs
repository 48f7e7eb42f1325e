//! The mesh port from outside: `tests/corpus/quic`, datagrams that are no QUIC, strangers, and a node of the mesh that
//! has gone bad, by a QUIC of others. What each file says happens; the mesh goes on, within bounds, and tells no
//! secret.

mod identities;

use anyhow::{Context, ensure};
use micro_tests::{Cluster, Python, resident_kib};
use std::{fs, path::Path, time::Duration};
use tokio::time::timeout;

/// Longer than all of it takes.
const PATIENCE: Duration = Duration::from_secs(180);
/// What a node may have more in memory behind all of it, in KiB: buffers that were filled once.
const GROWTH_MAX_KIB: u64 = 96 << 10;

#[tokio::test]
async fn what_is_bad_at_the_mesh_port_is_refused_and_the_mesh_goes_on() -> anyhow::Result<()> {
    let mut cluster = Cluster::of(3).await?;
    let other = Cluster::of(1).await?;
    let status = cluster.status(0).await?;
    // The third is away, so that somebody else can be it.
    cluster.members[2].stop().await?;
    let id = cluster.members[2].at().node.clone();
    let mesh = status["cluster"].as_str().with_context(|| format!("no id: {status}"))?;
    let folder = cluster.root().join("identities");
    fs::create_dir(&folder)?;
    let data = |index: usize| cluster.members[index].data_dir();
    let name = format!("{id}.{mesh}.mesh.micro");
    identities::write_all(&folder, &data(0), &data(2), &other.members[0].data_dir(), &name)?;
    cluster.cli(1)?.ok(&["store", "write", "before", "1"]).await?;
    let at = cluster.members[0].at().clone();
    let before = resident_kib(at.pid)?;

    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/quic");
    let mut client = Python::with_clients().await?.client("quic_client.py");
    client.args([at.mesh.ip().to_string(), at.mesh.port().to_string()]).arg(corpus).arg(&folder);
    let output = timeout(PATIENCE, client.output()).await.context("it does not end")??;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}\n{failed}");
    let (findings, count) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
    let count: usize = count.trim_end_matches(" cases").parse().with_context(|| format!("{said}{failed}"))?;
    ensure!(findings.is_empty(), "of {count}:\n{findings}");
    ensure!(count >= 100, "the corpus has shrunk to {count}");

    cluster.cli(1)?.ok(&["store", "write", "after", "2"]).await?;
    for (index, value) in [(0, "1"), (1, "1")] {
        assert_eq!(cluster.cli(index)?.ok(&["store", "read", "before"]).await?, value);
    }
    let after = resident_kib(at.pid)?;
    ensure!(after < before + GROWTH_MAX_KIB, "it has grown from {before} to {after} KiB");
    for member in &mut cluster.members[..2] {
        ensure!(member.is_running(), "{} has ended: {}", member.name(), member.last_words());
        let log = fs::read_to_string(member.log())?;
        ensure!(!log.contains("panicked"), "{}: {}", member.name(), member.last_words());
    }
    // Somebody else has been the third since it went: it is not taken again, and says so.
    let third = &mut cluster.members[2];
    ensure!(third.start(&[]).await.is_err() || third.ended().await? != 0, "two have been one node");
    let log = fs::read_to_string(third.log())?;
    ensure!(log.contains("another process"), "{}", third.last_words());
    Ok(())
}
