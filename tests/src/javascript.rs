//! Clients that others have written in JavaScript, as `npm` fetches them: those of the lock file, once per machine.

use crate::packages::{fetched, without_proxies};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::process::Command;

/// Where the clients and their lists are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/node");
/// What is to be fetched.
const LISTS: [(&str, &str); 2] = [
    ("package.json", include_str!("../clients/node/package.json")),
    ("package-lock.json", include_str!("../clients/node/package-lock.json")),
];

/// A Node.js that has the packages of the list.
pub struct JavaScript {
    packages: PathBuf,
}

impl JavaScript {
    /// Fetches the packages if they are not there yet, beside the built programs. Other tests wait meanwhile. Nothing
    /// of theirs is run by that.
    ///
    /// # Errors
    /// If there is no npm, or nothing to fetch from.
    pub async fn with_clients() -> anyhow::Result<Self> {
        let fetch = |folder: &Path| {
            for (name, text) in LISTS {
                fs::write(folder.join(name), text)?;
            }
            let mut command = Command::new("npm");
            command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
            command.current_dir(folder);
            Ok(command)
        };
        let folder = fetched("node-clients", LISTS[1].1, fetch).await?;
        Ok(JavaScript { packages: folder.join("node_modules") })
    }

    /// One of the clients, which is a file of the folder `tests/clients/node`.
    pub fn client(&self, name: &str) -> Command {
        let mut command = Command::new("node");
        command.arg(Path::new(FOLDER).join(name)).env("NODE_PATH", &self.packages).kill_on_drop(true);
        without_proxies(&mut command);
        command
    }
}
