//! What only root can arrange. Left out, and counted, for a person without root; in CI it must run.

use micro_tests::{Member, until};
use std::{path::Path, process::Command, time::Duration};

/// A file system of its own size, for as long as the value lives.
struct SmallDisk<'a> {
    folder: &'a Path,
}

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path, size: &str) -> anyhow::Result<Self> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder)
            .status()?;
        anyhow::ensure!(status.success(), "only root can mount a small disk");
        Ok(SmallDisk { folder })
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // Lazily: the node may be about to close its last file.
        Command::new("umount").arg("--lazy").arg(self.folder).status().ok();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_keeps_what_was_acknowledged() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let folder = home.path().join("alpha");
    std::fs::create_dir(&folder)?;
    let disk = SmallDisk::mount(&folder, "48m")?;
    let mut member = Member::new(home.path(), "alpha", Vec::new())?;
    member.start(&[]).await?;

    // Random-looking values, so that compression does not make room.
    let value = |seed: u64| {
        let mut state = seed + 1;
        let byte = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + (*state >> 33) as u8 % 90)
        };
        (0..500_000).map(|_| byte(&mut state)).collect::<String>()
    };
    let file = home.path().join("value");
    let mut acknowledged = Vec::new();
    let mut refused = None;
    for number in 0..200 {
        std::fs::write(&file, value(number))?;
        let key = format!("k{number}");
        let write = ["--timeout", "5s", "store", "write", &key, &format!("@{}", file.display())];
        let outcome = member.cli()?.run(&write).await?;
        if outcome.code != 0 {
            refused = Some(outcome);
            break;
        }
        acknowledged.push(number);
    }
    let refused = refused.expect("100 MB do not fit on a disk of 48");
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);

    // With room again, everything that was acknowledged is there.
    if member.is_running() {
        member.kill().await?;
    }
    let status = Command::new("mount").args(["-o", "remount,size=512m"]).arg(disk.folder).status()?;
    anyhow::ensure!(status.success(), "remount");
    member.start(&[]).await?;
    for number in acknowledged {
        let key = format!("k{number}");
        let found =
            until(&key, Duration::from_secs(10), async || member.cli()?.ok(&["store", "read", &key]).await);
        assert!(found.await? == value(number), "{key} is not what was written");
    }
    member.kill().await
}
