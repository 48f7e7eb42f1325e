//! A replica that takes nothing in, while the others go on.

use super::SmallDisk;
use anyhow::ensure;
use micro_tests::{Member, until};
use std::{fs, path::Path, process::Command, time::Duration};

const SOON: Duration = Duration::from_secs(30);

/// Takes up all of a disk but `mib` MiB.
fn fill(folder: &Path, mib: u64) -> anyhow::Result<()> {
    let free = rustix::fs::statvfs(folder)?;
    let bytes = (free.f_bavail * free.f_frsize).saturating_sub(mib << 20);
    let file = folder.join("ballast");
    let status = Command::new("fallocate").args(["-l", &bytes.to_string()]).arg(file).status()?;
    ensure!(status.success(), "fallocate");
    Ok(())
}

#[tokio::test]
async fn a_node_with_a_full_disk_says_that_it_is_behind_and_catches_up() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let folder = home.path().join("bravo");
    fs::create_dir(&folder)?;
    let disk = SmallDisk::mount(&folder, "400m")?;
    let mut alpha = Member::new(home.path(), "alpha", Vec::new())?;
    alpha.start(&[]).await?;
    let mut bravo = Member::new(home.path(), "bravo", Vec::new())?;
    bravo.start(&alpha.invite("bravo").await?).await?;
    alpha.cli()?.ok(&["store", "write", "before", "1"]).await?;
    assert_eq!(bravo.cli()?.ok(&["store", "read", "before"]).await?, "1");

    fill(disk.folder, 40)?;
    until("it takes nothing in", SOON, async || {
        let status = bravo.cli()?.json(&["status", "-o", "json"]).await?;
        ensure!(status["problems"].to_string().contains("full"), "{}", status["problems"]);
        Ok(())
    })
    .await?;
    assert_eq!(bravo.cli()?.ok(&["store", "read", "before"]).await?, "1", "it is not behind yet");
    alpha.cli()?.ok(&["store", "write", "after", "1"]).await?;
    for read in [&["store", "read", "after"][..], &["store", "list"], &["config", "get"]] {
        let outcome = bravo.cli()?.run(read).await?;
        assert_eq!(outcome.code, 8, "{outcome:?}");
        let told = &outcome.stderr;
        assert!(
            told.contains("behind") && told.contains("nearly full") && !told.contains("majority"),
            "{told}"
        );
    }
    assert_eq!(bravo.cli()?.ok(&["store", "read", "before", "--stale"]).await?, "1");

    fs::remove_file(disk.folder.join("ballast"))?;
    until("it has caught up", SOON, async || bravo.cli()?.ok(&["store", "read", "after"]).await).await?;
    bravo.kill().await?;
    alpha.kill().await
}
