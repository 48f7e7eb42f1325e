//! Copies of the state: RocksDB checkpoints, one directory each.
//!
//! ```text
//! snapshots/<id>/manifest           what belongs to the copy; written last
//! snapshots/<id>/state/             a checkpoint: hard links to the state's own files, which never change
//! snapshots/<id>.part/              being made; a start drops it
//! snapshots/incoming.part/          being taken in. With a manifest: verified, about to take the state's place
//! ```

use super::{
    data_dir::{DataDir, SNAPSHOTS, STATE, STATE_PART},
    durable, manifest,
    state::{APPLIED_KEY, RocksState, applied_of_copy, read_copy},
};
use crate::{
    Family, Manifest, ManifestFile, SnapshotReader, SnapshotStore, StateStore, StorageError, file_name,
    snapshot_store::{being_read, check_id},
};
use bytes::Bytes;
use rocksdb::{Cache, checkpoint::Checkpoint};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const MANIFEST: &str = "manifest";
const INCOMING: &str = "incoming.part";
/// How much of a file is read at a time for its checksum.
const CHUNK_BYTES: usize = 256 << 10;

/// [`SnapshotStore`] on RocksDB.
pub(super) struct RocksSnapshots {
    /// The directory `snapshots`.
    path: PathBuf,
    shelf: Arc<Shelf>,
    state: Arc<RocksState>,
    directory: Arc<DataDir>,
    /// For looking into copies, apart from the state's: a copy is looked at once.
    cache: Cache,
    /// What is being taken in.
    incoming: Mutex<Option<Incoming>>,
}

/// A snapshot that is being taken in.
struct Incoming {
    manifest: Manifest,
    /// Whether all of it was read and found whole.
    checked: bool,
}

impl RocksSnapshots {
    /// Finishes or drops what was left half-done.
    pub fn open(directory: &Arc<DataDir>, state: &Arc<RocksState>) -> Result<Self, StorageError> {
        let shelf = Shelf { path: directory.path().join(SNAPSHOTS), open: Mutex::default() };
        let snapshots = RocksSnapshots {
            path: shelf.path.clone(),
            shelf: Arc::new(shelf),
            state: state.clone(),
            directory: directory.clone(),
            cache: Cache::new_lru_cache(1 << 20),
            incoming: Mutex::new(None),
        };
        snapshots.finish_install()?;
        for name in durable::names(&snapshots.path)? {
            if name.ends_with(".part") {
                durable::remove(&snapshots.path.join(name))?;
            }
        }
        snapshots.shelf.keep_current_only()?;
        Ok(snapshots)
    }

    /// A snapshot that had taken the state's place when the power went becomes current. That it had shows in the state:
    /// it is applied as far as the snapshot, and nothing was written to it since.
    fn finish_install(&self) -> Result<(), StorageError> {
        let incoming = self.path.join(INCOMING);
        // The state that it would be compared with is damaged: it has not taken that one's place.
        if self.state.is_shut() {
            return Ok(());
        }
        let Some((manifest, _)) = whole(&incoming) else { return Ok(()) };
        let applied = self.state.get(Family::Raft, APPLIED_KEY)?.unwrap_or_default();
        if applied == manifest.applied { self.shelf.make_current(&incoming, &manifest.id) } else { Ok(()) }
    }

    fn sequence_next(&self) -> Result<u64, StorageError> {
        Ok(self.shelf.current()?.map_or(1, |(sequence, _)| sequence + 1))
    }

    /// Makes the copy in `part`, and then the current snapshot of it.
    fn copy_to(&self, part: &Path, id: &str) -> Result<Manifest, StorageError> {
        durable::remove(part)?;
        durable::create_directory(part).map_err(StorageError::from_io)?;
        let copy = part.join(STATE);
        self.state.with(|db| {
            let checkpoint = Checkpoint::new(db).and_then(|checkpoint| checkpoint.create_checkpoint(&copy));
            checkpoint.map_err(|error| super::options::failure("the copy of the state", error))
        })?;
        let applied = applied_of_copy(&copy, &self.cache)?;
        let names = durable::names(&copy)?;
        let files = names.iter().map(|name| describe(&copy, name)).collect::<Result<_, _>>()?;
        let manifest = Manifest { id: id.to_owned(), applied, files };
        manifest.check()?;
        durable::sync_files(&copy)?;
        let text = manifest::to_text(&manifest, self.sequence_next()?);
        durable::replace(part, MANIFEST, text.as_bytes())?;
        self.shelf.make_current(part, id)?;
        Ok(manifest)
    }

    fn incoming(&self) -> MutexGuard<'_, Option<Incoming>> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that what lies in `directory` is what `manifest` says.
    fn compare(&self, directory: &Path, manifest: &Manifest) -> Result<(), StorageError> {
        let state = directory.join(STATE);
        for file in &manifest.files {
            let found = describe(&state, &file.name)?;
            if found != *file {
                let what = format!("file {} of snapshot {}", file.name, manifest.id);
                return Err(StorageError::corrupt(what, found.differs_from(file)));
            }
        }
        durable::sync_files(&state)?;
        let applied = applied_of_copy(&state, &self.cache)?;
        if applied != manifest.applied {
            let what = format!("snapshot {}", manifest.id);
            return Err(StorageError::corrupt(what, "it is applied to another point than its manifest says"));
        }
        read_copy(&state, &self.cache)
    }

    /// Puts a second set of the snapshot's files together as `state.part`: tables, which never change, as links.
    fn prepare_state(&self, incoming: &Path, manifest: &Manifest) -> Result<(), StorageError> {
        let part = self.directory.path().join(STATE_PART);
        durable::remove(&part)?;
        durable::create_directory(&part).map_err(StorageError::from_io)?;
        for file in &manifest.files {
            let (from, to) = (incoming.join(STATE).join(&file.name), part.join(&file.name));
            let done = if file.name.ends_with(".sst") {
                fs::hard_link(&from, &to)
            } else {
                fs::copy(&from, &to).map(|_| ())
            };
            done.map_err(StorageError::from_io)?;
        }
        durable::sync_files(&part)
    }
}

/// The manifest and sequence of the snapshot in `directory`, if all of its files are there in their length. Checksums
/// were checked when it was made or taken in, and are once more by whoever receives it.
fn whole(directory: &Path) -> Option<(Manifest, u64)> {
    let path = directory.join(MANIFEST);
    let text = durable::read(&path).ok()??;
    let (manifest, sequence) = manifest::from_text(&path.display().to_string(), &text).ok()?;
    let there = manifest.files.iter().all(|file| {
        let meta = fs::metadata(directory.join(STATE).join(&file.name));
        meta.is_ok_and(|meta| meta.is_file() && meta.len() == file.bytes)
    });
    there.then_some((manifest, sequence))
}

/// Length and checksum of a file.
fn describe(directory: &Path, name: &str) -> Result<ManifestFile, StorageError> {
    let read = || {
        let mut file = File::open(directory.join(name))?;
        let (mut chunk, mut bytes, mut crc) = (vec![0; CHUNK_BYTES], 0, 0);
        loop {
            let count = file.read(&mut chunk)?;
            if count == 0 {
                return Ok((bytes, crc));
            }
            bytes += count as u64;
            crc = crc32c::crc32c_append(crc, &chunk[..count]);
        }
    };
    let (bytes, crc32c) = read().map_err(StorageError::from_io)?;
    Ok(ManifestFile { name: name.to_owned(), bytes, crc32c })
}

/// The whole snapshots, and which of them are being read.
struct Shelf {
    /// The directory `snapshots`.
    path: PathBuf,
    /// How many readers each snapshot has that has any.
    open: Mutex<BTreeMap<String, usize>>,
}

impl Shelf {
    fn readers(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, id: &str) -> bool {
        self.readers().contains_key(id)
    }

    /// All whole snapshots with their sequences, the current one last.
    fn all(&self) -> Result<Vec<(u64, Manifest)>, StorageError> {
        let mut found = Vec::new();
        for name in durable::names(&self.path)? {
            let whole = whole(&self.path.join(&name)).filter(|(manifest, _)| manifest.id == name);
            found.extend(whole.map(|(manifest, sequence)| (sequence, manifest)));
        }
        found.sort_by_key(|(sequence, _)| *sequence);
        Ok(found)
    }

    /// The newest whole snapshot and its sequence.
    fn current(&self) -> Result<Option<(u64, Manifest)>, StorageError> {
        Ok(self.all()?.pop())
    }

    /// Removes what a process that is dead was reading. If one is not whole, it may be the newest, and none is kept: a
    /// new one can be made of the state, and an older one lacks what the log has given up since.
    fn keep_current_only(&self) -> Result<(), StorageError> {
        let mut all = self.all()?;
        if all.len() == durable::names(&self.path)?.len() {
            all.pop();
        }
        all.iter().try_for_each(|(_, old)| durable::remove(&self.path.join(&old.id)))
    }

    /// Renames `part` to its id and removes all other snapshots that nobody reads.
    fn make_current(&self, part: &Path, id: &str) -> Result<(), StorageError> {
        let readers = self.readers();
        let place = self.path.join(id);
        durable::remove(&place)?;
        durable::rename(part, &place)?;
        for name in durable::names(&self.path)? {
            if name != id && !name.ends_with(".part") && !readers.contains_key(&name) {
                durable::remove(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    fn open(self: Arc<Self>, id: &str) -> Result<RocksReader, StorageError> {
        let mut readers = self.readers();
        if whole(&self.path.join(id)).is_none() {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        *readers.entry(id.to_owned()).or_default() += 1;
        drop(readers);
        Ok(RocksReader { shelf: self, id: id.to_owned() })
    }

    /// One reads `id` no more. What can't be removed then is removed when the next snapshot is made.
    fn close(&self, id: &str) {
        let mut readers = self.readers();
        let Some(count) = readers.get_mut(id) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        readers.remove(id);
        let outdated = matches!(self.current(), Ok(Some((_, current))) if current.id != id);
        if outdated {
            drop(durable::remove(&self.path.join(id)));
        }
    }
}

/// A snapshot that is open.
struct RocksReader {
    shelf: Arc<Shelf>,
    id: String,
}

impl SnapshotReader for RocksReader {
    fn read(&self, file: &str, offset: u64, bytes: usize) -> Result<Bytes, StorageError> {
        file_name::check(file)?;
        let read = || {
            let file = File::open(self.shelf.path.join(&self.id).join(STATE).join(file))?;
            let left = file.metadata()?.len().saturating_sub(offset);
            let mut chunk = vec![0; bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
            file.read_exact_at(&mut chunk, offset)?;
            Ok(Bytes::from(chunk))
        };
        read().map_err(StorageError::from_io)
    }
}

impl Drop for RocksReader {
    fn drop(&mut self) {
        self.shelf.close(&self.id);
    }
}

impl SnapshotStore for RocksSnapshots {
    fn create(&self, id: &str) -> Result<Manifest, StorageError> {
        check_id(id)?;
        if self.shelf.is_open(id) {
            return Err(being_read(id));
        }
        let part = self.path.join(format!("{id}.part"));
        let made = self.copy_to(&part, id);
        if made.is_err() {
            // What there is of it is of no use, and takes the room that it lacked.
            drop(durable::remove(&part));
        }
        made
    }

    fn current(&self) -> Result<Option<Manifest>, StorageError> {
        Ok(self.shelf.current()?.map(|(_, manifest)| manifest))
    }

    fn open(&self, id: &str) -> Result<Arc<dyn SnapshotReader>, StorageError> {
        check_id(id)?;
        Ok(Arc::new(self.shelf.clone().open(id)?))
    }

    fn verify(&self, manifest: &Manifest) -> Result<(), StorageError> {
        check_id(&manifest.id)?;
        self.compare(&self.path.join(&manifest.id), manifest)
    }

    fn receive(&self, manifest: &Manifest) -> Result<(), StorageError> {
        manifest.check()?;
        let mut incoming = self.incoming();
        *incoming = None;
        let path = self.path.join(INCOMING);
        durable::remove(&path)?;
        let state = path.join(STATE);
        durable::create_directory(&state).map_err(StorageError::from_io)?;
        for file in &manifest.files {
            durable::create(&state.join(&file.name)).map_err(StorageError::from_io)?;
        }
        *incoming = Some(Incoming { manifest: manifest.clone(), checked: false });
        Ok(())
    }

    fn receive_chunk(&self, file: &str, chunk: &[u8]) -> Result<(), StorageError> {
        let incoming = self.incoming();
        let Incoming { manifest, .. } = incoming.as_ref().ok_or_else(not_receiving)?;
        let entry = manifest.file(file)?;
        let append = || {
            let mut file =
                OpenOptions::new().append(true).open(self.path.join(INCOMING).join(STATE).join(file))?;
            if file.metadata()?.len() + chunk.len() as u64 > entry.bytes {
                return Ok(false);
            }
            file.write_all(chunk).map(|()| true)
        };
        match append().map_err(StorageError::from_io)? {
            true => Ok(()),
            false => Err(StorageError::refused(format!("more than {} bytes of file {file}", entry.bytes))),
        }
    }

    fn check(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let mut incoming = self.incoming();
        let incoming = incoming.as_mut().filter(|incoming| incoming.manifest == *manifest);
        let incoming = incoming.ok_or_else(not_receiving)?;
        if !incoming.checked {
            self.compare(&self.path.join(INCOMING), manifest)?;
            incoming.checked = true;
        }
        Ok(())
    }

    fn install(&self, manifest: &Manifest) -> Result<(), StorageError> {
        self.check(manifest)?;
        if self.shelf.is_open(&manifest.id) {
            return Err(being_read(&manifest.id));
        }
        let mut taken = self.incoming();
        let incoming = self.path.join(INCOMING);
        let text = manifest::to_text(manifest, self.sequence_next()?);
        self.prepare_state(&incoming, manifest)?;
        durable::replace(&incoming, MANIFEST, text.as_bytes())?;
        self.state.exchange()?;
        *taken = None;
        self.shelf.make_current(&incoming, &manifest.id)
    }
}

fn not_receiving() -> StorageError {
    StorageError::refused("this snapshot is not being taken in".to_owned())
}
