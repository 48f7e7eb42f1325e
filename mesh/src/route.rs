//! What a node knows of its ways to the others.

use micro_sdk::wire::NodeId;
use std::{
    cmp::Reverse,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

/// Whether a peer can be reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkState {
    /// Connected, and heard of within the last seconds.
    Up,
    /// A dial is under way.
    Connecting,
    /// Not connected, or nothing heard; the next dial is being waited for.
    Down,
    /// Not connected, since nobody has anything to say to it. By gossip it lives, and is dialled for the first call.
    Idle,
}

/// The way to one peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The peer.
    pub node: NodeId,
    /// Where it is: of a direct link that is up the other end, else where it is dialled first.
    pub address: SocketAddr,
    /// The nodes that what is sent to it passes, the first one first; none if it goes there directly.
    pub relays: Vec<NodeId>,
    /// Whether it can be reached.
    pub state: LinkState,
    /// The lowest round trip of the last 30 s, from pings of our own once a second: neither inflated by load
    /// nor blind to a path that has become longer. Of one that is not connected: that of the best way over others.
    pub rtt: Option<Duration>,
    /// The share of packets sent to it in the last 30 s that were lost, from 0 to 1.
    pub loss: f64,
    /// Since when the state is what it is.
    pub since: SystemTime,
    /// Whether it has said that it shuts down, and has not been reached since.
    pub left: bool,
    /// Why it can't be reached, for people. Empty when it is up.
    pub problem: String,
}

impl Route {
    /// Whether a call gets there, as far as is known: it is up, or would be dialled.
    pub fn is_reachable(&self) -> bool {
        matches!(self.state, LinkState::Up | LinkState::Idle)
    }
}

/// Orders routes for display: reachable ones first, then by node.
pub(crate) fn in_order(routes: &mut [Route]) {
    routes.sort_by_key(|route| (Reverse(route.state == LinkState::Up), route.node));
}

/// A link as the node at its one end tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkReport {
    /// The node that tells.
    pub from: NodeId,
    /// The node at the other end.
    pub to: NodeId,
    /// The lowest round trip of the last seconds.
    pub rtt: Duration,
    /// By how much the round trips of the last 30 s differed from one to the next, in the mean.
    pub jitter: Duration,
    /// The share of packets sent that were lost, from 0 to 1.
    pub loss: f64,
}

/// A way that could be gone, and what it costs. The cheapest is, unless another was before and is hardly dearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The nodes between the two ends; none if it is the direct way.
    pub relays: Vec<NodeId>,
    /// What it costs in all, as a round trip.
    pub cost: Duration,
    /// The round trips of its links.
    pub rtt: Duration,
    /// What is added for packets that are lost on them.
    pub of_loss: Duration,
    /// What is added for packets that are late on them.
    pub of_jitter: Duration,
    /// What is added for money that is paid between clouds.
    pub of_price: Duration,
    /// What is added for the relays.
    pub of_relays: Duration,
    /// Whether it is the one that is gone.
    pub chosen: bool,
}
