//! A node as those see it who look for a way in: where it stands, and where it is reached.

use crate::network::card::Heard;
use micro_mesh::{Mesh, Place};
use micro_sdk::wire::NodeId;
use std::net::{IpAddr, SocketAddr};

/// A node that is up, and where others reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// The address that its mesh listener is reached at from here, else the one that is dialled first.
    pub address: IpAddr,
    /// Where other hosts reach its HTTP api, which is inside TLS then; none if they don't. It is told for the address
    /// that is dialled first.
    pub api: Option<SocketAddr>,
}

impl Neighbour {
    /// What gossip has of `node`; none if it is down or not known. This node itself is always up.
    pub(crate) fn find(mesh: &Mesh, node: NodeId) -> Option<Self> {
        let members = mesh.gossip().members();
        let member = members.iter().find(|member| member.node == node)?;
        (member.alive || node == mesh.node()).then(|| {
            let heard = Heard(member);
            let address = mesh.reached_at(node).unwrap_or(member.address).ip().to_canonical();
            Neighbour { name: heard.name(), place: heard.place(), address, api: heard.api() }
        })
    }
}
