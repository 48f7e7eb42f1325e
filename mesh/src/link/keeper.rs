//! The tasks that keep a link to a peer, while there is to be one: a direct one, and one over relays while that is the
//! better way.
//!
//! Whoever has renewed its certificate dials again. The new link goes before the old one, on which calls and
//! conversations may end in their time: no longer than the old certificates count.

use super::{Link, LinkKind, Peer, close_code, dial};
use crate::{mesh::Inner, prelude::Purpose};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The wait after the first failed dial; it doubles with each.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest wait between dials: a host that is back is found again this soon.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How often a link is looked at.
const TEND_INTERVAL: Duration = Duration::from_secs(1);
/// A link that has lived this long was no failure.
const PROVEN: Duration = Duration::from_secs(5);
/// How long both ends are given to agree on which link is kept, before an unused one is closed.
const AGREE: Duration = Duration::from_secs(2);
/// When a link that is not used any more is closed, whatever is on it. Lanes are reopened by their owners.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long a link that need not be is kept when nothing is on it: the way may change back.
const UNUSED_MAX: Duration = Duration::from_secs(30);
/// How often a link over relays is looked for while there may be a direct one soon.
const HOPE_LOOK: Duration = Duration::from_millis(50);
/// The wait after a dial that was to replace a link and failed: the link is as good as it was.
const REPLACE_PAUSE: Duration = Duration::from_secs(1);
/// When a peer that answers QUIC but no ping is given up.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Keeps links to `peer` until it or the mesh goes.
pub(crate) async fn keep(inner: Arc<Inner>, peer: Arc<Peer>) {
    let keeper = |kind| Keeper { inner: &inner, peer: &peer, kind };
    let (direct, relayed) = (keeper(LinkKind::Direct), keeper(LinkKind::Relayed));
    tokio::select! {
        biased;
        () = inner.closed() => {}
        () = peer.gone() => {}
        () = direct.work() => {}
        () = relayed.work() => {}
    }
}

/// Keeps a link of one kind.
struct Keeper<'a> {
    inner: &'a Arc<Inner>,
    peer: &'a Arc<Peer>,
    kind: LinkKind,
}

impl Keeper<'_> {
    /// Dials whenever there is to be a link of the kind and is none, or none that was made with this node's
    /// certificate.
    async fn work(&self) {
        let Keeper { peer, kind, .. } = *self;
        let mut failures = 0;
        loop {
            let began = Instant::now();
            while self.tend().await {}
            let replaces = peer.best(kind).is_some();
            if began.elapsed() > PROVEN {
                failures = 0;
            }
            if peer.has_left() {
                // It will not be back at once, unless somebody knows better.
                self.pause(failures).await;
            }
            peer.begin_dial(kind);
            let outcome = self.dial_on().await;
            if let Err(problem) = &outcome {
                tracing::debug!(peer = %peer.node, ?kind, problem, "dial failed");
            }
            let connected = outcome.is_ok();
            peer.end_dial(kind, outcome);
            if !connected && peer.best(kind).is_none() {
                // Even somebody who waits gets no more than one dial in the shortest wait.
                sleep(self.backoff(0)).await;
                self.pause(failures).await;
                failures += 1;
            } else if !connected && replaces {
                sleep(REPLACE_PAUSE).await;
            }
        }
    }

    /// Dials, and anew whenever the way has changed: what was sent on the former one may be lost, and is not sent again
    /// soon.
    async fn dial_on(&self) -> Result<(), String> {
        if self.kind == LinkKind::Direct {
            return self.dial().await;
        }
        loop {
            let way = self.peer.way();
            tokio::select! {
                biased;
                outcome = self.dial() => return outcome,
                () = self.peer.leaves(way), if way.is_some() => {}
            }
        }
    }

    async fn dial(&self) -> Result<(), String> {
        let Keeper { inner, peer, kind } = *self;
        let addresses = match kind {
            LinkKind::Direct => peer.addresses(),
            LinkKind::Relayed => vec![inner.tunnel.address(peer.node).ok_or("too many nodes are known")?],
        };
        let (link, address) = dial(inner, peer.node, &addresses, Purpose::Link).await?;
        if kind == LinkKind::Direct {
            peer.reached_at(address);
        }
        inner.adopt(&link, None).map_err(|refusal| refusal.to_string())
    }

    /// Looks after the links for a while. `false` if one is to be dialled: there is none, or only one that was made
    /// with another certificate than this node has now.
    async fn tend(&self) -> bool {
        let Keeper { inner, peer, kind } = *self;
        self.drop_expired();
        peer.look();
        let Some(best) = peer.best(kind) else {
            let hopes = kind == LinkKind::Relayed && peer.hopes_for_direct();
            if peer.wants(kind) && !hopes {
                return false;
            }
            let pause = if hopes && peer.wants(kind) { HOPE_LOOK } else { TEND_INTERVAL };
            let _ = timeout(pause, peer.signals(kind).changed.notified()).await;
            return true;
        };
        // Also one that this node does not need itself: the other end does not know what it was made with.
        let replaces = kind == LinkKind::Direct || peer.wants(kind);
        if replaces && best.terms.own < inner.credentials().renewals && best.is_fresh() {
            return false;
        }
        self.drop_silent(&best);
        self.drop_duplicates(&best);
        self.drop_unused(&best);
        let _ = timeout(TEND_INTERVAL, peer.signals(kind).changed.notified()).await;
        true
    }

    /// Closes links that were made with a certificate which does not count any more.
    fn drop_expired(&self) {
        let now = self.peer.seams.clock.now();
        for link in self.peer.links().iter().filter(|link| link.terms.ends <= now) {
            link.close(close_code::EXPIRED, "a certificate of this link has ended");
        }
    }

    /// Gives up a link that answers no ping: at once if the peer is reached in another way, so that who waits for an
    /// answer on it hears that none comes.
    fn drop_silent(&self, link: &Link) {
        let elsewhere =
            self.peer.current().is_some_and(|current| current.kind != link.kind && current.is_fresh());
        if link.silence()
            > if elsewhere { link.given_up_after() } else { link.given_up_after().max(SILENCE_MAX) }
        {
            link.close(close_code::SILENT, "no ping was answered");
        }
    }

    /// Closes links of the kind that are not in use any more. The dialler does; the other end only if the dialler
    /// forgets.
    fn drop_duplicates(&self, best: &Arc<Link>) {
        let settled = best.born.elapsed();
        if settled < AGREE || !best.is_fresh() {
            return;
        }
        let links = self.peer.links();
        for link in links.iter().filter(|link| link.kind == self.kind && !Arc::ptr_eq(link, best)) {
            let patience = if link.opened_by == self.peer.own { DRAIN_MAX } else { 2 * DRAIN_MAX };
            let empty = link.opened_by == self.peer.own && link.streams() == 0;
            // What was begun on a link whose certificates were renewed may end in its time, which is theirs.
            let busy = link.renewals() < best.renewals() && link.calls() > 0;
            if empty || (settled > patience && !busy) {
                link.close(close_code::DUPLICATE, "another connection is used");
            }
        }
    }

    /// Closes a link that this node has opened and does not need any more. That the other does is seen by its streams.
    fn drop_unused(&self, link: &Link) {
        let unused = link.opened_by == self.peer.own && link.idle() > UNUSED_MAX;
        if unused && !self.peer.wants(self.kind) {
            link.close(close_code::IDLE, "nothing was on it for a while");
        }
    }

    /// The wait after so many failures: between half of it and all of it, so that many nodes don't dial as
    /// one.
    fn backoff(&self, failures: u32) -> Duration {
        let full = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
        let share = u16::from_le_bytes(self.peer.seams.random());
        full / 2 + full.mul_f64(f64::from(share) / f64::from(u16::MAX) / 2.0)
    }

    /// Waits until it is time for the next dial: after a while, or when somebody wants a link, or has made
    /// one.
    async fn pause(&self, failures: u32) {
        let signals = self.peer.signals(self.kind);
        tokio::select! {
            biased;
            () = signals.wanted.notified() => {}
            () = signals.changed.notified() => {}
            () = sleep(self.backoff(failures)) => {}
        }
    }
}
