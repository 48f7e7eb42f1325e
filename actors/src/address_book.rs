//! The members of the group with their addresses, kept in a small file: who is asked when the state, where the group
//! keeps them itself, can't be read, and where else they were reached.

use micro_consensus::Observation;
use micro_mesh::Mesh;
use micro_sdk::wire::{Codec, Fault, NodeId};
use micro_storage::FileStore;
use std::{net::SocketAddr, sync::Arc};

/// The file.
const PEERS_FILE: &str = "peers";
/// Hundreds of nodes.
const PEERS_BYTES_MAX: usize = 1 << 20;

/// Other nodes, and where they are reached: one that may be reached at several places is there several times, with the
/// best of them first.
pub type Peers = Vec<(NodeId, SocketAddr)>;

/// Has `mesh` dial these nodes, each at all of its places.
pub fn learn_peers(mesh: &Mesh, peers: &Peers) {
    for (node, address) in peers {
        match mesh.address(*node) {
            None => mesh.learn(*node, *address),
            Some(_) => mesh.learn_also(*node, *address),
        }
    }
}

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

    /// Keeps the members that are `seen`, each where `mesh` dials it and where the group has it, if the one that looks
    /// is among them: else it does not know yet.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn keep_members(&mut self, seen: &Observation, mesh: &Mesh) -> Result<(), Fault> {
        if !seen.addresses.iter().any(|(node, _)| *node == seen.node) {
            return Ok(());
        }
        let others = seen.addresses.iter().filter(|(node, _)| *node != seen.node);
        self.keep(others.flat_map(|member| places(member, mesh)).collect())
    }
}

/// All places of a member: where `mesh` dials it, and where the group has it.
pub(crate) fn places(
    (node, noted): &(NodeId, String),
    mesh: &Mesh,
) -> impl Iterator<Item = (NodeId, SocketAddr)> {
    let (node, mut places) = (*node, mesh.addresses(*node));
    let noted = noted.parse().ok().filter(|noted| !places.contains(noted));
    places.extend(noted);
    places.into_iter().map(move |place| (node, place))
}
