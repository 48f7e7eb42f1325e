//! A disk whose power can be cut: ext4 on a file.

use crate::Member;
use anyhow::{Context, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// `EXT4_IOC_SHUTDOWN`: the file system stops at once, as in a power cut.
const SHUTDOWN: &str = "0x8004587d";
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: what is not in the journal yet is lost.
const NO_LOG_FLUSH: &str = "2";

/// A file system of its own, mounted as long as the value lives. Root only.
pub struct LoopDisk {
    image: PathBuf,
    folder: PathBuf,
}

fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("a path that is no text")
}

impl LoopDisk {
    /// A disk of so many mebibytes, empty, in the folder `root`.
    ///
    /// # Errors
    /// Without root, or if the kernel has no loop devices.
    pub fn new(root: &Path, mebibytes: u64) -> anyhow::Result<Self> {
        let disk = LoopDisk { image: root.join("disk.img"), folder: root.join("disk") };
        File::create(&disk.image)?.set_len(mebibytes << 20)?;
        fs::create_dir(&disk.folder)?;
        run("mkfs.ext4", &["-q", "-F", text(&disk.image)?])?;
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts `size` nodes that have their data on it, and all else in `home`. The first three vote.
    ///
    /// # Errors
    /// If a node does not start or join.
    pub async fn nodes(&self, home: &Path, size: usize) -> anyhow::Result<Vec<Member>> {
        let mut members: Vec<Member> = Vec::new();
        for number in 0..size {
            let name = format!("node-{number}");
            let mut member = Member::new(home, &name, Vec::new())?.with_data(self.folder.join(&name));
            let join = match members.first() {
                Some(first) => first.invite(&name).await?,
                None => Vec::new(),
            };
            member.start(&join).await?;
            members.push(member);
        }
        Ok(members)
    }

    fn mount(&self) -> anyhow::Result<()> {
        run("mount", &["-o", "loop", text(&self.image)?, text(&self.folder)?])
    }

    /// Cuts the power: what was not synced is lost, and whatever is asked of the disk from now on fails.
    ///
    /// # Errors
    /// If the kernel can't.
    pub fn cut(&self) -> anyhow::Result<()> {
        // Perl is on every Debian, and has what std has not.
        let script =
            "open(my $d, '<', $ARGV[0]) or die $!; ioctl($d, hex $ARGV[1], pack('L', $ARGV[2])) or die $!";
        run("perl", &["-e", script, text(&self.folder)?, SHUTDOWN, NO_LOG_FLUSH])
    }

    /// Gives the power back, after whoever used the disk has ended.
    ///
    /// # Errors
    /// If the disk is in use, or can't be mounted any more.
    pub fn restore(&self) -> anyhow::Result<()> {
        run("umount", &[text(&self.folder)?])?;
        self.mount()
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Lazily: a node may be about to close its last file.
        Command::new("umount").arg("--lazy").arg(&self.folder).status().ok();
    }
}
