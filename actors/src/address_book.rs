//! The members of the group with their addresses, kept in a small file: who is asked when the state, where the group
//! keeps them itself, can't be read.

use micro_consensus::Observation;
use micro_sdk::wire::{Codec, Fault, NodeId};
use micro_storage::FileStore;
use std::{net::SocketAddr, sync::Arc};

/// The file.
const PEERS_FILE: &str = "peers";
/// Hundreds of nodes.
const PEERS_BYTES_MAX: usize = 1 << 20;

/// Other nodes, and where they are reached.
pub type Peers = Vec<(NodeId, SocketAddr)>;

/// The address book of one node.
pub struct AddressBook {
    files: Arc<dyn FileStore>,
    kept: Option<Peers>,
}

impl AddressBook {
    /// The book in `files`, as it was kept last. One that can't be read is as good as none: it is only a hint.
    pub fn open(files: Arc<dyn FileStore>) -> Self {
        let kept = files.read(PEERS_FILE).ok().flatten();
        let kept = kept.and_then(|bytes| Codec::decode::<Peers, PEERS_BYTES_MAX>(&bytes).ok());
        AddressBook { files, kept }
    }

    /// All but this node itself; none if nothing was kept yet.
    pub fn peers(&self) -> Option<&Peers> {
        self.kept.as_ref()
    }

    /// Keeps `peers`, if that is anything new.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep(&mut self, peers: Peers) -> Result<(), Fault> {
        if self.kept.as_ref() != Some(&peers) {
            let failed =
                |error: &dyn std::fmt::Display| Fault::new(micro_sdk::wire::Code::Failed, error.to_string());
            self.files.write(PEERS_FILE, &Codec::encode(&peers)).map_err(|error| failed(&error))?;
            self.kept = Some(peers);
        }
        Ok(())
    }

    /// Keeps the members that are `seen`, if the one that looks is among them: else it does not know yet.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_members(&mut self, seen: &Observation) -> Result<(), Fault> {
        if !seen.addresses.iter().any(|(node, _)| *node == seen.node) {
            return Ok(());
        }
        let others = seen.addresses.iter().filter(|(node, _)| *node != seen.node);
        self.keep(others.filter_map(|(node, address)| Some((*node, address.parse().ok()?))).collect())
    }
}
