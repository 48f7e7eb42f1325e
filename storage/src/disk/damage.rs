//! What a data directory remembers of damage to its state.
//!
//! ```text
//! damaged                       the state is damaged: three lines, where it goes, what, and how it shows
//! state.damaged-<n>/            a damaged state that another has taken the place of; never removed by us
//! state.damaged-<n>/damaged     the note, moved there last
//! ```
//!
//! With a note, the exchange of the state moves the old one there instead of removing it; see `state`.

use super::{
    data_dir::{DataDir, STATE},
    durable,
};
use crate::{
    StorageError,
    fence::{Aside, Damage, DamageNotes},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The note.
pub(super) const DAMAGED: &str = "damaged";
/// What the names of damaged states begin with.
pub(super) const ASIDE: &str = "state.damaged-";

/// The notes of one data directory.
pub(super) struct DiskNotes(pub Arc<DataDir>);

impl DamageNotes for DiskNotes {
    fn note(&self, damage: &Damage) -> Result<(), StorageError> {
        let root = self.0.path();
        if root.join(DAMAGED).exists() {
            return Ok(());
        }
        let line = |text: &str| text.replace('\n', " ");
        let text = format!("{}\n{}\n{}\n", free_name(root)?, line(&damage.what), line(&damage.detail));
        durable::replace(root, DAMAGED, text.as_bytes())
    }

    fn aside(&self) -> Result<Vec<Aside>, StorageError> {
        let root = self.0.path();
        let asides = aside_names(root)?.into_iter().map(|name| {
            let text = durable::read(&root.join(&name).join(DAMAGED))?.unwrap_or_default();
            Ok(Aside { damage: parse(&text).1, name })
        });
        asides.collect()
    }
}

/// The damaged states in the data directory `root`.
pub(super) fn aside_names(root: &Path) -> Result<Vec<String>, StorageError> {
    Ok(durable::names(root)?.into_iter().filter(|name| number(name).is_some()).collect())
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix(ASIDE)?.parse().ok()
}

fn free_name(root: &Path) -> Result<String, StorageError> {
    let last = durable::names(root)?.iter().filter_map(|name| number(name)).max();
    Ok(format!("{ASIDE}{}", last.unwrap_or(0).saturating_add(1)))
}

/// What a note says. One that was damaged itself still says that there was one.
fn parse(text: &[u8]) -> (Option<String>, Damage) {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines();
    let name = lines.next().filter(|name| number(name).is_some()).map(str::to_owned);
    let mut line = |fallback: &str| lines.next().unwrap_or(fallback).to_owned();
    let (what, detail) = (line("the state"), line("what was noted of it can't be read"));
    (name, Damage { what, detail })
}

/// Where the damaged state of `root` is to go and what is wrong with it, if that was noted.
pub(super) fn noted(root: &Path) -> Result<Option<(PathBuf, Damage)>, StorageError> {
    let Some(text) = durable::read(&root.join(DAMAGED))? else { return Ok(None) };
    let (name, damage) = parse(&text);
    let name = name.map_or_else(|| free_name(root), Ok)?;
    Ok(Some((root.join(name), damage)))
}

/// Moves the note to the state that it is about, if another is in its place. Returns what is wrong with the one that is
/// in place.
pub(super) fn settle(root: &Path) -> Result<Option<Damage>, StorageError> {
    match noted(root)? {
        Some((aside, _)) if aside.exists() && root.join(STATE).exists() => {
            std::fs::rename(root.join(DAMAGED), aside.join(DAMAGED)).map_err(StorageError::from_io)?;
            durable::sync_directory(&aside)?;
            durable::sync_directory(root)?;
            Ok(None)
        }
        noted => Ok(noted.map(|(_, damage)| damage)),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Batch, Family, Manifest, Storage, StorageError, disk::open};
    use std::{fs, path::Path};

    fn put(storage: &Storage, value: &'static str) {
        let mut batch = Batch::default();
        batch.put(Family::Raft, "applied", value);
        batch.put(Family::Store, "key", value);
        storage.state.write(batch).unwrap();
        storage.state.flush().unwrap();
    }

    fn get(storage: &Storage) -> Result<String, StorageError> {
        let value = storage.state.get(Family::Store, b"key")?.unwrap_or_default();
        Ok(String::from_utf8(value.to_vec()).unwrap())
    }

    fn tables(state: &Path) -> Vec<std::path::PathBuf> {
        let paths = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|end| end == "sst")).collect()
    }

    fn position(bytes: &[u8], wanted: &str) -> Option<usize> {
        bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes())
    }

    /// Flips a bit of `value` in the tables of the store, not in the one that says how far the log was applied.
    fn rot(state: &Path, value: &str) {
        for path in tables(state) {
            let mut bytes = fs::read(&path).unwrap();
            let found = position(&bytes, value).filter(|_| position(&bytes, "applied").is_none());
            if let Some(at) = found {
                bytes[at] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
        }
    }

    /// Hands a copy of the state of `from` to `to`.
    fn hand(from: &Storage, to: &Storage, id: &str) -> Manifest {
        let manifest = from.snapshots.create(id).unwrap();
        to.snapshots.receive(&manifest).unwrap();
        let reader = from.snapshots.open(id).unwrap();
        for file in &manifest.files {
            let content = reader.read(&file.name, 0, usize::MAX).unwrap();
            to.snapshots.receive_chunk(&file.name, &content).unwrap();
        }
        manifest
    }

    fn is_corrupt<T>(result: &Result<T, StorageError>) -> bool {
        matches!(result, Err(StorageError::Corrupt { .. }))
    }

    #[test]
    fn damage_that_a_read_meets_fences_this_start_and_the_next_until_a_whole_state_comes() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let other = open(other.path()).unwrap();
        put(&other, "good-value");
        put(&open(root.path()).unwrap(), "some-value");
        let state = root.path().join("state");
        rot(&state, "some-value");
        let damaged: Vec<_> = tables(&state).iter().map(|path| fs::read(path).unwrap()).collect();
        for start in 0..2 {
            let storage = open(root.path()).unwrap();
            let read = get(&storage);
            assert!(is_corrupt(&read), "{start}: {read:?}");
            assert!(is_corrupt(&storage.state.get(Family::Auth, b"else")), "all of it is fenced");
            assert!(is_corrupt(&storage.state.flush()) && is_corrupt(&storage.snapshots.create("x")));
            assert_eq!(storage.fence.aside().unwrap(), []);
        }
        let storage = open(root.path()).unwrap();
        assert!(storage.fence.damage().is_some());
        let manifest = hand(&other, &storage, "s");
        storage.snapshots.install(&manifest).unwrap();
        for _ in 0..2 {
            assert_eq!(get(&storage).unwrap(), "good-value");
        }
        drop(storage);
        let storage = open(root.path()).unwrap();
        assert_eq!((get(&storage).unwrap().as_str(), storage.fence.damage()), ("good-value", None));
        assert_eq!(storage.snapshots.current().unwrap(), Some(manifest));
        let aside = storage.fence.aside().unwrap();
        assert_eq!(aside.len(), 1);
        assert!(aside[0].name == "state.damaged-1" && !aside[0].damage.detail.is_empty(), "{aside:?}");
        let kept = tables(&root.path().join("state.damaged-1"));
        assert_eq!(kept.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), damaged);
    }

    #[test]
    fn a_copy_of_a_damaged_state_is_not_taken() {
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(&open(other.path()).unwrap(), "some-value");
        rot(&other.path().join("state"), "some-value");
        let other = open(other.path()).unwrap();
        let storage = open(root.path()).unwrap();
        put(&storage, "good-value");
        let manifest = hand(&other, &storage, "s");
        let taken = storage.snapshots.check(&manifest);
        assert!(is_corrupt(&taken), "{taken:?}");
        assert!(is_corrupt(&storage.snapshots.install(&manifest)));
        assert_eq!((get(&storage).unwrap().as_str(), storage.fence.damage()), ("good-value", None));
        let again = storage.snapshots.create("again").unwrap();
        storage.snapshots.verify(&again).unwrap();
        // Whoever gave it finds out that it is damaged where it comes from.
        assert_eq!(other.fence.damage(), None);
        assert!(is_corrupt(&other.snapshots.verify(&manifest)) && other.fence.damage().is_some());
    }

    #[test]
    fn an_exchange_of_a_damaged_state_is_finished_wherever_it_was_cut() {
        // What is in place, and which value is read after a start; none while it is fenced.
        let layouts: [(&[&str], Option<&str>); 4] = [
            (&["old:state", "new:state.part"], None),
            (&["old:state", "new:state.new"], Some("new")),
            (&["old:state.damaged-1", "new:state.new"], Some("new")),
            (&["old:state.damaged-1", "new:state"], Some("new")),
        ];
        for (places, expected) in layouts {
            let root = tempfile::tempdir().unwrap();
            put(&open(root.path()).unwrap(), "old");
            let new = tempfile::tempdir().unwrap();
            put(&open(new.path()).unwrap(), "new");
            fs::rename(root.path().join("state"), root.path().join("was")).unwrap();
            for place in places {
                let (which, name) = place.split_once(':').unwrap();
                let from = if which == "old" { root.path().join("was") } else { new.path().join("state") };
                fs::rename(from, root.path().join(name)).unwrap();
            }
            fs::write(root.path().join("damaged"), "state.damaged-1\nthe state\nit is odd\n").unwrap();
            for _ in 0..2 {
                let storage = open(root.path()).unwrap();
                assert_eq!(get(&storage).ok().as_deref(), expected, "{places:?}");
                let aside: Vec<_> =
                    storage.fence.aside().unwrap().into_iter().map(|aside| aside.damage.detail).collect();
                assert_eq!(aside, expected.map(|_| "it is odd".to_owned()).into_iter().collect::<Vec<_>>());
            }
        }
    }
}
