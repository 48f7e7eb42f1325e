//! Meshes in one process, over real QUIC: on loopback, and on a simulated network.

#![allow(clippy::disallowed_methods)]

mod air;
mod calls;
mod conversations;
mod crowd;
mod dying;
mod gossip;
mod introducing;
mod joining;
mod lanes;
mod links;
mod lives;
mod relaying;
mod renewing;
mod simulated;
mod strangers;
mod world;
