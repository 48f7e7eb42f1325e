//! While a backup is taken, no node removes blobs: the state in it names what was there when it began, be it deleted or
//! replaced since.

use super::{BlobService, platform::Shared};
use std::sync::{Arc, PoisonError};

/// Under this key a node tells that it takes a backup.
const RETAINED_KEY: &str = "blob/retained";
const RETAINED: &str = "1";

/// Keeps all nodes from removing blobs until it is dropped, or this node is down.
pub struct Retention(Arc<Shared>);

impl BlobService {
    /// Has all nodes keep their blobs. Others hear of it by gossip: what was deleted before they do is kept for a
    /// while anyway (see [`UNNAMED_GRACE`](super::limits::UNNAMED_GRACE)).
    pub fn retain(&self) -> Retention {
        let mut retentions = self.parts.retentions.lock().unwrap_or_else(PoisonError::into_inner);
        *retentions += 1;
        self.parts.mesh.gossip().set(RETAINED_KEY, RETAINED.to_owned());
        Retention(self.parts.clone())
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        let mut retentions = self.0.retentions.lock().unwrap_or_else(PoisonError::into_inner);
        *retentions -= 1;
        if *retentions == 0 {
            self.0.mesh.gossip().remove(RETAINED_KEY);
        }
    }
}

impl Shared {
    /// Whether a node that is up takes a backup.
    pub fn retains(&self) -> bool {
        let members = self.mesh.gossip().members();
        members.iter().any(|member| member.values.contains_key(RETAINED_KEY) && self.is_up(member.node))
    }
}
