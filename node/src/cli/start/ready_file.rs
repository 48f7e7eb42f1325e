//! The file that tells scripts that a node is ready, and how to reach it.

use crate::node::Card;
use micro_sdk::wire::{ClusterId, Code, Fault, NodeId};
use serde::Serialize;
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// A file that is there, complete, exactly while the node is ready.
pub(super) struct ReadyFile {
    path: PathBuf,
}

/// What the file holds. Keys may be added, never renamed.
#[derive(Serialize)]
struct Content<'a> {
    name: &'a str,
    node: NodeId,
    cluster: ClusterId,
    pid: u32,
    data_dir: &'a Path,
    socket: &'a Path,
    api: SocketAddr,
    proxy: SocketAddr,
    dns: Option<SocketAddr>,
    mesh: SocketAddr,
    admin_secret_file: &'a Path,
}

impl ReadyFile {
    /// The file at `path`; one left by a node that was killed is removed.
    ///
    /// # Errors
    /// If there can be no file.
    pub(super) fn new(path: &Path) -> Result<Self, Fault> {
        let file = ReadyFile { path: path.to_owned() };
        let removed = match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
        // That it can't be written is better known before a mesh is founded than after.
        let part = file.part();
        let tried = removed.and_then(|()| fs::write(&part, "")).and_then(|()| fs::remove_file(&part));
        tried.map_err(|error| file.fault(&error))?;
        Ok(file)
    }

    /// Where it is written before it is there.
    fn part(&self) -> PathBuf {
        let mut part = self.path.clone().into_os_string();
        part.push(format!(".{}", std::process::id()));
        part.into()
    }

    /// Writes it: whoever sees it sees all of it.
    ///
    /// # Errors
    /// If the disk fails.
    pub(super) fn write(&self, card: &Card) -> Result<(), Fault> {
        let content = Content {
            name: &card.name,
            node: card.id,
            cluster: card.cluster,
            pid: std::process::id(),
            data_dir: &card.data_dir,
            socket: &card.socket,
            api: card.api,
            proxy: card.proxy,
            dns: card.dns,
            mesh: card.mesh,
            admin_secret_file: &card.admin_secret_file,
        };
        let mut json =
            serde_json::to_string(&content).expect("addresses, ids and UTF-8 paths are always JSON");
        json.push('\n');
        let part = self.part();
        let written = fs::write(&part, json).and_then(|()| fs::rename(&part, &self.path));
        written.map_err(|error| self.fault(&error))
    }

    /// Removes it. That it is gone already is fine.
    pub(super) fn remove(&self) {
        let _ = fs::remove_file(&self.path);
    }

    fn fault(&self, error: &io::Error) -> Fault {
        Fault::new(Code::Failed, format!("--ready-file {} can't be written: {error}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(dir: &Path) -> Card {
        let address: SocketAddr = ([127, 0, 0, 1], 8080).into();
        Card {
            name: "alpha".to_owned(),
            id: NodeId(10),
            cluster: ClusterId(1),
            api: address,
            api_tls: false,
            proxy: address,
            dns: None,
            mesh: address,
            advertise: address,
            also: Vec::new(),
            socket: dir.join("s"),
            data_dir: dir.to_owned(),
            admin_secret_file: dir.join("files/admin"),
            place: micro_mesh::Place::default(),
            fresh: true,
            joined: false,
        }
    }

    #[test]
    fn the_file_is_there_only_while_the_node_is_ready() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("ready");
        fs::write(&path, "stale").expect("room for it");
        let file = ReadyFile::new(&path).expect("it can be removed");
        assert!(!path.exists(), "a stale file says that a node is ready which is not");
        file.write(&card(dir.path())).expect("room for it");
        let text = fs::read_to_string(&path).expect("it was just written");
        let json: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(json["node"], "000000000000000a");
        assert_eq!(json["api"], "127.0.0.1:8080");
        assert_eq!(json["pid"], std::process::id());
        file.remove();
        assert_eq!(fs::read_dir(dir.path()).expect("it is there").count(), 0, "nothing is left behind");
    }

    #[test]
    fn a_place_that_takes_no_file_is_refused_before_anything_is_done() {
        let refused =
            ReadyFile::new(Path::new("/nowhere/at/all/ready")).err().expect("there is no such folder");
        assert!(refused.message.contains("--ready-file /nowhere/at/all/ready"), "{refused}");
    }
}
