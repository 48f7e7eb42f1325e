//! Where the nodes are that could be given work.

use crate::network::{Complaint, card::Heard, steward::zone_of};
use micro_mesh::{Member, Mesh, Place};
use micro_sdk::wire::{NodeId, status::NodeState};

/// A node as those see it who look for one.
pub(crate) struct NodePlace {
    pub node: NodeId,
    /// What fails together.
    pub zone: String,
    /// Whether it is up and takes work: neither starting, drained nor leaving, and with room on its disk.
    pub takes_work: bool,
}

/// Where a node stands, as it tells.
pub(crate) fn place_of(member: &Member) -> Place {
    Heard(member).place()
}

/// All nodes that have told about themselves.
pub(crate) fn node_places(mesh: &Mesh) -> Vec<NodePlace> {
    let place = |heard: Heard<'_>| NodePlace {
        node: heard.0.node,
        zone: zone_of(&heard),
        takes_work: heard.state() == NodeState::Ready && !heard.complains_of(Complaint::DiskFull),
    };
    mesh.gossip().members().iter().map(|member| place(Heard(member))).collect()
}
