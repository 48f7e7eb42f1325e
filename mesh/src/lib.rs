//! How nodes reach each other: identity, QUIC links, calls, lanes, gossip, routes.
//!
//! One [`Mesh`] is one node's place in the mesh. It owns one UDP port, on which peers of the same mesh speak
//! mTLS and new nodes ask to be let in. quinn, rustls and chitchat stay in here.
//!
//! ```text
//!  call / open ──► Peer (address, links, redial) ──► Link (one QUIC connection) ──► streams
//!  gossip ───────────┘                                 │ ping stream: round trip, "heard of"
//!  Ways (by what all tell of their links) ──► a direct link, or one whose packets others relay (Tunnel)
//!  UDP port ──► Door: micro/5/<cluster> ──► hello ─────┘
//!                     micro-join/1 ───────► one request, one answer
//!                     micro-renewal/1 ────► the same, for a node whose certificate does not count any more
//! ```

#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod call;
mod conversation;
mod door;
mod frame;
mod gossip;
mod handler;
mod identity;
mod join;
mod lane;
mod link;
mod mesh;
mod mesh_verifier;
mod place;
mod prelude;
mod relay;
mod renewal;
mod route;
mod routing;
mod socket;
mod tls;

pub use conversation::{DATA_BYTES_MAX, Heard, Metadata, Piece, Said};
pub use frame::{FRAME_BYTES_MAX, FrameError, FrameReceiver, FrameSender, frame_into};
pub use gossip::{Gossip, Member};
pub use handler::{BoxFuture, Handler};
pub use identity::{
    Authority, CERTIFICATE_LIFE, Certificate, Identity, IdentityError, KeyRequest, NodeKey, Trust,
    validity_of,
};
pub use join::{JoinGrant, JoinRequest, JoinToken, TokenError, join};
pub use lane::Lane;
pub use link::Expulsion;
pub use mesh::{LINK_TIMEOUT, LINK_TIMEOUT_MAX, LINK_TIMEOUT_MIN, Mesh, MeshConfig, MeshError, WAY_LEEWAY};
pub use place::Place;
pub use renewal::RenewalGrant;
pub use route::{Candidate, LinkReport, LinkState, Route};
pub use routing::{Price, PriceError};
pub use socket::{DatagramSocket, Socket};
