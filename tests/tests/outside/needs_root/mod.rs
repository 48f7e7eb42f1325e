//! What only root can arrange. Left out, and counted, for a person without root; in CI it must run.

mod behind;
mod clouds;
mod elsewhere;
mod torture;
mod two_hops;
mod zones;

use anyhow::Context;
use micro_tests::{Member, until};
use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    time::Duration,
};

/// The user `nobody`, on every Linux there is.
const NOBODY: u32 = 65534;

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

/// Half a megabyte that no compression makes smaller.
fn noise(seed: u64) -> String {
    let mut state = seed + 1;
    let byte = |state: &mut u64| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (*state >> 33) as u8 % 90)
    };
    (0..500_000).map(|_| byte(&mut state)).collect()
}

#[tokio::test]
async fn a_full_disk_makes_the_node_read_only_until_there_is_room_again() -> anyhow::Result<()> {
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    let folder = home.path().join("alpha");
    fs::create_dir(&folder)?;
    let disk = SmallDisk::mount(&folder, "256m")?;
    let mut member = Member::new(home.path(), "alpha", Vec::new())?;
    member.start(&[]).await?;

    let file = home.path().join("value");
    let mut acknowledged = Vec::new();
    let mut refused = None;
    for number in 0..500 {
        fs::write(&file, noise(number))?;
        let key = format!("k{number}");
        let write = ["--timeout", "5s", "store", "write", &key, &format!("@{}", file.display())];
        let outcome = member.cli()?.run(&write).await?;
        if outcome.code != 0 {
            refused = Some(outcome);
            break;
        }
        acknowledged.push(number);
    }
    let refused = refused.context("250 MB do not fit on a disk of 256 with room to spare")?;
    assert_eq!(refused.code, 8, "{}", refused.stderr);
    assert!(refused.stderr.contains("nearly full"), "{}", refused.stderr);

    // It lives, answers reads of both kinds, and says what is wrong.
    assert!(member.is_running(), "the node has ended: {}", member.last_words());
    let first = format!("k{}", acknowledged[0]);
    for read in [&["store", "read", &first][..], &["store", "read", &first, "--stale"]] {
        assert!(member.cli()?.ok(read).await? == noise(acknowledged[0]), "{first} is not what was written");
    }
    let status = member.cli()?.json(&["-o", "json", "status"]).await?;
    let problem = &status["problems"][0];
    assert!(problem["severity"] == "critical" && problem["message"].to_string().contains("full"), "{status}");

    // With room again it takes writes by itself, and everything that was acknowledged is there.
    let status = Command::new("mount").args(["-o", "remount,size=640m"]).arg(disk.folder).status()?;
    anyhow::ensure!(status.success(), "remount");
    until("a write", Duration::from_secs(10), async || {
        member.cli()?.ok(&["--timeout", "2s", "store", "write", "after", "1"]).await
    })
    .await?;
    let status = member.cli()?.json(&["-o", "json", "status"]).await?;
    assert_eq!(status["problems"].as_array().map(Vec::len), Some(0), "{status}");
    member.kill().await?;
    member.start(&[]).await?;
    for number in acknowledged {
        let key = format!("k{number}");
        assert!(member.cli()?.ok(&["store", "read", &key]).await? == noise(number), "{key} is another");
    }
    member.kill().await
}

/// What a command of `micro-node` says to another user than the node's, who gets at no more of the node's folder than
/// its socket.
async fn as_nobody(program: &Path, member: &Member) -> anyhow::Result<(Option<i32>, String)> {
    let mut command = Command::new(program);
    command.args(["--address", &member.address(), "services"]).env_clear().uid(NOBODY).gid(NOBODY);
    let mut command = tokio::process::Command::from(command);
    let output = command.current_dir("/").output().await?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[tokio::test]
async fn the_socket_denies_other_users_and_says_what_they_can_do() -> anyhow::Result<()> {
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    let home = tempfile::Builder::new().prefix("micro-node-").tempdir_in("/tmp")?;
    open(home.path(), 0o755)?;
    let program = home.path().join("micro-node");
    fs::copy(micro_tests::program("micro-node")?, &program)?;
    let mut member = Member::new(home.path(), "alpha", Vec::new())?;
    member.start(&[]).await?;
    // By the file's own mode first, then, when somebody has opened that, by the peer's credentials.
    for mode in [0o600, 0o666] {
        open(&member.at().socket, mode)?;
        let (code, said) = as_nobody(&program, &member).await?;
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("[denied]") && said.contains("admin secret"), "{said}");
    }
    member.cli()?.ok(&["services"]).await?;
    member.kill().await
}

#[tokio::test]
async fn ports_of_folders_and_programs_are_for_the_node_and_not_for_other_users() -> anyhow::Result<()> {
    crate::offered::strangers::are_not_answered(NOBODY).await
}
