//! What is known of a peer: where it is dialled, the links to it, what is shown of it.

use super::{Demand, Link, LinkKind, whereabouts::Whereabouts};
use crate::{LinkState, relay::Path};
use micro_sdk::wire::NodeId;
use std::{sync::Arc, time::SystemTime};
use tokio::time::Instant;

/// What is known of a peer.
#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) place: Whereabouts,
    pub(super) links: Vec<Arc<Link>>,
    /// Dials under way.
    pub(super) dialling: usize,
    pub(super) demand: Demand,
    /// By gossip, or since it is linked.
    pub(super) alive: bool,
    /// The way to it, if that has relays.
    pub(super) relayed: Option<Path>,
    /// It has said that it shuts down, and was not dialled since.
    pub(super) left: bool,
    pub(super) shown: LinkState,
    pub(super) since: SystemTime,
    pub(super) problem: String,
}

impl PeerState {
    /// The link to use of those that are open and `fit`: one that answers before one that does not, one of the kind
    /// that the way is of before another, one of later certificates before one of earlier, and one that the `lower`
    /// node has opened, so that both ends find the same.
    pub(super) fn best(&self, lower: NodeId, fit: impl Fn(&Link) -> bool) -> Option<Arc<Link>> {
        let kind = if self.relayed.is_some() { LinkKind::Relayed } else { LinkKind::Direct };
        let rank = |link: &&Arc<Link>| {
            (link.is_fresh(), link.kind == kind, link.renewals(), link.opened_by == lower, link.order)
        };
        self.links.iter().filter(|link| link.is_open() && fit(link)).max_by_key(rank).cloned()
    }

    /// Takes note of the way to it. Returns whether it is another one.
    pub(super) fn go(&mut self, relayed: Option<Path>) -> bool {
        let moved = std::mem::replace(&mut self.relayed, relayed) != self.relayed;
        let links = self.links.iter().filter(|link| moved && link.kind == LinkKind::Relayed);
        links.for_each(|link| link.pulse().moved(Instant::now()));
        moved
    }

    /// Takes note of what is to be shown while `best` is the link in use. Returns whether it differs from before.
    pub(super) fn show(&mut self, best: Option<&Link>) -> bool {
        let shown = match best {
            Some(link) if link.is_fresh() => LinkState::Up,
            Some(_) => LinkState::Down,
            None if self.dialling > 0 => LinkState::Connecting,
            None if self.alive && !self.demand.is_wanted(Instant::now()) => LinkState::Idle,
            None => LinkState::Down,
        };
        if matches!(shown, LinkState::Up | LinkState::Idle) {
            self.problem.clear();
        } else if best.is_some() {
            "it does not answer".clone_into(&mut self.problem);
        }
        std::mem::replace(&mut self.shown, shown) != shown
    }
}
