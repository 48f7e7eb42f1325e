//! The keys of secrets that a mesh made of a backup takes over from the old one.

use crate::{
    auth::SealKey,
    config::record::{CURRENT, Tables, unreadable},
    store::rewrite,
};
use micro_sdk::wire::{ClusterId, Code, Codec, Fault, Namespace, Seams, limits::VALUE_BYTES_MAX};
use micro_storage::StateStore;

/// The seal of a mesh.
#[derive(Clone, Copy, Debug)]
pub struct MeshSeal<'a> {
    /// The mesh.
    pub cluster: ClusterId,
    /// What opens its seal.
    pub key: &'a SealKey,
}

/// What became of the keys of secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// How many the new mesh opens.
    pub keys: u64,
    /// How many the old mesh could not open itself: it was made of a backup without the keys.
    pub lost: u64,
}

/// Seals the keys of secrets in `state`, the one that the mesh of `heir` begins with, for that mesh. The secrets stay
/// as they are.
///
/// # Errors
/// [`Code::Usage`] if there are keys and the seal of `old` opens none of them, or what the disk fails with. Nothing was
/// changed then.
pub fn inherit_keys(
    state: &dyn StateStore,
    seams: &Seams,
    old: MeshSeal<'_>,
    heir: MeshSeal<'_>,
) -> Result<Inherited, Fault> {
    let mut inherited = Inherited::default();
    rewrite(state, &Tables::of(&Namespace::default()).keys, |name, value| {
        // Which key seals stays as it is.
        if name == CURRENT {
            return Ok(None);
        }
        let sealed = Codec::decode::<Vec<u8>, VALUE_BYTES_MAX>(value).map_err(unreadable)?;
        let Ok(secret) = old.key.open(old.cluster, &sealed) else {
            inherited.lost += 1;
            return Ok(None);
        };
        inherited.keys += 1;
        Ok(Some(Codec::encode(&heir.key.seal(seams, heir.cluster, &secret))))
    })?;
    match inherited {
        Inherited { keys: 0, lost: 1.. } => {
            Err(Fault::new(Code::Usage, "the seal key opens none of the keys of secrets: it is not that of the mesh")
                .help("it is the file `files/seal.key` in the data directory of each voter of the mesh that was backed up")
                .help("without it, restore without `--seal-key`, and set the secrets anew"))
        }
        inherited => Ok(inherited),
    }
}
