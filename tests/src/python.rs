//! Clients that others have written in Python, as `pip` fetches them: the same versions every time, once per machine.

use crate::{
    Member,
    packages::{fetched, without_proxies},
};
use std::path::{Path, PathBuf};
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
        let fetch = |folder: &Path| {
            let mut command = Command::new("python3");
            command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]);
            command.args(["--root-user-action", "ignore", "--target"]).arg(folder);
            command.arg("--requirement").arg(Path::new(FOLDER).join("requirements.txt"));
            Ok(command)
        };
        Ok(Python { packages: fetched("python-clients", LIST, fetch).await? })
    }

    /// One of the clients, which is a file of the folder `tests/clients/python`.
    pub fn client(&self, name: &str) -> Command {
        let mut command = self.interpreter();
        command.arg(Path::new(FOLDER).join(name));
        command
    }

    /// The same on the host of a member, as [`Hosts`](crate::Hosts) are.
    pub fn client_beside(&self, member: &Member, name: &str) -> Command {
        let mut command = member.command(Path::new("python3"));
        self.equip(&mut command);
        command.arg(Path::new(FOLDER).join(name));
        command
    }

    /// A module of the packages that is a program by itself.
    pub fn module(&self, name: &str) -> Command {
        let mut command = self.interpreter();
        command.args(["-m", name]);
        command
    }

    fn interpreter(&self) -> Command {
        let mut command = Command::new("python3");
        self.equip(&mut command);
        command
    }

    fn equip(&self, command: &mut Command) {
        command.env("PYTHONPATH", &self.packages).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
        without_proxies(command);
    }
}
