//! Clients that others have written in Python, as `pip` fetches them: the same versions every time, once per machine.

use crate::program::program;
use anyhow::{Context, ensure};
use rustix::fs::{FlockOperation, flock};
use std::{
    fs::File,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// Where the clients and their list are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python");
/// What is to be fetched.
const LIST: &str = include_str!("../clients/python/requirements.txt");

/// A Python that has the packages of the list.
pub struct Python {
    packages: PathBuf,
}

impl Python {
    /// Fetches the packages if they are not there yet, beside the built programs. Other tests wait meanwhile.
    ///
    /// # Errors
    /// If there is no Python with pip, or nothing to fetch from.
    pub async fn with_clients() -> anyhow::Result<Self> {
        let built = program("micro-node")?;
        let beside = built.parent().context("a program is in a folder")?.to_owned();
        tokio::task::spawn_blocking(move || lock(&beside)).await??.fetch().await
    }

    /// One of the clients, which is a file of the folder `tests/clients/python`.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new("python3");
        command.arg(Path::new(FOLDER).join(name)).env("PYTHONPATH", &self.packages).kill_on_drop(true);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        // Nothing of the machine's may stand between a client and a node on loopback.
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
    }
}

/// The folder of the packages, while this test may write to it.
struct Held {
    packages: PathBuf,
    _lock: File,
}

fn lock(beside: &Path) -> anyhow::Result<Held> {
    let lock = File::create(beside.join("python-clients.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(Held { packages: beside.join("python-clients"), _lock: lock })
}

impl Held {
    /// The list beside the packages says what they are. It is written last.
    async fn fetch(self) -> anyhow::Result<Python> {
        let done = self.packages.join("requirements.txt");
        if std::fs::read_to_string(&done).is_ok_and(|list| list == LIST) {
            return Ok(Python { packages: self.packages });
        }
        if self.packages.exists() {
            std::fs::remove_dir_all(&self.packages)?;
        }
        let fetched = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(["--root-user-action", "ignore", "--target"])
            .arg(&self.packages)
            .args(["--requirement", concat!(env!("CARGO_MANIFEST_DIR"), "/clients/python/requirements.txt")])
            .kill_on_drop(true)
            .output()
            .await
            .context("python3 with pip, to fetch clients")?;
        let said = String::from_utf8_lossy(&fetched.stderr);
        ensure!(fetched.status.success(), "the clients could not be fetched: {said}");
        std::fs::write(done, LIST)?;
        Ok(Python { packages: self.packages })
    }
}
