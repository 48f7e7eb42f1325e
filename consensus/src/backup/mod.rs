//! A backup: the state of the group at one moment, as one stream of bytes that a file can hold.
//!
//! ```text
//! "micro-node backup 3\n"
//! length of the head, u32 BE | head, by the codec
//! the files of a snapshot, one behind the other, in the order of its manifest
//! SHA-256 of all above                                            a cut or changed backup is seen
//! what else belongs to it, if the head says so: the blobs
//! ```
//!
//! It is taken from a snapshot of any replica and restored as the first replica of a new group. Restored records keep
//! their versions, and the new group's log goes on behind the old one's, so that no revision is ever given twice.

mod restore;
mod take;

pub use restore::{Restoration, RestoreError};
pub use take::Backup;
pub(crate) use take::Origin;

use crate::snapshot::ManifestRecord;
use bincode::{Decode, Encode};
use micro_sdk::wire::ClusterId;

/// What a backup begins with. The number is that of the layout.
const MAGIC: &[u8] = b"micro-node backup 3\n";
/// The largest head: the manifest of half a terabyte is within it, and garbage allocates no more.
const HEAD_BYTES_MAX: usize = 8 << 20;
/// SHA-256.
const DIGEST_BYTES: usize = 32;

/// What a backup says of itself. Stored: grows at its end only, with a new number in [`MAGIC`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Head {
    cluster: ClusterId,
    /// The name of the node that it was taken from.
    node: String,
    /// The build that took it.
    version: String,
    /// When, in milliseconds since 1970.
    time_ms: u64,
    /// The last entry in it.
    revision: u64,
    manifest: ManifestRecord,
    /// Whether the blobs follow the state.
    blobs: bool,
}

/// What a backup is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFacts {
    /// The mesh.
    pub cluster: ClusterId,
    /// The name of the node that it was taken from.
    pub node: String,
    /// The build that took it.
    pub version: String,
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// It shows everything up to this revision.
    pub revision: u64,
    /// The length of its state, in bytes.
    pub state_bytes: u64,
    /// Whether the blobs are in it.
    pub blobs: bool,
}

impl Head {
    fn facts(&self) -> BackupFacts {
        BackupFacts {
            cluster: self.cluster,
            node: self.node.clone(),
            version: self.version.clone(),
            time_ms: self.time_ms,
            revision: self.revision,
            state_bytes: self.manifest.files.iter().map(|(_, bytes, _)| bytes).sum(),
            blobs: self.blobs,
        }
    }
}
