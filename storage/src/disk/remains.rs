//! What is left of a node whose log can't be opened: its small files, which say who it was. The rest is put aside as it
//! is, so that a new node can live in the directory while a person still has all of the old one.
//!
//! ```text
//! ASIDE             there while it goes on: where it goes, then the small files that stay
//! given-up-<n>/     all that was the old node's, but its blobs
//! ```
//!
//! Blobs stay where they are. They are read through before anybody is given one, so that they are as good as they were,
//! and the old node may have had the only copy of some.

use super::{
    data_dir::{BLOBS, DataDir, FILES, OWNED},
    durable,
    files::DiskFiles,
};
use crate::{FileStore, StorageError};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The note that says what goes on.
pub(super) const ASIDE: &str = "ASIDE";
/// What the names of directories begin with that hold what was given up.
const GIVEN_UP: &str = "given-up-";

/// A data directory of which only the small files are open. It stays locked as long as this or its files are there.
pub struct Remains {
    directory: Arc<DataDir>,
}

impl Remains {
    /// Opens what is left in `path`.
    ///
    /// # Errors
    /// [`StorageError::InUse`] if a process has it open; [`StorageError::Unwritable`], [`StorageError::Io`] if the disk
    /// fails. Nobody looks at the log, the state or the layout.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        Ok(Remains { directory: Arc::new(DataDir::hold(path)?) })
    }

    /// The small files.
    pub fn files(&self) -> Arc<dyn FileStore> {
        Arc::new(DiskFiles::new(&self.directory))
    }

    /// Puts aside all that was the node's, but for its blobs. The small files in `keep` are also left for the next one
    /// that lives here. Returns where the rest is.
    ///
    /// If it is cut short, the next [`open`](super::open) finishes it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn set_aside(&self, keep: &[&str]) -> Result<PathBuf, StorageError> {
        let root = self.directory.path();
        let last = given_up_names(root)?.iter().filter_map(|name| number(name)).max();
        let name = format!("{GIVEN_UP}{}", last.unwrap_or(0).saturating_add(1));
        let note = std::iter::once(name.as_str()).chain(keep.iter().copied()).collect::<Vec<_>>().join("\n");
        durable::replace(root, ASIDE, note.as_bytes())?;
        finish(root)?;
        Ok(root.join(name))
    }
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix(GIVEN_UP)?.parse().ok()
}

/// The directories in `root` that hold what was given up.
pub(super) fn given_up_names(root: &Path) -> Result<Vec<String>, StorageError> {
    Ok(durable::names(root)?.into_iter().filter(|name| number(name).is_some()).collect())
}

/// Does what is left to do of what the note in `root` says, if there is one. Each step can be done again.
pub(super) fn finish(root: &Path) -> Result<(), StorageError> {
    let Some(note) = durable::read(&root.join(ASIDE))? else { return Ok(()) };
    let note = String::from_utf8_lossy(&note);
    let mut lines = note.lines();
    let name = lines.next().filter(|name| number(name).is_some());
    let name = name.ok_or_else(|| {
        StorageError::corrupt(root.join(ASIDE).display().to_string(), "it does not say where to put things")
    })?;
    let aside = root.join(name);
    durable::create_directory(&aside).map_err(StorageError::from_io)?;
    durable::sync_directory(root)?;
    for owned in OWNED.iter().filter(|owned| ![BLOBS, ASIDE].contains(owned)) {
        let (from, to) = (root.join(owned), aside.join(owned));
        if from.exists() && !to.exists() {
            std::fs::rename(from, to).map_err(StorageError::from_io)?;
        }
    }
    durable::sync_directory(&aside)?;
    let files = root.join(FILES);
    durable::create_directory(&files).map_err(StorageError::from_io)?;
    durable::sync_directory(root)?;
    for kept in lines {
        if let Some(content) = durable::read(&aside.join(FILES).join(kept))? {
            durable::replace(&files, kept, &content)?;
        }
    }
    durable::remove(&root.join(ASIDE))?;
    durable::sync_directory(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{open, reset};
    use std::fs;

    fn filled(root: &Path) {
        let storage = open(root).unwrap();
        for (name, content) in [("identity", "me"), ("name", "alpha")] {
            storage.files.write(name, content.as_bytes()).unwrap();
        }
        fs::write(root.join(BLOBS).join("theirs"), b"").unwrap();
    }

    /// Whether a new node may begin here, which has the old one's name, while all of that one is aside.
    fn check(root: &Path, aside: &str) {
        let storage = open(root).unwrap();
        let read = |name: &str| storage.files.read(name).unwrap();
        assert_eq!((read("identity"), read("name")), (None, Some(b"alpha".to_vec())));
        let aside = root.join(aside);
        assert_eq!(fs::read(aside.join("files/identity")).unwrap(), b"me");
        assert!(
            aside.join("raft").is_dir() && aside.join("state").is_dir() && aside.join("LAYOUT").is_file()
        );
        assert!(!aside.join(BLOBS).exists() && root.join(BLOBS).join("theirs").exists());
        assert!(!root.join(ASIDE).exists());
    }

    #[test]
    fn a_node_is_put_aside_as_it_is_and_another_may_live_there() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        for aside in ["given-up-1", "given-up-2"] {
            filled(root);
            let remains = Remains::open(root).unwrap();
            assert!(matches!(open(root), Err(StorageError::InUse { .. })));
            assert_eq!(remains.set_aside(&["name", "place"]).unwrap(), root.join(aside));
            drop(remains);
            check(root, aside);
        }
        reset(root).unwrap();
        assert_eq!(durable::names(root).unwrap(), ["LOCK"]);
    }

    #[test]
    fn what_was_being_put_aside_is_finished_by_the_next_start_wherever_it_was_cut() {
        // What has been moved; the small files are there again in the last one, without any in it.
        for moved in [&[][..], &["files"], &["files", "raft"], &["files", "raft", "state", "LAYOUT", "again"]]
        {
            let root = tempfile::tempdir().unwrap();
            let root = root.path();
            filled(root);
            let aside = root.join("given-up-1");
            fs::create_dir(&aside).unwrap();
            for name in moved {
                match *name {
                    "again" => fs::create_dir(root.join(FILES)).unwrap(),
                    name => fs::rename(root.join(name), aside.join(name)).unwrap(),
                }
            }
            fs::write(root.join(ASIDE), "given-up-1\nname\nplace").unwrap();
            check(root, "given-up-1");
        }
    }
}
