//! Packets that reach a node through other nodes.
//!
//! Two nodes that have no direct way, or a slow one, have a QUIC connection like any other: what differs is where its
//! packets go. For quinn a node behind relays has an address of its own that no host has (`Tunnel`). Packets to it
//! travel as datagrams (RFC 9221) of the link to the first relay, with the path in front; each relay sends them on,
//! over its link to the next node, and keeps nothing; the last hands them to its own quinn. So all that links do works
//! over relays, relays see what any router sees, and a path may change under a connection. MASQUE (RFC 9298) proxies
//! UDP in the same way, for one relay.
//!
//! What finds no room is dropped, here as on any network; the connection whose packet it was slows down.

mod forward;
mod packet;
mod path;
mod socket;
mod tunnel;

pub(crate) use forward::{send, take};
pub(crate) use path::{NODES_MAX, Path};
pub(crate) use socket::TunnelSocket;
pub(crate) use tunnel::{Outbox, Tunnel};
