//! Snapshots: one file `state` that lists every family's keys and values, each length as u32 LE.

use super::{
    disk::{Disk, Handle},
    state::Families,
};
use crate::{
    Aside, Family, Manifest, ManifestFile, SnapshotReader, SnapshotStore, StorageError, file_name,
    snapshot_store::{being_read, check_id},
};
use bytes::{Buf, BufMut, Bytes};
use std::{collections::BTreeMap, io, sync::Arc};

/// The only file.
const FILE: &str = "state";
/// The key in [`Family::Raft`] that says how far the log has been applied.
const APPLIED_KEY: &[u8] = b"applied";

/// Snapshots on the disk.
#[derive(Default)]
pub(super) struct SnapshotPlatter {
    current: Option<(Manifest, Arc<Bytes>)>,
    incoming: Option<(Manifest, BTreeMap<String, Vec<u8>>)>,
}

impl SnapshotPlatter {
    pub fn drop_incoming(&mut self) {
        self.incoming = None;
    }

    /// Makes what `content` holds the current snapshot. Whoever reads the one before keeps it.
    fn replace(&mut self, manifest: &Manifest, content: Bytes) -> Result<(), StorageError> {
        let same = self.current.as_ref().filter(|(current, _)| current.id == manifest.id);
        if same.is_some_and(|(_, content)| Arc::strong_count(content) > 1) {
            return Err(being_read(&manifest.id));
        }
        self.current = Some((manifest.clone(), Arc::new(content)));
        Ok(())
    }
}

fn encode(families: &Families) -> Vec<u8> {
    let mut bytes = Vec::new();
    let put = |bytes: &mut Vec<u8>, part: &[u8]| {
        bytes.put_u32_le(u32::try_from(part.len()).expect("keys and values are far below 4 GiB"));
        bytes.put_slice(part);
    };
    for (family, keys) in families {
        for (key, value) in keys {
            put(&mut bytes, family.name().as_bytes());
            put(&mut bytes, key);
            put(&mut bytes, value);
        }
    }
    bytes
}

fn decode(mut bytes: Bytes) -> Option<Families> {
    let mut part = || {
        let length = usize::try_from(bytes.try_get_u32_le().ok()?).ok()?;
        (length <= bytes.len()).then(|| bytes.split_to(length))
    };
    let mut families = Families::new();
    while let Some(name) = part() {
        let family = Family::ALL.into_iter().find(|family| family.name().as_bytes() == name)?;
        families.entry(family).or_default().insert(part()?, part()?);
    }
    bytes.is_empty().then_some(families)
}

fn applied(families: &Families) -> Bytes {
    families.get(&Family::Raft).and_then(|keys| keys.get(APPLIED_KEY)).cloned().unwrap_or_default()
}

fn describe(name: &str, content: &[u8]) -> ManifestFile {
    ManifestFile { name: name.to_owned(), bytes: content.len() as u64, crc32c: crc32c::crc32c(content) }
}

/// A snapshot that is open.
struct MemoryReader {
    handle: Handle,
    content: Arc<Bytes>,
}

impl SnapshotReader for MemoryReader {
    fn read(&self, file: &str, offset: u64, bytes: usize) -> Result<Bytes, StorageError> {
        file_name::check(file)?;
        let _disk = self.handle.lock()?;
        if file != FILE {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.content.len());
        let end = start.saturating_add(bytes).min(self.content.len());
        Ok(self.content.slice(start..end))
    }
}

impl SnapshotStore for Handle {
    fn create(&self, id: &str) -> Result<Manifest, StorageError> {
        check_id(id)?;
        let mut disk = self.lock_to_write()?;
        let families = disk.state.whole()?;
        let content = Bytes::from(encode(families));
        let manifest =
            Manifest { id: id.to_owned(), applied: applied(families), files: vec![describe(FILE, &content)] };
        disk.snapshots.replace(&manifest, content)?;
        Ok(manifest)
    }

    fn current(&self) -> Result<Option<Manifest>, StorageError> {
        Ok(self.lock()?.snapshots.current.as_ref().map(|(manifest, _)| manifest.clone()))
    }

    fn open(&self, id: &str) -> Result<Arc<dyn SnapshotReader>, StorageError> {
        check_id(id)?;
        let disk = self.lock()?;
        let found = disk.snapshots.current.as_ref().filter(|(manifest, _)| manifest.id == id);
        let (_, content) = found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Arc::new(MemoryReader { handle: self.clone(), content: content.clone() }))
    }

    fn verify(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let disk = self.lock()?;
        let current = disk.snapshots.current.as_ref().filter(|(current, _)| current == manifest);
        let (_, content) = current.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        for file in &manifest.files {
            let found = describe(&file.name, content);
            if found != *file {
                let what = format!("file {} of snapshot {}", file.name, manifest.id);
                return Err(StorageError::corrupt(what, found.differs_from(file)));
            }
        }
        Ok(())
    }

    fn receive(&self, manifest: &Manifest) -> Result<(), StorageError> {
        manifest.check()?;
        let files = manifest.files.iter().map(|file| (file.name.clone(), Vec::new())).collect();
        self.lock_to_write()?.snapshots.incoming = Some((manifest.clone(), files));
        Ok(())
    }

    fn receive_chunk(&self, file: &str, chunk: &[u8]) -> Result<(), StorageError> {
        let mut disk = self.lock_to_write()?;
        let (manifest, files) = disk.snapshots.incoming.as_mut().ok_or_else(not_receiving)?;
        let bytes_max = manifest.file(file)?.bytes;
        let content = files.entry(file.to_owned()).or_default();
        if (content.len() + chunk.len()) as u64 > bytes_max {
            return Err(StorageError::refused(format!("more than {bytes_max} bytes of file {file}")));
        }
        content.extend_from_slice(chunk);
        Ok(())
    }

    fn check(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let disk = self.lock()?;
        taken(&disk, manifest).map(drop)
    }

    fn install(&self, manifest: &Manifest) -> Result<(), StorageError> {
        let mut disk = self.lock_to_write()?;
        let (families, content) = taken(&disk, manifest)?;
        disk.snapshots.replace(manifest, content)?;
        disk.state.replace(families);
        disk.snapshots.incoming = None;
        if let Some(damage) = disk.damage.take() {
            let name = format!("state.damaged-{}", disk.aside.len() + 1);
            disk.aside.push(Aside { name, damage });
        }
        Ok(())
    }
}

/// What was taken in, if it is what `manifest` says: as families, and as it came.
fn taken(disk: &Disk, manifest: &Manifest) -> Result<(Families, Bytes), StorageError> {
    let taken = disk.snapshots.incoming.as_ref().filter(|(taken, _)| taken == manifest);
    let (_, files) = taken.ok_or_else(not_receiving)?;
    for file in &manifest.files {
        let found = describe(&file.name, files.get(&file.name).map_or(&[], |content| content));
        if found != *file {
            let what = format!("file {} of snapshot {}", file.name, manifest.id);
            return Err(StorageError::corrupt(what, found.differs_from(file)));
        }
    }
    let corrupt = |detail| StorageError::corrupt(format!("snapshot {}", manifest.id), detail);
    let content = files.get(FILE).cloned().map(Bytes::from);
    let content = content.ok_or_else(|| corrupt("it has no file `state`"))?;
    let families = decode(content.clone()).ok_or_else(|| corrupt("it is garbled"))?;
    if applied(&families) != manifest.applied {
        return Err(corrupt("it is applied to another point than its manifest says"));
    }
    Ok((families, content))
}

fn not_receiving() -> StorageError {
    StorageError::refused("this snapshot is not being taken in".to_owned())
}
