//! What a mesh is started with, and why it can't be.

use crate::{IdentityError, Place, Price, tls};
use micro_sdk::wire::{NodeId, Seams};
use std::{io, net::SocketAddr, time::Duration};

/// By which share another way must usually be cheaper to be gone instead: less would be within what is told late of
/// links.
pub const WAY_LEEWAY: f64 = 0.10;

/// After how long without an answer a link usually counts as dead: no way leads over it any more. Pings are a second
/// apart then, so that one may be lost, or late.
pub const LINK_TIMEOUT: Duration = Duration::from_secs(2);
/// The shortest time after which a link may count as dead: over 250 ms and a lost packet an answer is not in time.
pub const LINK_TIMEOUT_MIN: Duration = Duration::from_millis(500);
/// The longest: QUIC has given up every silent connection long before.
pub const LINK_TIMEOUT_MAX: Duration = Duration::from_secs(60);

/// What a mesh is started with.
#[derive(Clone)]
pub struct MeshConfig {
    /// Where other nodes reach this one. Port 0 stands for the port that the socket is bound to.
    pub advertise: SocketAddr,
    /// Where else they may: from within its cloud, or over another network.
    pub also: Vec<SocketAddr>,
    /// The node's name, for people.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Which life of the node this is: a counter on disk that grows with every start.
    pub boot: u64,
    /// The version of this micro-node.
    pub version: String,
    /// Time and chance.
    pub seams: Seams,
    /// How often a node gossips. 500 ms makes changes known everywhere within two seconds.
    pub gossip_interval: Duration,
    /// By which share another way must be cheaper to be gone instead: [`WAY_LEEWAY`], or more where ways may change
    /// less often.
    pub way_leeway: f64,
    /// After how long without an answer a link counts as dead: [`LINK_TIMEOUT`], less where others have to take over at
    /// once, or more where hosts pause for longer. Half of it lies between two pings, a second at most.
    pub link_timeout: Duration,
    /// Whether nodes of other clouds reach this one, as they may not reach others of its cloud: it is then the one that
    /// is linked from there, and gone over.
    pub gateway: bool,
    /// What traffic between clouds costs, for the choice of ways.
    pub prices: Vec<Price>,
}

/// Why a mesh can't be started, or its identity not be changed.
#[derive(Debug, thiserror::Error)]
pub enum MeshError {
    /// The identity is not good for TLS.
    #[error("{0}")]
    Tls(String),
    /// The identity can't be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket can't be used.
    #[error("the UDP socket can't be used: {0}")]
    Socket(#[from] io::Error),
    /// Not within a tokio runtime.
    #[error("a mesh must be started within a tokio runtime")]
    Runtime,
    /// An address that nobody could dial.
    #[error("{0} can't be advertised: other nodes could not dial it")]
    Advertise(SocketAddr),
    /// A new certificate for another node or mesh.
    #[error("the new certificate is of node {found}, this is node {own}, or its mesh is another")]
    Foreign {
        /// The node of the certificate.
        found: NodeId,
        /// This node.
        own: NodeId,
    },
    /// A certificate of an authority that is not believed.
    #[error("the certificate is of an authority that is not one of the mesh")]
    Unbelieved,
}

impl From<tls::TlsError> for MeshError {
    fn from(error: tls::TlsError) -> Self {
        MeshError::Tls(error.to_string())
    }
}
