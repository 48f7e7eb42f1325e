//! Restoring a backup: a data directory for the first node of a new mesh, with the records of the old one.

use super::{
    admin_secret,
    bootstrap::{Bootstrap, RESTORING_FILE},
    founding::Founding,
    production_seams, storage_fault,
};
use micro_actors::{
    auth::SealKey,
    config::{Inherited, MeshSeal, inherit_keys},
};
use micro_consensus::{BackupFacts, Restoration, RestoreError};
use micro_mesh::CERTIFICATE_LIFE;
use micro_sdk::wire::{ClusterId, Code, Fault, NodeId};
use micro_storage::{
    BlobStore, Family, StorageError,
    blob_archive::{self, Unpacked},
};
use std::{io::Read, path::Path};

/// What a restored directory holds.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup was of.
    pub facts: BackupFacts,
    /// The new mesh.
    pub cluster: ClusterId,
    /// Its first node.
    pub node: NodeId,
    /// The blobs that were in it; none if it was taken without.
    pub blobs: Option<Unpacked>,
    /// What became of the keys of secrets; none if the old mesh's seal key was not there.
    pub inherited: Option<Inherited>,
}

/// Puts the backup in `source` into a data directory, which must not hold a node, so that the next start there begins
/// a new mesh with what was backed up. Nodes, tokens and keys of the old mesh are left behind: its members would not
/// know the new one. Blobs lie in the directory then, for the new mesh to find. With `seal_key`, that of the old
/// mesh's seal, the new one opens the secrets of the configuration. `progress` is told how many bytes were read.
///
/// # Errors
/// If the directory is in use or holds a node, the backup is damaged, or the seal key is another mesh's.
pub fn restore(
    data_dir: &Path,
    source: impl Read,
    seal_key: Option<&SealKey>,
    mut progress: impl FnMut(u64),
) -> Result<Restored, Fault> {
    let restoration = Restoration::open(source).map_err(restore_fault)?;
    let dir = data_dir.display();
    if let Some(found) = micro_storage::disk::foreign(data_dir).map_err(failed)? {
        return Err(Fault::new(Code::Conflict, format!("{dir} holds other things already, such as {found}"))
            .help("restore into a directory of its own, which is made if it is not there: --data-dir DIR"));
    }
    let storage = micro_storage::disk::open(data_dir).map_err(|error| storage_fault(error, data_dir))?;
    if Bootstrap::check(data_dir, None, &storage)?.is_some() {
        return Err(Fault::new(Code::Conflict, format!("a node lives in {dir} already"))
            .help("restore into another directory: --data-dir DIR")
            .help(format!("or give that node up first: `micro-node reset --data-dir {dir}`")));
    }
    if storage.files.read(admin_secret::FILE).map_err(failed)?.is_some() {
        let message = format!("a node was started in {dir} before, and left what is not of the backup");
        return Err(Fault::new(Code::Conflict, message)
            .help("restore into another directory: --data-dir DIR")
            .help(format!("or have it emptied first: `micro-node reset --data-dir {dir}`")));
    }
    let seams = production_seams();
    let founding = Founding::new(&seams, CERTIFICATE_LIFE)?;
    let facts = restoration.facts();
    let (cluster, node) = (founding.identity.cluster, founding.identity.node);
    storage.files.write(RESTORING_FILE, b"").map_err(failed)?;
    let restored = restoration.restore(&storage, node, &[Family::Auth], &mut progress).and_then(|rest| {
        let unpack = |mut rest| {
            unpack_blobs(&mut rest, Some(&*storage.blobs), |read| progress(facts.state_bytes + read))
        };
        rest.map(unpack).transpose()
    });
    let inherited = restored.map_err(restore_fault).and_then(|blobs| {
        let heir = MeshSeal { cluster, key: &founding.seal };
        let inherit =
            |key| inherit_keys(&*storage.state, &seams, MeshSeal { cluster: facts.cluster, key }, heir);
        Ok((blobs, seal_key.map(inherit).transpose()?))
    });
    let (blobs, inherited) = inherited.map_err(|fault| {
        fault.help(format!("{dir} can't be started in: `micro-node reset --data-dir {dir}` wipes it"))
    })?;
    founding.keep(&storage)?;
    storage.files.remove(RESTORING_FILE).map_err(failed)?;
    Ok(Restored { facts, cluster, node, blobs, inherited })
}

/// Reads the blobs of a backup from where they begin, compares each with its hash, and puts them into `store`, if there
/// is one.
///
/// # Errors
/// [`RestoreError::Damaged`], or why they can't be read or kept.
pub fn unpack_blobs(
    source: &mut impl Read,
    store: Option<&dyn BlobStore>,
    progress: impl FnMut(u64),
) -> Result<Unpacked, RestoreError> {
    blob_archive::unpack(source, store, progress).map_err(|error| match error {
        StorageError::Corrupt { what, detail } => RestoreError::Damaged(format!("{what}: {detail}")),
        other => RestoreError::Storage(other),
    })
}

fn failed(error: impl std::fmt::Display) -> Fault {
    Fault::new(Code::Failed, error.to_string())
}

/// What is said of a backup that can't be used.
pub fn restore_fault(error: RestoreError) -> Fault {
    let message = error.to_string();
    match error {
        RestoreError::Foreign => {
            Fault::new(Code::Usage, message).help("backups are made by `micro-node cluster backup FILE`")
        }
        RestoreError::Damaged(_) => {
            Fault::new(Code::Failed, message).help("use another copy of it, or an earlier backup")
        }
        RestoreError::Read(_) | RestoreError::Storage(_) => Fault::new(Code::Failed, message),
    }
}
