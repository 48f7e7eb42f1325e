//! What a node is told when it starts: meaning only, parsed and checked at the command line.

use micro_mesh::{JoinToken, Place};
use std::{net::SocketAddr, path::PathBuf};

/// How many voters the Raft group grows to on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VotersWanted {
    /// Survives the loss of one.
    Three,
    /// Survives the loss of two.
    Five,
}

impl VotersWanted {
    /// The number.
    pub fn count(self) -> usize {
        match self {
            VotersWanted::Three => 3,
            VotersWanted::Five => 5,
        }
    }
}

/// How to get into a mesh that exists.
#[derive(Clone, Debug)]
pub struct Join {
    /// Where nodes of it listen, first to try first. Those of the token are tried after.
    pub addresses: Vec<SocketAddr>,
    /// The permission. Not needed by a data directory that has joined before.
    pub token: Option<JoinToken>,
}

/// The settings of one node.
#[derive(Clone, Debug)]
pub struct Config {
    /// The name people know it by.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Its files.
    pub data_dir: PathBuf,
    /// The local door: gRPC for root and the node's own user.
    pub socket: PathBuf,
    /// The HTTP api for people's services. Loopback only.
    pub api: SocketAddr,
    /// gRPC for holders of the admin secret. Loopback only.
    pub proxy: SocketAddr,
    /// Where the mesh listens (UDP).
    pub mesh_listen: SocketAddr,
    /// The address at which other nodes reach the mesh listener; the bound address when none is given.
    pub advertise: Option<SocketAddr>,
    /// The mesh to join; without it a new data directory starts a mesh of its own.
    pub join: Option<Join>,
    /// How many voters to grow to.
    pub voters: VotersWanted,
    /// The threads that serve connections beside the node's own; none means as many as suit the host's cores.
    pub door_threads: Option<usize>,
}
